//! Which file system a call failed in, and how much room there is in those that the node lives on. Only `statfs` is
//! asked, of handles that open nothing. It may wait for a server that is gone: never to be called where somebody waits.

use std::{
    fs, io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

use rustix::fs::{AtFlags, StatxFlags, fstatvfs, statx};

use super::{
    HostRoot, failed,
    files::{self, Last},
};
use crate::{
    input::{Device, FailedAt, Filesystem, LookupError, NodeFilesystem, Purpose, Room},
    probes::storage::On,
};

/// What a call was about, as far as the kernel side knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    pub tgid: u32,
    /// Processes that see the same, if it is gone: its container's init, who began it.
    pub others: Vec<u32>,
    pub on: On,
    pub fd: i32,
    pub text: Option<String>,
    pub device: Device,
}

const AT_FDCWD: i32 = -100;
/// Directories above a file that are looked for.
const MAX_DEPTH: usize = 64;

/// Where a call failed.
///
/// # Errors
/// Why that cannot be known any more.
pub fn failed_at(host: &HostRoot, call: &Call) -> Result<FailedAt, LookupError> {
    let path = path_of(host, call);
    let views = [call.tgid].iter().chain(&call.others).map(|pid| View::of(host, *pid)).collect::<Vec<_>>();
    // If its processes are gone: what it wrote to may be the node's own.
    let mut views = views.into_iter().chain([View::of(host, 1), View::own(host)]).filter_map(Result::ok);
    let found = views.find_map(|view| {
        let by_path = path.as_deref().and_then(|path| view.by_path(path, call));
        by_path.or_else(|| view.by_device(call))
    });
    let found = found.ok_or_else(|| failed("a file system", "whoever used it is gone"))?;
    let filesystem = below(host, found);
    Ok(FailedAt { path: path.map(|path| path.display().to_string()), filesystem })
}

/// From the caller's root on, as far as that can be told.
fn path_of(host: &HostRoot, call: &Call) -> Option<PathBuf> {
    let link = |name: String| fs::read_link(host.proc(name)).ok().filter(|path| path.is_absolute());
    let text = call.text.as_deref().map(Path::new);
    match call.on {
        On::Key => None,
        On::Descriptor => {
            let path = link(format!("{}/fd/{}", call.tgid, call.fd))?;
            let path = path.to_str().map_or(path.clone(), |text| text.trim_end_matches(" (deleted)").into());
            // Otherwise it was closed, and something else is open there by now.
            (path.file_name().map(Path::new) == text).then_some(path)
        }
        On::Path if text?.is_absolute() => text.map(Path::to_owned),
        On::Path => {
            let base = if call.fd == AT_FDCWD { "cwd".to_owned() } else { format!("fd/{}", call.fd) };
            Some(link(format!("{}/{base}", call.tgid))?.join(text?))
        }
    }
}

/// What a process sees.
struct View {
    root: OwnedFd,
    /// Below that root.
    mounts: Vec<Mount>,
}

/// A line of `mountinfo`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Mount {
    id: u64,
    device: Device,
    mount: String,
    kind: String,
    source: String,
    /// Where an overlay keeps what is written.
    upper: Option<String>,
}

struct Found {
    mount: Mount,
    room: Room,
}

impl View {
    fn of(host: &HostRoot, pid: u32) -> io::Result<View> {
        let root = files::open_root(&host.proc(format!("{pid}/root")))?;
        let mounts = parse(&host.read_proc(format!("{pid}/mountinfo"))?);
        Ok(View { root, mounts })
    }

    /// The node's files, as the observer itself sees them.
    fn own(host: &HostRoot) -> io::Result<View> {
        let mut mounts = parse(&fs::read_to_string("/proc/self/mountinfo")?);
        mounts.retain_mut(|mount| {
            let inside = Path::new(&mount.mount).strip_prefix(host.path("/")).map(Path::to_owned);
            inside.is_ok_and(|inside| {
                mount.mount = format!("/{}", inside.display());
                true
            })
        });
        Ok(View { root: host.open_root()?, mounts })
    }

    /// By what is there of it: a file that could not be made has at least a directory that it was to be in. Another
    /// process may have another file system there: then the devices differ.
    fn by_path(&self, path: &Path, call: &Call) -> Option<Found> {
        let found = self.at(path, call.on)?;
        let is_other =
            call.on == On::Descriptor && call.device.is_known() && found.mount.device != call.device;
        (!is_other).then_some(found)
    }

    fn at(&self, path: &Path, on: On) -> Option<Found> {
        let skipped = usize::from(on == On::Path);
        let handle = path
            .ancestors()
            .skip(skipped)
            .take(MAX_DEPTH)
            .find_map(|path| files::locate(&self.root, path, Last::Follow).ok())?;
        let id = mount_of(&handle)?;
        let mount = self.mounts.iter().find(|mount| mount.id == id)?.clone();
        Some(Found { mount, room: room(&handle).ok()? })
    }

    /// By the device that the kernel side has seen: of a path only that at which it began.
    fn by_device(&self, call: &Call) -> Option<Found> {
        let may_lead_elsewhere =
            call.on == On::Path && call.text.as_ref().is_none_or(|text| text.contains('/'));
        let is_it = |mount: &&Mount| call.device.is_known() && mount.device == call.device;
        let mounts = self.mounts.iter().filter(|_| !may_lead_elsewhere).filter(is_it);
        mounts.take(MAX_DEPTH).find_map(|mount| {
            let handle = files::locate(&self.root, Path::new(&mount.mount), Last::Follow).ok()?;
            // Something else may be mounted above it.
            let is_visible = mount_of(&handle)? == mount.id;
            is_visible.then(|| room(&handle).ok()).flatten().map(|room| Found { mount: mount.clone(), room })
        })
    }
}

/// The number of the mount that a handle is in, since Linux 5.8.
fn mount_of(handle: &OwnedFd) -> Option<u64> {
    let found = statx(handle, "", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID).ok()?;
    (found.stx_mask & StatxFlags::MNT_ID.bits() != 0).then_some(found.stx_mnt_id)
}

fn room(handle: &OwnedFd) -> io::Result<Room> {
    let found = fstatvfs(handle)?;
    let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
    Ok(Room {
        total_bytes: bytes(found.f_blocks),
        available_bytes: bytes(found.f_bavail),
        total_inodes: found.f_files,
        free_inodes: found.f_ffree,
    })
}

/// An overlay has no room of its own: what is written to it lies in its upper directory, which is the node's.
fn below(host: &HostRoot, found: Found) -> Filesystem {
    let upper = found.mount.upper.as_deref().and_then(|upper| {
        let views = [View::of(host, 1), View::own(host)];
        views.into_iter().filter_map(Result::ok).find_map(|view| view.at(Path::new(upper), On::Descriptor))
    });
    let Found { mount, room } = upper.unwrap_or(found);
    let Mount { device, mount, kind, source, .. } = mount;
    Filesystem { device, kind, source, mount, room }
}

/// `36 35 98:0 /root /mount rw,noatime master:1 - ext3 /dev/root rw,errors=continue`
fn parse(mountinfo: &str) -> Vec<Mount> {
    mountinfo.lines().filter_map(line).collect()
}

fn line(line: &str) -> Option<Mount> {
    let (mount, kind) = line.split_once(" - ")?;
    let mut mount = mount.split(' ');
    let id = mount.next()?.parse().ok()?;
    let (major, minor) = mount.nth(1)?.split_once(':')?;
    let device = Device { major: major.parse().ok()?, minor: minor.parse().ok()? };
    let place = plain(mount.nth(1)?);
    let mut kind = kind.split(' ');
    let (kind, source, options) = (kind.next()?.to_owned(), plain(kind.next()?), kind.next().unwrap_or(""));
    let upper = options.split(',').find_map(|option| option.strip_prefix("upperdir="));
    let upper = upper.map(plain).filter(|path| kind == "overlay" && path.starts_with('/'));
    Some(Mount { id, device, mount: place, kind, source, upper })
}

/// Spaces, tabs, line ends and backslashes are written as `\040` and the like.
fn plain(escaped: &str) -> String {
    let mut parts = escaped.split('\\');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let number = part.get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match number {
            Some(byte) => {
                text.push(char::from(byte));
                text.push_str(&part[3..]);
            }
            None => {
                text.push('\\');
                text.push_str(part);
            }
        }
    }
    text
}

/// Where a kubelet, an engine and K3s keep what they have.
const KUBELET: &str = "/var/lib/kubelet";
const CONTAINERD: &str = "/var/lib/containerd";
const K3S: &str = "/var/lib/rancher/k3s";

/// The file systems that the node lives on, each once for each purpose.
pub fn of_node(host: &HostRoot) -> Vec<NodeFilesystem> {
    let Ok(view) = View::own(host) else { return Vec::new() };
    let there = |path: &str| files::locate(&view.root, Path::new(path), Last::Follow).is_ok();
    let (is_node, is_k3s) = (there(KUBELET), there(K3S));
    let purpose = |path: &str| match path {
        // Nobody evicts anything where there is no kubelet.
        _ if !is_node => Purpose::Root,
        KUBELET | K3S if is_k3s => Purpose::K3s,
        KUBELET => Purpose::Nodefs,
        CONTAINERD if !is_k3s => Purpose::Imagefs,
        _ => Purpose::Root,
    };
    let mut found: Vec<NodeFilesystem> = Vec::new();
    for path in [KUBELET, CONTAINERD, K3S, "/"] {
        if !there(path) {
            continue;
        }
        let Some(of_path) = view.at(Path::new(path), On::Descriptor) else { continue };
        let of_path = NodeFilesystem { purpose: purpose(path), filesystem: below(host, of_path) };
        let is_known = found.iter().any(|known| {
            known.filesystem.device == of_path.filesystem.device
                && (known.purpose == of_path.purpose || of_path.purpose == Purpose::Root)
        });
        if !is_known {
            found.push(of_path);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_mounts_are_understood() {
        let text = "\
36 35 98:0 /root /mnt\\040one rw,noatime master:1 shared:2 - ext3 /dev/ro\\134ot rw,errors=continue
90 36 0:45 / / rw - overlay overlay rw,lowerdir=/a:/b,upperdir=/var/lib/up\\040per/fs,workdir=/w
91 36 0:46 / / rw - overlay overlay rw,lowerdir=/a:/b,upperdir=up,workdir=/w
nonsense
92 36 x:46 / / rw - tmpfs t rw\n";
        let mounts = parse(text);
        assert_eq!(mounts.len(), 3);
        let first = Mount {
            id: 36,
            device: Device { major: 98, minor: 0 },
            mount: "/mnt one".into(),
            kind: "ext3".into(),
            source: "/dev/ro\\ot".into(),
            upper: None,
        };
        assert_eq!(mounts[0], first);
        assert_eq!(mounts[1].upper.as_deref(), Some("/var/lib/up per/fs"));
        assert_eq!(mounts[2].upper, None, "relative to a directory that nobody knows");
    }

    fn call(on: On, fd: i32, text: &str) -> Call {
        let (tgid, device) = (std::process::id(), Device::default());
        Call { tgid, others: Vec::new(), on, fd, text: Some(text.into()), device }
    }

    #[test]
    fn a_call_is_found_by_its_path() {
        use std::os::fd::AsRawFd;
        let host = HostRoot::at("/");
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let file = fs::File::create(&path).unwrap();
        let of_path =
            failed_at(&host, &call(On::Path, AT_FDCWD, &format!("{}/a/b", path.display()))).unwrap();
        assert!(of_path.filesystem.room.total_bytes > 0 && of_path.filesystem.mount.starts_with('/'));
        let of_file = failed_at(&host, &call(On::Descriptor, file.as_raw_fd(), "file")).unwrap();
        assert_eq!(of_file.path.as_deref(), path.to_str());
        assert_eq!(of_file.filesystem.device, of_path.filesystem.device);
        let dir = fs::File::open(dir.path()).unwrap();
        let relative = failed_at(&host, &call(On::Path, dir.as_raw_fd(), "new")).unwrap();
        assert_eq!(relative.path.as_deref(), path.with_file_name("new").to_str());
        // Something else is open there by now, and the device is not known either.
        assert!(failed_at(&host, &call(On::Descriptor, file.as_raw_fd(), "other")).is_err());
    }

    #[test]
    fn whoever_is_gone_may_have_written_to_the_node() {
        let host = HostRoot::at("/");
        let device = View::own(&host).unwrap().mounts.iter().find(|mount| mount.mount == "/").unwrap().device;
        let gone = Call { tgid: u32::MAX, ..call(On::Descriptor, 1, "file") };
        assert!(failed_at(&host, &gone).is_err());
        let known = failed_at(&host, &Call { device, ..gone }).unwrap();
        assert_eq!((known.path, known.filesystem.room.total_bytes > 0), (None, true));
    }

    #[test]
    fn the_node_has_a_root() {
        let found = of_node(&HostRoot::at("/"));
        assert!(found.iter().any(|found| found.filesystem.room.total_bytes > 0), "{found:?}");
    }
}
