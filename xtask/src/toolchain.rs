//! A compiler with the sources of `core` and `std`, for targets that no distribution ships: bpf, and arm64
//! where it is not installed. Stable compilers do, told so by `RUSTC_BOOTSTRAP`.

use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::{
    cmd::Cmd,
    paths::{self, find_program},
};

/// Older ones do not know what the workspace uses.
const OLDEST: (u32, u32) = (1, 95);

#[derive(Clone, Debug)]
pub struct Toolchain {
    pub rustc: PathBuf,
    /// Major version of its LLVM: bpf-linker must be of the same or a later one.
    pub llvm: u32,
}

impl Toolchain {
    /// The first that is there: Debian's own (it does not move), a rustup nightly, the default one.
    pub fn find() -> Option<Toolchain> {
        let nightly = || {
            let path = Cmd::new("rustup").args(["which", "--toolchain", "nightly", "rustc"]).output().ok()?;
            Some(PathBuf::from(path))
        };
        let default = || find_program("rustc");
        let candidates: [&dyn Fn() -> Option<PathBuf>; 3] =
            [&|| Some(PathBuf::from("/usr/bin/rustc")), &nightly, &default];
        candidates.iter().find_map(|candidate| Toolchain::with_sources(candidate()?))
    }

    /// [`Toolchain::find`], or what to do about it.
    pub fn require() -> Result<Toolchain> {
        Toolchain::find()
            .context("no rustc with the sources of its libraries is there: run `cargo xtask setup`")
    }

    fn with_sources(rustc: PathBuf) -> Option<Toolchain> {
        let sysroot = PathBuf::from(Cmd::new(&rustc).args(["--print", "sysroot"]).output().ok()?);
        if !sysroot.join("lib/rustlib/src/rust/library/Cargo.lock").exists() {
            return None;
        }
        let said = Cmd::new(&rustc).arg("-vV").output().ok()?;
        let field =
            |name: &str| Some(said.lines().find_map(|line| line.strip_prefix(name))?.trim().to_owned());
        let version = field("release:")?;
        let llvm = field("LLVM version:")?.split('.').next()?.parse().ok()?;
        let mut numbers = version.split(['.', '-']).map_while(|number| number.parse::<u32>().ok());
        ((numbers.next()?, numbers.next()?) >= OLDEST).then_some(Toolchain { rustc, llvm })
    }

    /// cargo with this compiler, allowed to build the standard library from source.
    pub fn cargo(&self) -> Cmd {
        Cmd::cargo()
            .env("RUSTC", &self.rustc)
            .env("RUSTC_BOOTSTRAP", "1")
            // `cargo xtask` sets it to another compiler's libraries.
            .env_remove("LD_LIBRARY_PATH")
    }

    /// The prefix of the LLVM that this compiler was built with, if its development files are there.
    pub fn llvm_prefix(&self) -> Option<PathBuf> {
        let prefix = PathBuf::from(format!("/usr/lib/llvm-{}", self.llvm));
        prefix.join("bin/llvm-config").exists().then_some(prefix)
    }
}

/// The linker of the kernel programs, or what to do about it.
pub fn require_bpf_linker() -> Result<()> {
    find_program("bpf-linker").map(drop).with_context(|| {
        format!("no bpf-linker in {} or PATH: run `cargo xtask setup`", paths::cache().join("bin").display())
    })
}
