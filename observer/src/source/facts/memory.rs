//! What a control group's memory files say. Read only; a group that is gone is the normal case.

use std::io;

use super::HostRoot;
use crate::input::MemoryUse;

/// Where the memory hierarchy is, of version 1 and of version 2.
const V1: &str = "/sys/fs/cgroup/memory";
const V2: &str = "/sys/fs/cgroup";

/// More than this is no limit: version 1 says so with the largest number of pages.
const NO_LIMIT: u64 = 1 << 62;

/// How much memory a control group, by its path in its hierarchy, is charged with.
///
/// # Errors
/// It is in neither hierarchy, or cannot be read.
pub fn usage(host: &HostRoot, cgroup: &str) -> io::Result<MemoryUse> {
    let number =
        |root: &str, file: &str| host.read(format!("{root}{cgroup}/{file}")).map(|text| parse(&text));
    let stat = |root: &str, name: &str| count(&host.read(format!("{root}{cgroup}/memory.stat")).ok()?, name);
    if let Ok(Some(current)) = number(V1, "memory.usage_in_bytes") {
        return Ok(MemoryUse {
            current,
            peak: number(V1, "memory.max_usage_in_bytes")?,
            limit: number(V1, "memory.limit_in_bytes")?.filter(|limit| *limit < NO_LIMIT),
            limit_hits: number(V1, "memory.failcnt")?,
            inactive_file: stat(V1, "total_inactive_file"),
            anonymous: stat(V1, "total_rss"),
        });
    }
    let current = number(V2, "memory.current")?;
    let events = host.read(format!("{V2}{cgroup}/memory.events"))?;
    Ok(MemoryUse {
        current: current.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "not a number"))?,
        // Since Linux 5.19.
        peak: number(V2, "memory.peak").unwrap_or_default(),
        limit: number(V2, "memory.max")?,
        limit_hits: count(&events, "max"),
        inactive_file: stat(V2, "inactive_file"),
        anonymous: stat(V2, "anon"),
    })
}

/// `max` is no number: no limit.
fn parse(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

fn count(events: &str, name: &str) -> Option<u64> {
    events.lines().find_map(|line| parse(line.strip_prefix(name)?.strip_prefix(' ')?))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn host(folder: &str, files: &[(&str, &str)]) -> (tempfile::TempDir, HostRoot) {
        let dir = tempfile::tempdir().unwrap();
        let group = dir.path().join(folder);
        fs::create_dir_all(&group).unwrap();
        for (name, text) in files {
            fs::write(group.join(name), text).unwrap();
        }
        let host = HostRoot::at(dir.path());
        (dir, host)
    }

    #[test]
    fn version_1() {
        let files = [
            ("memory.usage_in_bytes", "4096\n"),
            ("memory.max_usage_in_bytes", "8192\n"),
            ("memory.limit_in_bytes", "9223372036854771712\n"),
            ("memory.failcnt", "3\n"),
            ("memory.stat", "inactive_file 7\ntotal_inactive_file 512\nrss 9\ntotal_rss 1024\n"),
        ];
        let (_dir, host) = host("sys/fs/cgroup/memory/pod/c", &files);
        let expected = MemoryUse {
            current: 4096,
            peak: Some(8192),
            limit: None,
            limit_hits: Some(3),
            inactive_file: Some(512),
            anonymous: Some(1024),
        };
        assert_eq!(usage(&host, "/pod/c").unwrap(), expected);
        assert!(usage(&host, "/pod/gone").is_err());
    }

    #[test]
    fn version_2_with_and_without_a_peak() {
        let files = [
            ("memory.current", "4096\n"),
            ("memory.max", "65536\n"),
            ("memory.events", "low 0\nhigh 0\nmax 12\noom 1\noom_kill 0\n"),
        ];
        let (dir, host) = host("sys/fs/cgroup/pod/c", &files);
        let expected = MemoryUse {
            current: 4096,
            peak: None,
            limit: Some(65536),
            limit_hits: Some(12),
            inactive_file: None,
            anonymous: None,
        };
        assert_eq!(usage(&host, "/pod/c").unwrap(), expected);
        let group = dir.path().join("sys/fs/cgroup/pod/c");
        fs::write(group.join("memory.peak"), "5000\n").unwrap();
        fs::write(group.join("memory.max"), "max\n").unwrap();
        let told = usage(&host, "/pod/c").unwrap();
        assert_eq!((told.peak, told.limit), (Some(5000), None));
    }
}
