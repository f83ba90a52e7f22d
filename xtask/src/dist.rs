//! `dist`: release binaries that run on any Linux of their architecture, with checksums.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};

use crate::{
    build::{self, Arch},
    cmd::Cmd,
    paths::{self, find_program},
    toolchain::Toolchain,
};

/// Makes them, and says where they are.
pub fn run() -> Result<Vec<PathBuf>> {
    let dist = paths::target().join("dist");
    fs::create_dir_all(&dist)?;
    let mut names = Vec::new();
    for arch in [Arch::X86_64, Arch::Aarch64] {
        let name = format!("observer-{}-linux-{}", env!("CARGO_PKG_VERSION"), arch.name());
        let binary = dist.join(&name);
        build::kernel_programs(arch)?;
        let built = observer(arch)?;
        fs::copy(&built, &binary).with_context(|| format!("cannot copy {}", built.display()))?;
        check(arch, &binary)?;
        names.push(name);
    }
    let sums = Cmd::new("sha256sum").args(&names).dir(&dist).output()? + "\n";
    fs::write(dist.join("SHA256SUMS"), &sums)?;
    print!("{sums}");
    eprintln!("dist: in {}", dist.display());
    Ok(names.iter().map(|name| dist.join(name)).collect())
}

/// Builds observer for `arch`, static and stripped, and returns where it lies.
fn observer(arch: Arch) -> Result<PathBuf> {
    let target = format!("{}-unknown-linux-gnu", arch.name());
    let target_dir = paths::target().join("dist/build");
    let cargo = if has_std(&target) {
        Cmd::cargo()
    } else {
        Toolchain::require()?.cargo().args(["-Z", "build-std=std,panic_unwind"])
    };
    let mut linker = None;
    if arch != Arch::HOST {
        let gcc = format!("{}-linux-gnu-gcc", arch.name());
        ensure!(
            find_program(&gcc).is_some(),
            "no {gcc} to link for {}: run `cargo xtask setup`",
            arch.name()
        );
        linker = Some(format!("target.{target}.linker=\"{gcc}\""));
    }
    cargo
        .args(["build", "--locked", "--release", "-p", "observer", "--bin", "observer", "--target", &target])
        .args(["--config", &format!("target.{target}.rustflags=[\"-C\", \"target-feature=+crt-static\"]")])
        .args(["--config", "profile.release.strip=\"symbols\""])
        .args(linker.iter().flat_map(|linker| ["--config", linker]))
        .arg("--target-dir")
        .arg(&target_dir)
        .run()?;
    Ok(target_dir.join(target).join("release/observer"))
}

/// Whether the default compiler came with a standard library for `target`.
fn has_std(target: &str) -> bool {
    let sysroot = Cmd::new("rustc").args(["--print", "sysroot"]).output();
    sysroot.is_ok_and(|sysroot| Path::new(&sysroot).join("lib/rustlib").join(target).join("lib").exists())
}

/// That a release is what it should be: static, stripped, and able to run.
fn check(arch: Arch, binary: &Path) -> Result<()> {
    let kind = Cmd::new("file").arg("--brief").arg(binary).output().context("run `cargo xtask setup`")?;
    let is_static = kind.contains("statically linked") || kind.contains("static-pie linked");
    ensure!(is_static, "{} is not static: {kind}", binary.display());
    ensure!(kind.contains(", stripped"), "{} is not stripped: {kind}", binary.display());
    let object = fs::read(crate::bpf_object::object(paths::repo(), arch.name()))?;
    let contents = fs::read(binary)?;
    let inside = contents.windows(object.len()).any(|window| window == object);
    ensure!(inside, "{} does not hold the kernel programs", binary.display());
    let run = match arch {
        Arch::HOST => Cmd::new(binary),
        _ if find_program(emulator(arch)).is_some() => Cmd::new(emulator(arch)).arg(binary),
        _ => {
            eprintln!("dist: {} was not run: no {}", binary.display(), emulator(arch));
            return Ok(());
        }
    };
    let version = run.arg("--version").output().context("the release does not run")?;
    let megabytes = contents.len() / 1_000_000;
    eprintln!(
        "dist: {}: static, stripped, kernel programs inside, {megabytes} MB: {version}",
        binary.display()
    );
    Ok(())
}

fn emulator(arch: Arch) -> &'static str {
    match arch {
        Arch::X86_64 => "qemu-x86_64-static",
        Arch::Aarch64 => "qemu-aarch64-static",
    }
}
