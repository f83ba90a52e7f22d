;; Each function does one thing that a module may not do, or what it may.
(module
  (memory (export "memory") 1 64)
  (func (export "out-of-bounds") (drop (i32.load (i32.const 0x7ffffff0))))
  ;; Beyond what 32 bits can address: the address and the offset are added.
  (func (export "guard") (drop (i32.load offset=0x20 (i32.const 0xfffffff0))))
  (func (export "unreachable") unreachable)
  (func (export "division") (drop (i32.div_s (i32.const 1) (i32.load (i32.const 0)))))
  (func $deeper (export "recursion") (call $deeper) (call $deeper))
  ;; To its limit, with use of the last word, and not further.
  (func (export "growth")
    (if (i32.ne (memory.grow (i32.const 63)) (i32.const 1)) (then unreachable))
    (i32.store (i32.const 0x3ffffc) (i32.const 1))
    (if (i32.ne (memory.grow (i32.const 1)) (i32.const -1)) (then unreachable))))
