;; Grows by three pages, and loads from what would be the next one. LIMITS: pages at first, and at most.
(module
  (memory (export "memory") LIMITS)
  (func (export "_start")
    (if (i32.eq (memory.grow (i32.const 3)) (i32.const -1)) (then unreachable))
    (drop (i32.load (i32.const 0x40000)))))
