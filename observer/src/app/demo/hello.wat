;; The smallest Wasm payload that shows itself: one line to standard output, then exit code 0.
;; hello.wasm beside this file is what wat2wasm makes of it.
(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  ;; One buffer: its address and length.
  (data (i32.const 0) "\08\00\00\00\10\00\00\00hello from wasm\n")
  (func (export "_start")
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 64)))
    (call $exit (i32.const 0))))
