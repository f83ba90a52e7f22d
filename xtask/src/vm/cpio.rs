//! Writes a "newc" archive, the format of an initramfs. Owner root, time zero: the same input gives the same bytes.

use anyhow::{Context as _, Result};
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

const DIRECTORY: u32 = 0o040_000;
const REGULAR: u32 = 0o100_000;
const SYMLINK: u32 = 0o120_000;

#[derive(Default)]
pub struct Archive {
    bytes: Vec<u8>,
    entries: u32,
}

impl Archive {
    /// `name` is relative to the root; directories come before what is in them.
    pub fn directory(&mut self, name: &str) {
        self.entry(name, DIRECTORY | 0o755, &[]);
    }

    pub fn file(&mut self, name: &str, mode: u32, content: &[u8]) {
        self.entry(name, REGULAR | (mode & 0o7777), content);
    }

    /// Adds `path`, with all that is below it if it is a directory, as `name`. Of a name that `keep` refuses
    /// nothing is taken.
    pub fn tree(&mut self, name: &str, path: &Path, keep: &dyn Fn(&str) -> bool) -> Result<()> {
        if !keep(name) {
            return Ok(());
        }
        let metadata = path.symlink_metadata().with_context(|| format!("cannot read {}", path.display()))?;
        if metadata.is_dir() {
            self.directory(name);
            let mut children = fs::read_dir(path)?.collect::<std::io::Result<Vec<_>>>()?;
            children.sort_by_key(fs::DirEntry::file_name);
            for child in children {
                self.tree(&format!("{name}/{}", child.file_name().to_string_lossy()), &child.path(), keep)?;
            }
        } else if metadata.is_symlink() {
            self.entry(name, SYMLINK | 0o777, fs::read_link(path)?.as_os_str().as_bytes());
        } else if metadata.is_file() {
            let content = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
            self.file(name, metadata.permissions().mode(), &content);
        }
        Ok(())
    }

    pub fn finish(mut self) -> Vec<u8> {
        self.entry("TRAILER!!!", 0, &[]);
        self.bytes
    }

    fn entry(&mut self, name: &str, mode: u32, content: &[u8]) {
        self.entries += 1;
        let size = u32::try_from(content.len()).expect("the format holds no file of 4 GiB");
        let name_size = u32::try_from(name.len() + 1).expect("a path is short");
        let (owner, links, time, device, check) = (0, 1, 0, 0, 0);
        let fields = [
            self.entries,
            mode,
            owner,
            owner,
            links,
            time,
            size,
            device,
            device,
            device,
            device,
            name_size,
            check,
        ];
        self.bytes.extend_from_slice(b"070701");
        for field in fields {
            self.bytes.extend_from_slice(format!("{field:08x}").as_bytes());
        }
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(content);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::Archive;

    #[test]
    fn an_entry_is_laid_out_as_the_kernel_reads_it() {
        let mut archive = Archive::default();
        archive.file("init", 0o755, b"x");
        let bytes = archive.finish();
        let header = "070701\
                      00000001000081ed0000000000000000000000010000000000000001\
                      000000000000000000000000000000000000000500000000";
        assert_eq!(&bytes[..110], header.as_bytes());
        assert_eq!(&bytes[110..120], b"init\0\0x\0\0\0", "name and content each end on a multiple of four");
        assert_eq!(&bytes[120..126], b"070701");
        assert!(bytes.len().is_multiple_of(4));
    }
}
