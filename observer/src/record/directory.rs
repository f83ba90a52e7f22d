//! Names of segments in a directory.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

pub(super) struct SegmentFile {
    pub number: u64,
    pub path: PathBuf,
    pub metadata: fs::Metadata,
}

pub(super) fn path_of(directory: &Path, number: u64) -> PathBuf {
    directory.join(format!("segment-{number:06}.obsrec"))
}

fn number_of(name: &str) -> Option<u64> {
    let digits = name.strip_prefix("segment-")?.strip_suffix(".obsrec")?;
    (digits.len() >= 6 && digits.bytes().all(|byte| byte.is_ascii_digit())).then(|| digits.parse().ok())?
}

/// The regular files named like segments, oldest first.
pub(super) fn list(directory: &Path) -> io::Result<Vec<SegmentFile>> {
    let mut segments = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let Some(number) = entry.file_name().to_str().and_then(number_of) else { continue };
        match entry.metadata() {
            Ok(metadata) if metadata.is_file() => {
                segments.push(SegmentFile { number, path: entry.path(), metadata });
            }
            Ok(_) => {}
            // The writer dropped it while this looked.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    segments.sort_by_key(|segment| segment.number);
    Ok(segments)
}
