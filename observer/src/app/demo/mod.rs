pub mod stage;
/// A Wasm module that prints one line: `hello.wat` beside this file.
pub const HELLO: &[u8] = include_bytes!("hello.wasm");
