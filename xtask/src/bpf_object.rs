//! Where the kernel programs' object lies, and the hash that ties it to its sources. Compiled into xtask,
//! which builds the object, and into `observer/build.rs`, which embeds it only if it is of today's sources.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Directory of one architecture's object. Holds nothing else but the hash of its sources.
pub fn dir(repo: &Path, arch: &str) -> PathBuf {
    repo.join("target/bpf").join(arch)
}

pub fn object(repo: &Path, arch: &str) -> PathBuf {
    dir(repo, arch).join("observer-ebpf")
}

pub fn hash_file(repo: &Path, arch: &str) -> PathBuf {
    dir(repo, arch).join("sources.hash")
}

/// What the object is made of.
pub fn sources(repo: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = vec![repo.join("Cargo.lock"), repo.join("Cargo.toml")];
    collect(&repo.join("observer-ebpf"), &mut found)?;
    found.sort();
    Ok(found)
}

/// Hash of the sources: FNV-1a over names and contents. It tells old from new; it is no seal.
pub fn hash(repo: &Path) -> io::Result<String> {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut add = |bytes: &[u8]| {
        for byte in bytes.iter().copied().chain((bytes.len() as u64).to_le_bytes()) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    };
    for path in sources(repo)? {
        add(path.strip_prefix(repo).unwrap_or(&path).as_os_str().as_encoded_bytes());
        add(&fs::read(&path)?);
    }
    Ok(format!("{hash:016x}"))
}

fn collect(dir: &Path, into: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), into)?;
        } else {
            into.push(entry.path());
        }
    }
    Ok(())
}
