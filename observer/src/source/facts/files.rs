//! Reading files that somebody else may control: inside a given root, regular files only, up to a cap, and
//! without ever opening anything whose opening has an effect (a pipe, a device).

use std::{
    fs::File,
    io::{self, Read},
    os::fd::{AsFd, AsRawFd, OwnedFd},
    path::Path,
};

use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, fstat, open, openat2};

/// What to do with a symbolic link at the end of a path. Those on the way are followed, inside the root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Last {
    Follow,
    Refuse,
}

/// A directory that paths are resolved in, `..` and absolute links included.
pub fn open_root(path: &Path) -> io::Result<OwnedFd> {
    Ok(open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?)
}

/// A handle that names a file and opens nothing.
pub fn locate(root: impl AsFd, path: &Path, last: Last) -> io::Result<OwnedFd> {
    let nofollow = if last == Last::Refuse { OFlags::NOFOLLOW } else { OFlags::empty() };
    let flags = OFlags::PATH | OFlags::CLOEXEC | nofollow;
    Ok(openat2(root, path, flags, Mode::empty(), ResolveFlags::IN_ROOT)?)
}

/// A regular file, to be read.
///
/// # Errors
/// `InvalidInput` when it is no regular file, or what the system said.
pub fn open_regular(root: impl AsFd, path: &Path, last: Last) -> io::Result<File> {
    let handle = locate(root, path, last)?;
    if FileType::from_raw_mode(fstat(&handle)?.st_mode) != FileType::RegularFile {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    Ok(openat2(CWD, own_link(&handle), flags, Mode::empty(), ResolveFlags::empty())?.into())
}

/// The content of a regular file.
///
/// # Errors
/// Those of [`open_regular`], or `FileTooLarge` past `cap` bytes.
pub fn read_regular(root: impl AsFd, path: &Path, last: Last, cap: u64) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    open_regular(root, path, last)?.take(cap + 1).read_to_end(&mut content)?;
    if content.len() as u64 > cap {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("larger than {cap} bytes")));
    }
    Ok(content)
}

/// The path by which this process reaches what one of its own handles names.
pub fn own_link(handle: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", handle.as_raw_fd())
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    fn read(root: &Path, path: &str, last: Last) -> io::Result<Vec<u8>> {
        read_regular(open_root(root)?, Path::new(path), last, 16)
    }

    #[test]
    fn links_do_not_lead_out_of_the_root() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("file"), "inside").unwrap();
        symlink("/file", root.path().join("absolute")).unwrap();
        symlink("../../../../../file", root.path().join("upwards")).unwrap();
        for name in ["/file", "absolute", "/upwards", "../file"] {
            assert_eq!(read(root.path(), name, Last::Follow).unwrap(), b"inside", "{name}");
        }
    }

    #[test]
    fn a_link_at_the_end_can_be_refused() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("file"), "inside").unwrap();
        symlink("file", root.path().join("link")).unwrap();
        let error = read(root.path(), "link", Last::Refuse).unwrap_err();
        assert_eq!(error.to_string(), "not a regular file");
    }

    #[test]
    fn pipes_and_directories_are_not_opened() {
        let root = tempfile::tempdir().unwrap();
        rustix::fs::mknodat(CWD, root.path().join("pipe"), FileType::Fifo, Mode::RUSR, 0).unwrap();
        fs::create_dir(root.path().join("dir")).unwrap();
        for name in ["pipe", "dir"] {
            let error = read(root.path(), name, Last::Follow).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{name}");
        }
    }

    #[test]
    fn the_cap_is_kept() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("fits"), [0; 16]).unwrap();
        fs::write(root.path().join("large"), [0; 17]).unwrap();
        assert_eq!(read(root.path(), "fits", Last::Follow).unwrap().len(), 16);
        let error = read(root.path(), "large", Last::Follow).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
    }
}
