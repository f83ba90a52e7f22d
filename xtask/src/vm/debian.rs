//! Kernels and the guest's programs out of Debian's archive, unpacked into the cache and never installed. apt runs
//! on lists of its own: the host's lists, architectures and packages stay as they are, and no root is needed.

use super::machine::Arch;
use anyhow::{Context as _, Result, bail, ensure};
use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The guest needs a container runtime, and a shell for its container.
const USERLAND: [&str; 2] = ["crun", "busybox-static"];

pub struct Cache {
    root: PathBuf,
    arch: Arch,
}

impl Cache {
    pub fn open(arch: Arch) -> Result<Self> {
        let base = match env::var_os("XDG_CACHE_HOME").filter(|value| !value.is_empty()) {
            Some(base) => PathBuf::from(base),
            None => PathBuf::from(env::var_os("HOME").context("neither XDG_CACHE_HOME nor HOME is set")?)
                .join(".cache"),
        };
        let root = base.join("observer/kernels");
        fs::create_dir_all(&root).with_context(|| format!("cannot make {}", root.display()))?;
        Ok(Self { root, arch })
    }

    /// The kernel image of a series: the newest that the archive had when it was fetched. Removing the folder
    /// fetches it anew.
    pub fn kernel(&self, series: &str) -> Result<PathBuf> {
        let tree = self.unpacked(&format!("linux-{series}-{}", self.arch.debian()), |apt, into| {
            let package = newest(
                &apt.search(&format!("^linux-image-{}", series.replace('.', "\\.")))?,
                series,
                self.arch,
            )
            .with_context(|| {
                format!("the archive has no {series} cloud kernel for {}", self.arch.debian())
            })?;
            apt.download(&package, into)
        })?;
        let boot = tree.join("boot");
        files(&boot)?
            .into_iter()
            .find(|file| file.file_name().is_some_and(|name| name.to_string_lossy().starts_with("vmlinuz-")))
            .with_context(|| {
                format!("no kernel image in {}: remove {} and try again", boot.display(), tree.display())
            })
    }

    /// A tree with the programs and the libraries that they are linked to.
    pub fn userland(&self) -> Result<PathBuf> {
        self.unpacked(&format!("userland-{}", self.arch.debian()), |apt, into| {
            apt.download_with_needs(&USERLAND, into)
        })
    }

    /// The tree `name`, made once: it appears under its name only when it is whole.
    fn unpacked(&self, name: &str, fetch: impl FnOnce(&Apt, &Path) -> Result<()>) -> Result<PathBuf> {
        let tree = self.root.join(name);
        if tree.is_dir() {
            return Ok(tree);
        }
        println!("vm: fetching {name} into {}", self.root.display());
        let work = self.root.join(format!("{name}.{}", std::process::id()));
        let (debs, partial) = (work.join("debs"), work.join("tree"));
        fs::create_dir_all(&debs)?;
        fs::create_dir_all(&partial)?;
        let made = fetch(&Apt::prepare(&work, self.arch)?, &debs).and_then(|()| unpack(&debs, &partial));
        let renamed = made.and_then(|()| match fs::rename(&partial, &tree) {
            // Somebody else was quicker: theirs is as good.
            Err(_) if tree.is_dir() => Ok(()),
            result => result.with_context(|| format!("cannot make {}", tree.display())),
        });
        fs::remove_dir_all(&work).with_context(|| format!("cannot remove {}", work.display()))?;
        renamed.map(|()| tree)
    }
}

/// apt with lists, cache and status of its own.
struct Apt {
    config: PathBuf,
    archives: PathBuf,
}

impl Apt {
    fn prepare(work: &Path, arch: Arch) -> Result<Self> {
        let (state, cache, parts) = (work.join("state"), work.join("cache"), work.join("sources"));
        fs::create_dir_all(state.join("lists/partial"))?;
        fs::create_dir_all(cache.join("archives/partial"))?;
        fs::create_dir_all(&parts)?;
        fs::write(state.join("status"), "")?;
        copy_debian_sources(&parts)?;
        let arch = arch.debian();
        let config = work.join("apt.conf");
        fs::write(
            &config,
            format!(
                "APT::Architecture \"{arch}\";\nAPT::Architectures {{ \"{arch}\"; }};\n\
                 Dir::State {state:?};\nDir::State::status {:?};\nDir::Cache {cache:?};\nDir::Etc::sourceparts {parts:?};\n\
                 Acquire::Languages \"none\";\nAPT::Sandbox::User \"\";\n",
                state.join("status"),
            ),
        )?;
        let apt = Self { config, archives: cache.join("archives") };
        apt.run("apt-get", &["update"], work)?;
        Ok(apt)
    }

    /// Names of the packages that match a regular expression.
    fn search(&self, expression: &str) -> Result<String> {
        self.run("apt-cache", &["search", "--names-only", expression], Path::new("/"))
    }

    fn download(&self, package: &str, into: &Path) -> Result<()> {
        self.run("apt-get", &["download", package], into).map(drop)
    }

    /// With an empty status nothing counts as installed: apt fetches everything that the packages depend on.
    fn download_with_needs(&self, packages: &[&str], into: &Path) -> Result<()> {
        let fixed = ["install", "--yes", "--download-only", "--no-install-recommends"];
        self.run("apt-get", &[&fixed, packages].concat(), into)?;
        for deb in files(&self.archives)?.iter().filter(|file| is_deb(file)) {
            fs::rename(deb, into.join(deb.file_name().unwrap_or_default()))?;
        }
        Ok(())
    }

    fn run(&self, program: &str, args: &[&str], dir: &Path) -> Result<String> {
        let mut command = Command::new(program);
        command
            .args(args)
            .current_dir(dir)
            .env("APT_CONFIG", &self.config)
            .env("DEBIAN_FRONTEND", "noninteractive");
        output_of(&mut command)
    }
}

/// Only what speaks of Debian: other vendors' archives have no kernels, and need not know this architecture.
fn copy_debian_sources(parts: &Path) -> Result<()> {
    let system = Path::new("/etc/apt/sources.list.d");
    for source in files(system).unwrap_or_default() {
        let debian = fs::read_to_string(&source).is_ok_and(|text| text.contains("debian"));
        if let (true, Some(name)) = (debian, source.file_name()) {
            fs::copy(&source, parts.join(name))?;
        }
    }
    Ok(())
}

/// Of `apt-cache search` lines, the signed cloud kernel with the highest version.
fn newest(found: &str, series: &str, arch: Arch) -> Option<String> {
    let (prefix, suffix) = (format!("linux-image-{series}."), format!("-cloud-{}", arch.debian()));
    found
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| name.starts_with(&prefix) && name.ends_with(&suffix))
        .max_by_key(|name| numbers(name))
        .map(str::to_owned)
}

/// The numbers in a package's name, in order: enough to compare versions of one series.
fn numbers(name: &str) -> Vec<u64> {
    name.split(|c: char| !c.is_ascii_digit()).filter_map(|part| part.parse().ok()).collect()
}

fn unpack(debs: &Path, into: &Path) -> Result<()> {
    let debs = files(debs)?;
    ensure!(!debs.is_empty(), "apt fetched no package");
    for deb in debs {
        output_of(Command::new("dpkg").arg("-x").arg(&deb).arg(into))?;
    }
    Ok(())
}

fn is_deb(file: &Path) -> bool {
    file.extension() == Some(OsStr::new("deb"))
}

fn files(dir: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(dir).with_context(|| format!("cannot list {}", dir.display()))?;
    entries.map(|entry| Ok(entry?.path())).collect()
}

fn output_of(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("cannot run {command:?}"))?;
    if !output.status.success() {
        bail!("{command:?} ended with {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::{Arch, newest};

    #[test]
    fn the_newest_signed_kernel_of_the_series_is_taken() {
        let found = "linux-image-6.1.0-47-cloud-amd64 - Linux 6.1 (signed)\n\
                     linux-image-6.1.0-156-cloud-amd64 - Linux 6.1 (signed)\n\
                     linux-image-6.1.0-200-cloud-amd64-unsigned - Linux 6.1\n\
                     linux-image-6.1.0-201-cloud-arm64 - Linux 6.1 (signed)\n\
                     linux-image-6.12.117+deb12-cloud-amd64 - Linux 6.12 (signed)\n\
                     linux-image-6.12-cloud-amd64 - Linux (meta-package)\n";
        let newest = |series, arch| newest(found, series, arch);
        assert_eq!(newest("6.1", Arch::X86_64).as_deref(), Some("linux-image-6.1.0-156-cloud-amd64"));
        assert_eq!(newest("6.12", Arch::X86_64).as_deref(), Some("linux-image-6.12.117+deb12-cloud-amd64"));
        assert_eq!(newest("6.1", Arch::Aarch64).as_deref(), Some("linux-image-6.1.0-201-cloud-arm64"));
        assert_eq!(newest("6.12", Arch::Aarch64), None);
    }
}
