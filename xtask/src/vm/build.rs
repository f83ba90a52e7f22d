//! Static binaries for a machine: the guest has no libraries of ours.

use super::machine::Arch;
use crate::{build, paths};
use anyhow::{Context as _, Result, ensure};
use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

pub struct Binaries {
    pub folder: PathBuf,
    pub init: PathBuf,
    pub observer: PathBuf,
}

/// Those of this machine's architecture are the ones that everything else here runs, linked otherwise.
pub fn static_binaries(arch: Arch) -> Result<Binaries> {
    if arch.build() != build::Arch::HOST {
        return foreign(arch);
    }
    let observer = build::static_observer()?;
    let init = build::static_program("observer-tests", "vm_init")?;
    Ok(Binaries { folder: paths::target().join("static"), init, observer })
}

/// Unoptimised, libraries as well: optimising takes longer than it saves in an emulated machine.
fn foreign(arch: Arch) -> Result<Binaries> {
    build::kernel_programs(arch.build())?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("xtask is not in a workspace")?;
    let linker = format!("CARGO_TARGET_{}_LINKER", arch.target().replace('-', "_").to_uppercase());
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .current_dir(root)
        .args(["build", "--locked", "--target", arch.target()])
        .args([
            "--package",
            "observer",
            "--bin",
            "observer",
            "--package",
            "observer-tests",
            "--bin",
            "vm_init",
        ])
        .args(["--config", "profile.dev.package.'*'.opt-level=0"])
        .env(linker, arch.linker())
        .env("CARGO_ENCODED_RUSTFLAGS", "-Ctarget-feature=+crt-static\u{1f}-Cstrip=symbols");
    if !has_std(arch)? {
        use_distribution_compiler(&mut cargo);
    }
    let status = cargo.status().with_context(|| format!("cannot run {cargo:?}"))?;
    ensure!(status.success(), "building the static binaries for {} failed", arch.target());

    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let folder = target.join(arch.target()).join("debug");
    Ok(Binaries { init: folder.join("vm_init"), observer: folder.join("observer"), folder })
}

/// Whether the toolchain in use brings the standard library for `arch`.
fn has_std(arch: Arch) -> Result<bool> {
    let output = Command::new("rustc")
        .args(["--print", "target-libdir", "--target", arch.target()])
        .output()
        .context("cannot run rustc")?;
    Ok(Path::new(String::from_utf8_lossy(&output.stdout).trim()).is_dir())
}

/// Debian's compiler comes with the source of the standard library, which is then built along.
fn use_distribution_compiler(cargo: &mut Command) {
    cargo
        .args(["-Z", "build-std"])
        .env("RUSTC", "/usr/bin/rustc")
        .env("RUSTC_BOOTSTRAP", "1")
        // `cargo xtask` sets it to the libraries of the compiler in use.
        .env_remove("LD_LIBRARY_PATH");
}
