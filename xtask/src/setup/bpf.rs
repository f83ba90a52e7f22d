//! The toolchain of the kernel programs: a rustc with the sources of `core`, and bpf-linker.

use anyhow::Result;

use super::{Missing, announce, apt, cargo_tools, table::BPF_LINKER};
use crate::{cmd::Cmd, paths::find_program, toolchain::Toolchain};

const WHY_RUSTC: &str = "compiles `core` for the bpf target";

pub(super) fn ensure() -> Vec<Missing> {
    let Some(toolchain) = Toolchain::find().or_else(install_rustc) else {
        return vec![Missing {
            what: "a rustc (1.95 or later) with the sources of its libraries".to_owned(),
            why_needed: WHY_RUSTC.to_owned(),
            why_missing:
                "neither Debian's rustc-web and rust-web-src nor rustup's nightly and rust-src could \
                          be installed: see above"
                    .to_owned(),
        }];
    };
    if find_program(BPF_LINKER.name).is_some() {
        return Vec::new();
    }
    install_linker(&toolchain)
        .err()
        .map(|error| cargo_tools::missing(&BPF_LINKER, &error))
        .into_iter()
        .collect()
}

/// Debian's compiler first: it does not move, and its LLVM can be had beside it.
fn install_rustc() -> Option<Toolchain> {
    announce("rustc-web and rust-web-src", WHY_RUSTC, None);
    match apt::install(&["rustc-web", "rust-web-src"]) {
        Err(why) => eprintln!("setup: not from Debian: {why}"),
        Ok(()) => match Toolchain::find() {
            None => eprintln!("setup: not from Debian: its rustc is too old"),
            found => return found,
        },
    }
    announce("rustup's nightly with rust-src", WHY_RUSTC, None);
    let nightly = ["toolchain", "install", "nightly", "--profile", "minimal", "--component", "rust-src"];
    if let Err(error) = Cmd::new("rustup").args(nightly).run() {
        eprintln!("setup: not from rustup: {error:#}");
    }
    Toolchain::find()
}

/// The linker reads the compiler's bitcode, so it is built with the same LLVM where that can be had, and with
/// its default otherwise.
fn install_linker(toolchain: &Toolchain) -> Result<()> {
    if toolchain.llvm_prefix().is_none() {
        let package = format!("llvm-{}-dev", toolchain.llvm);
        announce(&package, "is linked into bpf-linker", None);
        if let Err(why) = apt::install(&[&package]) {
            eprintln!("setup: {package} is not to be had ({why}): building bpf-linker with its default LLVM");
        }
    }
    let install = cargo_tools::install_command(&BPF_LINKER);
    match toolchain.llvm_prefix() {
        Some(prefix) => {
            let feature = format!("llvm-{}", toolchain.llvm);
            install.env("LLVM_PREFIX", prefix).args(["--no-default-features", "--features", &feature]).run()
        }
        None => install.run(),
    }
}
