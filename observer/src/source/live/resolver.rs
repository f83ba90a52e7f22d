//! C libraries of containers: attached to where a container is that has one, once a file, until none is left.

use std::{
    collections::{BTreeMap, BTreeSet},
    os::fd::OwnedFd,
    path::Path,
};

use aya::{Ebpf, programs::uprobe::UProbeLink};
use observer_ebpf::Family;
use rustix::{
    fs::{FileType, fstat, fstatfs},
    process::{Pid, PidfdFlags, pidfd_open},
};

use super::{
    Live, code,
    loaded::reopened,
    tls::{attach_point, has_ended},
};
use crate::{
    health::{HookPlan, ProbePlan, Status},
    probes::dns::GETADDRINFO,
    source::facts::{
        HostRoot,
        files::{self, Last},
    },
    time::Time,
};

/// Containers that have such files, a handle each; files attached to at once; what `health` names of them.
const MAX_CONTAINERS: usize = 512;
const MAX_FILES: usize = 128;
const MAX_HOOKS: usize = 64;
/// How often it is seen whether containers have ended.
const EVERY_NS: u64 = 1_000_000_000;

/// Where distributions have their C library: glibc's, and musl's, which is its loader.
#[cfg(target_arch = "x86_64")]
const PLACES: &[&str] =
    &["lib/x86_64-linux-gnu/libc.so.6", "lib64/libc.so.6", "usr/lib/libc.so.6", "lib/ld-musl-x86_64.so.1"];
#[cfg(not(target_arch = "x86_64"))]
const PLACES: &[&str] =
    &["lib/aarch64-linux-gnu/libc.so.6", "lib64/libc.so.6", "usr/lib/libc.so.6", "lib/ld-musl-aarch64.so.1"];

/// Device, inode, size and time of last change. Containers of one image have the same file by different devices: of an
/// overlay its own device says nothing, and the others tell files apart.
type FileId = (u64, u64, i64, (i64, u64));

#[derive(Default)]
pub struct Resolvers {
    containers: BTreeMap<u32, OwnedFd>,
    files: BTreeMap<FileId, Attached>,
    checked: Time,
}

#[derive(Default)]
struct Attached {
    users: BTreeSet<u32>,
    /// It is the node's own, and stays.
    is_kept: bool,
    links: Vec<UProbeLink>,
}

impl Resolvers {
    /// All that is attached, to be detached.
    pub fn take_links(&mut self) -> Vec<UProbeLink> {
        std::mem::take(&mut self.files).into_values().flat_map(|file| file.links).collect()
    }

    fn ask(&mut self, ebpf: &mut Ebpf, host: &HostRoot, tgid: u32, of_node: bool) -> Vec<HookPlan> {
        let root =
            if of_node { host.open_root() } else { files::open_root(&host.proc(format!("{tgid}/root"))) };
        let pid = i32::try_from(tgid).ok().and_then(Pid::from_raw);
        let handle = pid.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
        // It has ended: it will look up nothing more.
        let (Ok(root), Some(handle)) = (root, handle) else { return Vec::new() };
        let refused = |why: String| HookPlan { name: GETADDRINFO.entry.symbol, rung: None, why: Some(why) };
        if self.containers.len() >= MAX_CONTAINERS {
            return vec![refused(format!("{MAX_CONTAINERS} containers are looked at, and no further ones"))];
        }
        let mut said = Vec::new();
        let mut is_used = false;
        for place in PLACES {
            let Some((id, file)) = find(&root, place) else { continue };
            if !self.files.contains_key(&id) && self.files.len() >= MAX_FILES {
                said.push(refused(format!("/{place}: {MAX_FILES} files are attached to already")));
                continue;
            }
            let attached = self.files.entry(id).or_insert_with(|| {
                let (hook, links) = attach(ebpf, &file, place);
                said.push(hook);
                Attached { links, ..Attached::default() }
            });
            attached.is_kept |= of_node;
            if !of_node {
                attached.users.insert(tgid);
                is_used = true;
            }
        }
        if is_used {
            self.containers.insert(tgid, handle);
        }
        said
    }

    fn forget_ended(&mut self, now: Time) {
        if now.since(self.checked) < EVERY_NS {
            return;
        }
        self.checked = now;
        let ended: Vec<u32> =
            self.containers.extract_if(.., |_, handle| has_ended(handle)).map(|(tgid, _)| tgid).collect();
        if ended.is_empty() {
            return;
        }
        for file in self.files.values_mut() {
            file.users.retain(|user| !ended.contains(user));
        }
        let unused = self.files.extract_if(.., |_, file| file.users.is_empty() && !file.is_kept);
        let links: Vec<UProbeLink> = unused.flat_map(|(_, file)| file.links).collect();
        if !links.is_empty() {
            // The kernel takes a tenth of a second for each.
            std::thread::spawn(move || drop(links));
        }
    }
}

/// The file at a place of a root, if a regular one is there.
fn find(root: &OwnedFd, place: &str) -> Option<(FileId, OwnedFd)> {
    const OVERLAYFS: u64 = 0x794c_7630;
    let handle = files::locate(root, Path::new(place), Last::Follow).ok()?;
    let stat = fstat(&handle).ok()?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return None;
    }
    let is_overlay = fstatfs(&handle).is_ok_and(|system| system.f_type as u64 == OVERLAYFS);
    let device = if is_overlay { 0 } else { stat.st_dev };
    Some(((device, stat.st_ino, stat.st_size, (stat.st_ctime, stat.st_ctime_nsec)), handle))
}

/// How it went, and what is attached; a file that cannot be attached to is not looked at again.
fn attach(ebpf: &mut Ebpf, file: &OwnedFd, place: &str) -> (HookPlan, Vec<UProbeLink>) {
    let mut links = Vec::new();
    let done = reopened(file)
        .map_err(|error| error.to_string())
        .and_then(|opened| code::exported(opened, &GETADDRINFO))
        .and_then(|point| attach_point(ebpf, &files::own_link(file), &point, &mut links));
    let (rung, why) = match done {
        Ok(()) => (Some("uprobe"), format!("in /{place}, since a container with such a file began")),
        Err(why) => {
            links.clear();
            (None, format!("/{place}: {why}"))
        }
    };
    (HookPlan { name: GETADDRINFO.entry.symbol, rung, why: Some(why) }, links)
}

/// What says that nobody was asked: packets, and `connect`, which is hooked for connections.
fn is_known_who_is_asked(plans: &[ProbePlan]) -> bool {
    let has = |family: Family, name: &str| {
        let mut of_family = plans.iter().filter(|plan| plan.family == family).flat_map(|plan| &plan.hooks);
        of_family.any(|hook| hook.name == name && hook.rung.is_some())
    };
    has(Family::Dns, "packets") && has(Family::Net, "connect")
}

impl Live {
    /// Has look-ups that ask nobody seen, by the C libraries in the root of process `tgid`, or of the node: how look-ups are
    /// attached from now on, if that has changed.
    pub fn ask_resolver(&mut self, host: &HostRoot, tgid: u32, of_node: bool) -> Option<ProbePlan> {
        if !is_known_who_is_asked(&self.plans) {
            return None;
        }
        let hooks = self.resolvers.ask(&mut self.ebpf, host, tgid, of_node);
        let plan = self.plans.iter_mut().find(|plan| plan.family == Family::Dns)?;
        if plan.status == Status::Off {
            return None;
        }
        let before = plan.hooks.len();
        for hook in hooks {
            if plan.hooks.len() < MAX_HOOKS && !plan.hooks.contains(&hook) {
                plan.hooks.push(hook);
            }
        }
        (plan.hooks.len() > before).then(|| plan.clone())
    }

    /// Detaches from C libraries that no container has any more.
    pub fn forget_resolvers(&mut self, now: Time) {
        self.resolvers.forget_ended(now);
    }
}
