//! Which files of a process may be TLS libraries: those of OpenSSL that it has loaded, and its own program. Found in
//! its own root, and opened only if they are regular.

use std::{collections::BTreeSet, fs::File, io, os::fd::OwnedFd, path::Path};

use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, fstat, openat2};

use crate::{
    probes::tls::OPENSSL,
    source::facts::{
        HostRoot,
        files::{self, Last},
    },
};

/// What `health` calls the two kinds.
pub const OPENSSL_HOOK: &str = "OpenSSL";
pub const GO_HOOK: &str = "Go crypto/tls";

/// Device and inode.
pub type FileId = (u64, u64);

/// A file that a process runs or has loaded, opened.
pub struct Found {
    pub hook: &'static str,
    pub path: String,
    pub id: FileId,
    pub handle: OwnedFd,
}

/// What of a process may be a TLS library: those of OpenSSL that it has loaded, and its own program.
pub fn find(host: &HostRoot, tgid: u32) -> Vec<Found> {
    let Ok(root) = files::open_root(&host.proc(format!("{tgid}/root"))) else { return Vec::new() };
    let maps = host.read_proc(format!("{tgid}/maps")).unwrap_or_default();
    let exe = std::fs::read_link(host.proc(format!("{tgid}/exe"))).ok();
    let exe = exe.map(|path| (GO_HOOK, path.to_string_lossy().into_owned()));
    let named = libraries(&maps).into_iter().map(|path| (OPENSSL_HOOK, path.to_owned())).chain(exe);
    named.filter_map(|(hook, path)| open(&root, hook, path).ok()).collect()
}

fn open(root: &OwnedFd, hook: &'static str, path: String) -> io::Result<Found> {
    let handle = files::locate(root, Path::new(&path), Last::Follow)?;
    let stat = fstat(&handle)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    Ok(Found { hook, path, id: (stat.st_dev, stat.st_ino), handle })
}

/// To be read: what the handle names is known to be a regular file.
pub fn reopened(handle: &OwnedFd) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    Ok(File::from(openat2(CWD, files::own_link(handle), flags, Mode::empty(), ResolveFlags::empty())?))
}

/// The files of OpenSSL in the text of `/proc/PID/maps`, each once: of lines that may be executed.
fn libraries(maps: &str) -> BTreeSet<&str> {
    let library = OPENSSL[0].entry.library;
    maps.lines()
        .filter_map(|line| {
            let (_, rest) = line.split_once(' ')?;
            let is_code = rest.as_bytes().get(2) == Some(&b'x');
            let path = &line[line.find('/')?..];
            let name = path.rsplit('/').next()?;
            (is_code && name.starts_with(library)).then_some(path)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_found_by_their_code() {
        let maps = "\
7f00-7f01 r--p 00000000 fe:00 12 /usr/lib/libssl.so.3
7f01-7f02 r-xp 00001000 fe:00 12 /usr/lib/libssl.so.3
7f02-7f03 r-xp 00002000 fe:00 12 /usr/lib/libssl.so.3
7f03-7f04 r-xp 00000000 fe:00 13 /opt/my libs/libssl.so.1.1
7f04-7f05 r--p 00000000 fe:00 14 /tmp/libssl.so.data
7f05-7f06 r-xp 00000000 fe:00 15 /usr/lib/libcrypto.so.3
7f06-7f07 r-xp 00000000 00:00 0 [vdso]
7f07-7f08 rw-p 00000000 00:00 0 \n";
        let found: Vec<&str> = libraries(maps).into_iter().collect();
        assert_eq!(found, ["/opt/my libs/libssl.so.1.1", "/usr/lib/libssl.so.3"]);
    }
}
