//! Which of the programs that make containers are on this machine.

use std::{
    env,
    ffi::OsString,
    fs::File,
    io::{self, Read},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

/// Searched after `$PATH`: where distributions put what only root runs.
const MORE_FOLDERS: &[&str] =
    &["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// Searched last, below the home folder: what was built for this project and is packaged by nobody.
const BUILT: &str = ".cache/observer/bin";

/// Where distributions put CNI plugins.
const CNI_FOLDERS: &[&str] = &["/opt/cni/bin", "/usr/lib/cni", "/usr/libexec/cni"];

/// Plugins that a pod network of this stage needs.
const CNI_PLUGINS: &[&str] = &["bridge", "host-local", "loopback", "portmap", "ptp"];

/// The folder of a program, if this machine has it.
pub fn find(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let built = env::var_os("HOME").map(|home| Path::new(&home).join(BUILT));
    env::split_paths(&path)
        .chain(MORE_FOLDERS.iter().map(PathBuf::from))
        .chain(built)
        .map(|folder| folder.join(name))
        .find(|file| is_executable(file))
}

/// `$PATH` for programs that look for further programs themselves.
pub fn search_path() -> OsString {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain(MORE_FOLDERS.iter().map(PathBuf::from));
    env::join_paths(folders).unwrap_or(path)
}

/// The folder that holds all CNI plugins this stage uses.
pub fn cni_plugins() -> Option<PathBuf> {
    let complete = |folder: &PathBuf| CNI_PLUGINS.iter().all(|plugin| is_executable(&folder.join(plugin)));
    CNI_FOLDERS.iter().map(PathBuf::from).find(complete)
}

/// A busybox that runs in an empty root: everything in the stage's containers is made of it.
///
/// # Errors
/// A sentence that says what is missing and how to get it.
pub fn static_busybox() -> Result<PathBuf, String> {
    let Some(path) = find("busybox") else {
        return Err("busybox is not on this machine (apt-get install busybox-static)".into());
    };
    match is_static(&path) {
        Ok(true) => Ok(path),
        Ok(false) => Err(format!(
            "{} needs shared libraries, which an empty root does not have (apt-get install busybox-static)",
            path.display()
        )),
        Err(error) => Err(format!("{}: {error}", path.display())),
    }
}

fn is_executable(path: &Path) -> bool {
    path.metadata().is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

/// Whether a 64-bit ELF file names no program interpreter.
fn is_static(path: &Path) -> io::Result<bool> {
    const PT_INTERP: u32 = 3;
    let mut bytes = Vec::new();
    File::open(path)?.take(4096).read_to_end(&mut bytes)?;
    let word = |at: usize, len: usize| -> Option<u64> {
        let field = bytes.get(at..at + len)?;
        Some(field.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
    };
    let interpreted = || -> Option<bool> {
        let (table, size, count) = (word(32, 8)? as usize, word(54, 2)? as usize, word(56, 2)? as usize);
        let kinds = (0..count).map(|n| word(table + n * size, 4));
        kinds.collect::<Option<Vec<_>>>().map(|kinds| kinds.contains(&u64::from(PT_INTERP)))
    };
    if !bytes.starts_with(b"\x7fELF\x02\x01") {
        return Err(io::Error::other("not a 64-bit little-endian ELF program"));
    }
    interpreted()
        .map(|interpreted| !interpreted)
        .ok_or_else(|| io::Error::other("its program headers are cut off"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dynamic_program_and_a_text_are_no_static_programs() {
        let this_test = env::current_exe().expect("path of this test");
        assert!(!is_static(&this_test).expect("an ELF program"));
        assert!(is_static(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))).is_err());
    }
}
