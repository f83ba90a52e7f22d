//! Loads the programs and owns them while the observer runs.

use std::{
    collections::BTreeMap,
    os::fd::{AsRawFd, BorrowedFd, OwnedFd},
    path::Path,
};

use aya::{Btf, Ebpf, EbpfLoader, maps::RingBuf};
use observer_ebpf::{
    Family,
    control::{COMM_LEN, NO_OFFSET, Offsets},
};
use zerocopy::IntoBytes;

use super::{
    attach::{self, Kernel, Link, Taken},
    btf::{BtfError, KernelTypes},
    cpu::Cpu,
    drops::DropReasons,
    endpoints::Endpoints,
    engine::Engines,
    hardware::Hardware,
    heap,
    log::KernelLog,
    maps::{self, Maps},
    reorder::{HOLD_NS, Reorder},
    resolver::Resolvers,
    ring::Ring,
    storage::Failures,
    streams::{self, Streams},
    tls::Libraries,
    tracefs::Tracefs,
};
use crate::{
    health::ProbePlan,
    input::{Input, Record},
    probes::{
        Reducer,
        stdio::{PipeState, Written},
        text::{BadKeyword, Keyword},
    },
    source::facts::HostRoot,
    time::Time,
};

/// The kernel programs, or nothing when this binary was built without them.
static OBJECT: &[u8] = aya::include_bytes_aligned!(env!("OBSERVER_BPF_OBJECT"));

/// More records than this are never held back for ordering; the oldest are handed on early.
const MAX_HELD: usize = 1 << 20;

#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("this binary was built without its kernel programs; build it with `cargo xtask build`")]
    NoObject,
    #[error("the kernel programs lack {0}")]
    Object(&'static str),
    #[error("cannot load the kernel programs: {}", chain(.0))]
    Load(#[from] aya::EbpfError),
    #[error("cannot use a map of the kernel programs: {}", chain(.0))]
    Map(#[from] aya::maps::MapError),
    #[error(
        "{0}; --btf names a file with the types of the running kernel, as /sys/kernel/btf/vmlinux has them"
    )]
    Types(#[from] BtfError),
    #[error("cannot look for text: {0}")]
    Keyword(#[from] BadKeyword),
    #[error("nothing could be attached: {0}")]
    NothingAttached(String),
}

/// All causes, each once: some tell theirs themselves.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string);
    let joined =
        |text: String, cause: String| if text.ends_with(&cause) { text } else { text + ": " + &cause };
    causes.reduce(joined).unwrap_or_default()
}

/// Where a kernel keeps its own types.
pub const OWN_TYPES: &str = "/sys/kernel/btf/vmlinux";

/// What records wait in, bytes, where nothing else is asked for.
pub const RING: u32 = 8 << 20;

/// What to load and where this kernel describes itself.
pub struct Options<'a> {
    pub families: &'a [Family],
    /// Types of the running kernel; /sys/kernel/btf/vmlinux unless the user names another file.
    pub btf: &'a Path,
    pub tracefs: Tracefs,
    /// Where the node's own mounts are to be seen.
    pub host: &'a HostRoot,
    /// Families that have nothing to watch, and why not: they are not attached.
    pub idle: &'a [(Family, &'static str)],
    /// `task->comm` of programs to watch from their exec on, with their roles.
    pub names: &'a [([u8; COMM_LEN], u32)],
    /// Bytes that records may wait in: a power of two, of pages.
    pub ring: u32,
    /// What is looked for in text.
    pub keywords: Vec<Keyword>,
}

/// Loaded and attached kernel programs, and their records.
pub struct Live {
    pub(super) ring: Ring,
    pub(super) maps: Maps,
    streams: Streams,
    drops: DropReasons,
    reorder: Reorder,
    /// What the ladder has attached, and what was attached since.
    pub(super) taken: Vec<Taken>,
    pub(super) links: Vec<Link>,
    pub(super) plans: Vec<ProbePlan>,
    reported_lost: [u64; observer_ebpf::FAMILIES],
    offsets: Offsets,
    log: Option<KernelLog>,
    /// As long as it is open, the kernel counts how long programs run.
    pub(super) counting: Option<OwnedFd>,
    pub(super) engines: Engines,
    pub(super) libraries: Libraries,
    pub(super) resolvers: Resolvers,
    pub(super) endpoints: Endpoints,
    pub(super) cpu: Cpu,
    pub(super) failures: Failures,
    pub(super) hardware: Hardware,
    // Holds the programs; dropped last.
    pub(super) ebpf: Ebpf,
}

impl Options<'_> {
    /// Whether standard streams are followed, and whether what is written to them is looked at.
    fn of_streams(&self) -> (u32, u32) {
        let has = |family| self.families.contains(&family);
        (u32::from(has(Family::Stdio)), u32::from(has(Family::Text) && !self.keywords.is_empty()))
    }
}

impl Live {
    /// Loads and attaches.
    ///
    /// # Errors
    /// When nothing at all could be attached. What is missing otherwise is in [`Live::plans`].
    // long: a constant of the kernel programs after the other
    pub fn load(options: &Options) -> Result<Self, LoadError> {
        if OBJECT.is_empty() {
            return Err(LoadError::NoObject);
        }
        let (types, btf) = types_of(options.btf)?;
        let offsets = types.as_ref().map_or(Offsets::UNKNOWN, |types| types.offsets().0);
        let page_shift = rustix::param::page_size().trailing_zeros();
        let (follow, text) = options.of_streams();
        let mut ebpf = EbpfLoader::new()
            .btf(btf.as_ref())
            .override_global("OFFSETS", offsets.as_bytes(), true)
            .override_global("PAGE_SHIFT", page_shift.as_bytes(), true)
            .override_global("FOLLOW", &follow, true)
            .map_max_entries("EVENTS", options.ring)
            .override_global("TEXT", &text, true)
            .override_global("DNS", &u32::from(options.families.contains(&Family::Dns)), true)
            .override_global("STORAGE", &u32::from(options.families.contains(&Family::Storage)), true)
            .load(OBJECT)?;
        let reducer = Reducer::new(options.keywords.clone())?;
        let ring = Ring::new(RingBuf::try_from(maps::take(&mut ebpf, "EVENTS")?)?, reducer);
        let maps = Maps::take(&mut ebpf, options.names)?;
        let mut streams = Streams::take(&mut ebpf)?;
        let drops = DropReasons::take(&mut ebpf, types.as_ref())?;

        let kernel = Kernel {
            types: types.as_ref(),
            btf: btf.as_ref(),
            tracefs: options.tracefs.clone(),
            host: options.host,
        };
        let mut taken = Vec::new();
        let plans = attach::attach(&mut ebpf, &kernel, (options.families, options.idle), &mut taken);
        if taken.iter().all(|taken| taken.links.is_empty()) {
            let why = plans.iter().flat_map(|plan| &plan.hooks).find_map(|hook| hook.why.clone());
            return Err(LoadError::NothingAttached(why.unwrap_or_default()));
        }
        if streams::by_functions(&plans) {
            streams.pipes_are_hooked();
        }
        // They take tens of megabytes, which the allocator would keep.
        drop((types, btf));
        heap::give_back();
        Ok(Self {
            ring,
            maps,
            streams,
            drops,
            reorder: Reorder::default(),
            taken,
            links: Vec::new(),
            plans,
            reported_lost: [0; observer_ebpf::FAMILIES],
            offsets,
            log: KernelLog::find(&mut ebpf),
            counting: None,
            engines: Engines::default(),
            libraries: Libraries::take(&mut ebpf)?,
            resolvers: Resolvers::default(),
            endpoints: Endpoints::take(&mut ebpf)?,
            cpu: Cpu::take(&mut ebpf)?,
            failures: Failures::take(&mut ebpf)?,
            hardware: Hardware::take(&mut ebpf)?,
            ebpf,
        })
    }

    pub fn plans(&self) -> &[ProbePlan] {
        &self.plans
    }

    /// What this kernel calls the reasons for which it drops packets, by number.
    pub fn drop_reasons(&self) -> &[(u32, String)] {
        self.drops.named()
    }

    /// Takes everything out of the ring and hands on, in order, what is old enough, then a tick. `fresh`
    /// sees each record as it comes out, before ordering: for look-ups that cannot wait.
    pub fn poll(&mut self, now: Time, mut fresh: impl FnMut(&Record), mut take: impl FnMut(Input)) {
        if let Some(log) = &mut self.log {
            log.flush();
        }
        let reorder = &mut self.reorder;
        let drained = self.ring.drain(|reduced| {
            fresh(&reduced.record);
            reorder.push(reduced.record);
        });
        if drained {
            self.hand_on(Time(now.0.saturating_sub(HOLD_NS)), &mut take);
        } else if self.reorder.len() > MAX_HELD {
            // The ring never ran dry: whatever is held is as ordered as it will get.
            self.hand_on(Time(now.0.saturating_sub(10 * HOLD_NS)), &mut take);
        }
    }

    fn hand_on(&mut self, until: Time, take: &mut impl FnMut(Input)) {
        for record in self.reorder.release(until) {
            take(Input::Record(record));
        }
        let mut lost = self.maps.lost();
        // What was no record of this version belongs to no family.
        lost[0] += self.ring.malformed;
        for (family, count) in lost.into_iter().enumerate() {
            if count != self.reported_lost[family] {
                self.reported_lost[family] = count;
                take(Input::Lost { time: until, family: family as u8, count });
            }
        }
        take(Input::Tick(until));
    }

    /// Stops the programs from emitting and hands on all that is left.
    pub fn stop(&mut self, now: Time, mut fresh: impl FnMut(&Record), mut take: impl FnMut(Input)) {
        self.maps.stop();
        let reorder = &mut self.reorder;
        while !self.ring.drain(|reduced| {
            fresh(&reduced.record);
            reorder.push(reduced.record);
        }) {}
        self.hand_on(now, &mut take);
    }

    /// Takes records out undecoded: how fixtures are made.
    pub fn capture(&mut self, take: impl FnMut(&[u8])) {
        self.ring.drain_raw(take);
    }

    /// Detaches everything, in parallel: one after the other it would take seconds.
    pub fn detach(mut self) {
        let mut links = std::mem::take(&mut self.links);
        links.extend(self.taken.drain(..).flat_map(|taken| taken.links));
        let of_libraries = self.libraries.take_links().into_iter().chain(self.resolvers.take_links());
        links.extend(of_libraries.map(Link::User));
        std::thread::scope(|scope| {
            while !links.is_empty() {
                let some = links.split_off(links.len().saturating_sub(4));
                scope.spawn(move || drop(some));
            }
        });
    }

    /// Readable when a runtime was executed: look-ups about it cannot wait.
    pub fn ring_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the ring is open as long as `self` is borrowed.
        unsafe { BorrowedFd::borrow_raw(self.ring.as_raw_fd()) }
    }

    /// Offsets and enum values as resolved, by `struct.member`; `None`: this kernel has none.
    pub fn offsets(&self) -> BTreeMap<String, Option<u32>> {
        let values = self.offsets.as_bytes().chunks_exact(4).map(|bytes| {
            let value = u32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
            (value != NO_OFFSET).then_some(value)
        });
        Offsets::PATHS.iter().map(|path| (*path).to_owned()).zip(values).collect()
    }

    /// The init of the container that the kernel programs know a process to be of.
    pub fn container_of(&self, tgid: u32) -> Option<u32> {
        self.maps.container_of(tgid)
    }

    pub fn records(&self) -> &[u64; observer_ebpf::FAMILIES] {
        &self.ring.records
    }

    /// Watches a process that was there before.
    ///
    /// # Errors
    /// When the kernel's map is full.
    pub fn watch(&mut self, tgid: u32, role: u32) -> Result<(), LoadError> {
        self.maps.watch(tgid, role)
    }

    /// Watches a container that was there before: its init and its other processes. Says whether it does: one
    /// whose start the kernel programs have seen is watched already.
    ///
    /// # Errors
    /// When the kernel's map is full.
    pub fn watch_older(&mut self, init: u32, members: &[u32]) -> Result<bool, LoadError> {
        if self.maps.is_of_container(init) {
            return Ok(false);
        }
        self.maps.watch_older(init)?;
        for tgid in members {
            if !self.maps.is_of_container(*tgid) {
                self.maps.watch_member(*tgid, init)?;
            }
        }
        Ok(true)
    }

    /// The state of a followed pipe.
    ///
    /// # Errors
    /// Why it cannot be known.
    pub fn pipe(&mut self, ino: u64) -> Result<PipeState, String> {
        self.streams.sample(&mut self.ebpf, ino)
    }

    /// What the container with this init wrote to an object.
    pub fn written(&self, init: u32, ino: u64) -> Option<Written> {
        self.streams.written(init, ino)
    }

    pub fn forget_pipe(&mut self, ino: u64) {
        self.streams.forget(ino);
    }

    /// Has the readers of followed pipes reported, and the streams of containers that were there before.
    ///
    /// # Errors
    /// Why it cannot be done.
    pub fn look_through_open_files(&mut self) -> Result<(), String> {
        streams::look_through_open_files(&mut self.ebpf)
    }

    pub fn unwatch(&mut self, tgid: u32) {
        self.maps.unwatch(tgid);
    }

    pub fn quiet(&mut self, init: u32) {
        self.maps.quiet(init);
    }
}

/// The running kernel's types, as they are looked up and as the kernel is handed them. Only those of a kernel that keeps
/// none where they are expected may be missing: a file that somebody has named is meant.
fn types_of(path: &Path) -> Result<(Option<KernelTypes>, Option<Btf>), BtfError> {
    if path == Path::new(OWN_TYPES) {
        return Ok((KernelTypes::read(path).ok(), Btf::parse_file(path, aya::Endianness::default()).ok()));
    }
    let types = KernelTypes::read_of_this_kernel(path, Path::new(OWN_TYPES))?;
    let btf = Btf::parse_file(path, aya::Endianness::default());
    Ok((Some(types), Some(btf.map_err(|error| BtfError::of(path, &error))?)))
}

/// How each family would attach, when nothing could be loaded because of `error`.
pub fn plan(btf: &Path, tracefs: Tracefs, host: &HostRoot, error: &LoadError) -> Vec<ProbePlan> {
    let types = KernelTypes::read(btf).ok();
    let kernel_btf = Btf::parse_file(btf, aya::Endianness::default()).ok();
    let kernel = Kernel { types: types.as_ref(), btf: kernel_btf.as_ref(), tracefs, host };
    attach::refused(&kernel, &error.to_string())
}
