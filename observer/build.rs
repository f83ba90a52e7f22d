use std::{env, fs, path::PathBuf};
fn main() {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap()).join("..");
    let object = root.join("target/bpf/bpfel-unknown-none/release/observer-ebpf");
    println!("cargo:rerun-if-changed={}", object.display());
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap()).join("observer-ebpf");
    fs::write(&out, fs::read(&object).unwrap_or_default()).unwrap();
    println!("cargo:rustc-env=OBSERVER_BPF_OBJECT={}", out.display());
}
