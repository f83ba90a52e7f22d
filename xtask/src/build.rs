//! `build`: the kernel programs, then observer with them inside.

use std::{fs, path::PathBuf};

use anyhow::{Context as _, Result, ensure};
use clap::{Args, ValueEnum};

use crate::{
    bpf_object,
    cmd::Cmd,
    paths,
    toolchain::{Toolchain, require_bpf_linker},
};

#[derive(Args, Default)]
pub struct BuildArgs {
    /// Build observer with optimisation
    #[arg(long)]
    pub release: bool,
    /// Build the kernel programs for this architecture; observer itself only if it is this machine's
    #[arg(long, value_enum)]
    pub arch: Option<Arch>,
    /// Kernel programs that say on standard error what they see, for work on them
    #[arg(long)]
    pub bpf_log: bool,
}

/// An architecture whose kernels observer's programs run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Arch {
    #[value(name = "x86_64")]
    X86_64,
    #[value(name = "aarch64")]
    Aarch64,
}

impl Arch {
    pub const HOST: Arch = if cfg!(target_arch = "aarch64") { Arch::Aarch64 } else { Arch::X86_64 };

    /// As in rustc's `target_arch`.
    pub fn name(self) -> &'static str {
        match self {
            Arch::X86_64 => "x86_64",
            Arch::Aarch64 => "aarch64",
        }
    }
}

pub fn run(args: &BuildArgs) -> Result<()> {
    let arch = args.arch.unwrap_or(Arch::HOST);
    if args.bpf_log {
        return build_talking(arch, args.release);
    }
    kernel_programs(arch)?;
    if arch != Arch::HOST {
        return Ok(());
    }
    observer(args.release)
}

fn observer(release: bool) -> Result<()> {
    let release = release.then_some("--release");
    Cmd::cargo().args(["build", "--locked", "-p", "observer"]).args(release).run()
}

/// An unoptimised observer that needs no libraries, for containers and machines without any.
pub fn static_observer() -> Result<PathBuf> {
    kernel_programs(Arch::HOST)?;
    let kept = static_program("observer", "observer")?;
    // Only its linking differs from the ordinary one, which is built again where it stood.
    observer(false)?;
    Ok(kept)
}

/// A program of a package, unoptimised and with no libraries needed; its path.
pub fn static_program(package: &str, name: &str) -> Result<PathBuf> {
    let flags = ["--", "-C", "target-feature=+crt-static", "-C", "strip=symbols"];
    Cmd::cargo().args(["rustc", "--locked", "-p", package, "--bin", name]).args(flags).run()?;
    let (built, folder) = (paths::target().join("debug").join(name), paths::target().join("static"));
    let kept = folder.join(name);
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    fs::copy(&built, &kept).with_context(|| format!("cannot copy {}", built.display()))?;
    Ok(kept)
}

/// With kernel programs that say what they see. Nothing later takes them for the ordinary ones.
fn build_talking(arch: Arch, release: bool) -> Result<()> {
    let hash_file = bpf_object::hash_file(paths::repo(), arch.name());
    compile(arch, &["--features", "log"])?;
    let built = observer(release);
    fs::remove_file(&hash_file)?;
    built
}

/// Builds the kernel programs into `target/bpf/<arch>/`, unless those there are of today's sources.
pub fn kernel_programs(arch: Arch) -> Result<()> {
    let repo = paths::repo();
    let object = bpf_object::object(repo, arch.name());
    let hash_file = bpf_object::hash_file(repo, arch.name());
    let hash = bpf_object::hash(repo).context("cannot read the kernel programs' sources")?;
    if object.exists() && fs::read_to_string(&hash_file).is_ok_and(|made_of| made_of.trim() == hash) {
        eprintln!("build: {} is of today's sources", object.display());
        return Ok(());
    }
    compile(arch, &[])
}

fn compile(arch: Arch, features: &[&str]) -> Result<()> {
    let repo = paths::repo();
    let object = bpf_object::object(repo, arch.name());
    let hash_file = bpf_object::hash_file(repo, arch.name());
    let hash = bpf_object::hash(repo).context("cannot read the kernel programs' sources")?;
    let toolchain = Toolchain::require()?;
    require_bpf_linker()?;
    let target_dir = repo.join("target/bpf/build").join(arch.name());
    let cfg = format!("bpf_target_arch=\"{}\"", arch.name());
    let flags = ["--cfg", &cfg, "-C", "linker=bpf-linker", "-C", "debuginfo=2", "-C", "link-arg=--btf"];
    toolchain
        .cargo()
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"))
        .args(["build", "--locked", "--release", "-p", "observer-ebpf", "--bin", "observer-ebpf"])
        .args(["--target", "bpfel-unknown-none", "-Z", "build-std=core", "--target-dir"])
        .arg(&target_dir)
        .args(features)
        .run()?;

    let built = target_dir.join("bpfel-unknown-none/release/observer-ebpf");
    let bytes = fs::read(&built).with_context(|| format!("cannot read {}", built.display()))?;
    ensure!(bytes.starts_with(b"\x7fELF"), "{} is not an ELF file", built.display());
    fs::create_dir_all(bpf_object::dir(repo, arch.name()))?;
    // Without a hash from here until the object is whole: an interrupted build leaves nothing to embed.
    if hash_file.exists() {
        fs::remove_file(&hash_file)?;
    }
    fs::write(&object, bytes)?;
    fs::write(&hash_file, hash)?;
    eprintln!("build: {} made", object.display());
    Ok(())
}
