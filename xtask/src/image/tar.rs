//! Writes a tar ("ustar"). Owner root, time zero: the same input gives the same bytes.

use anyhow::{Result, ensure};

const BLOCK: usize = 512;

#[derive(Default)]
pub struct Tar {
    bytes: Vec<u8>,
}

impl Tar {
    /// A name ends with `/`; what is in it comes later.
    pub fn folder(&mut self, name: &str) -> Result<()> {
        self.entry(name, b'5', 0o755, &[])
    }

    pub fn file(&mut self, name: &str, mode: u32, content: &[u8]) -> Result<()> {
        self.entry(name, b'0', mode, content)
    }

    pub fn finish(mut self) -> Vec<u8> {
        self.bytes.resize(self.bytes.len() + 2 * BLOCK, 0);
        self.bytes
    }

    fn entry(&mut self, name: &str, kind: u8, mode: u32, content: &[u8]) -> Result<()> {
        ensure!(name.len() < 100, "the format has no room for the name {name:?}");
        let mut header = [0; BLOCK];
        let mut put = |at: usize, bytes: &[u8]| header[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, name.as_bytes());
        put(100, format!("{mode:07o}").as_bytes());
        // Owner and group.
        put(108, b"0000000");
        put(116, b"0000000");
        put(124, format!("{:011o}", content.len()).as_bytes());
        put(136, b"00000000000");
        put(156, &[kind]);
        put(257, b"ustar\x0000");
        // The sum is taken with blanks in its own place.
        put(148, &[b' '; 8]);
        let sum: u32 = header.iter().copied().map(u32::from).sum();
        header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        self.bytes.extend_from_slice(&header);
        self.bytes.extend_from_slice(content);
        self.bytes.resize(self.bytes.len().next_multiple_of(BLOCK), 0);
        Ok(())
    }
}
