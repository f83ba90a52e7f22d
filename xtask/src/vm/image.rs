//! The initramfs of a machine: our static binaries, and Debian's runtime with its libraries.

use super::build::Binaries;
use super::cpio::Archive;
use super::machine::Machine;
use anyhow::{Context as _, Result};
use std::fs;
use std::path::{Path, PathBuf};

/// Not needed to start a container, and half of the size.
const LEFT_OUT: [&str; 3] =
    ["usr/share", "usr/lib/x86_64-linux-gnu/gconv", "usr/lib/aarch64-linux-gnu/gconv"];

/// Not compressed: emulated decompression takes longer than loading the bytes.
pub fn write(machine: &Machine, binaries: &Binaries, userland: &Path) -> Result<PathBuf> {
    let mut archive = Archive::default();
    for top in ["bin", "lib", "lib64", "usr"] {
        let path = userland.join(top);
        if path.exists() {
            archive.tree(top, &path, &|name| !LEFT_OUT.contains(&name))?;
        }
    }
    archive.file("init", 0o755, &fs::read(&binaries.init)?);
    archive.file("usr/bin/observer", 0o755, &fs::read(&binaries.observer)?);

    let path = binaries.folder.join(format!("vm-{}.cpio", machine.name));
    fs::write(&path, archive.finish()).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}
