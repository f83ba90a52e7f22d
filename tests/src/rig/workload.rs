//! Programs and modules built from `tests/workloads/`, once a test run.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::program;

pub const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/workloads");

/// A Wasm module from `NAME.wat`.
pub fn wasm(name: &str) -> Vec<u8> {
    module(&Path::new(SOURCES).join(format!("{name}.wat")))
}

/// `grows.wat` with a memory of these limits.
pub fn grows(limits: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let text =
        String::from_utf8(source("grows.wat")).expect("text").replace("\") LIMITS", &format!("\") {limits}"));
    let path = folder.path().join("grows.wat");
    fs::write(&path, text).expect("a text");
    module(&path)
}

/// A script that needs no building.
pub fn source(name: &str) -> Vec<u8> {
    fs::read(Path::new(SOURCES).join(name)).expect("a workload")
}

/// The bytes that wat2wasm makes of a text.
pub fn module(text: &Path) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let binary = folder.path().join("module.wasm");
    build(Command::new(program("wat2wasm")).arg(text).arg("-o").arg(&binary));
    fs::read(&binary).expect("the module just written")
}

/// A static program from `NAME.c`, built into `folder`.
pub fn static_program(name: &str, folder: &Path) -> PathBuf {
    compile(name, folder.join(name), &["-static"])
}

/// A program or library from `NAME.c` with further compiler options.
pub fn compile(name: &str, output: PathBuf, options: &[&str]) -> PathBuf {
    let source = Path::new(SOURCES).join(format!("{name}.c"));
    build(
        Command::new(program("cc"))
            .args(["-O2", "-Wall", "-Werror"])
            .arg(source)
            .arg("-o")
            .arg(&output)
            .args(options),
    );
    output
}

/// Runs a compiler.
///
/// # Panics
/// It fails: with what it said.
pub fn build(command: &mut Command) {
    let built = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(built.status.success(), "{command:?}: {}", String::from_utf8_lossy(&built.stderr));
}
