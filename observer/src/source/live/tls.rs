//! TLS libraries: attached to where a process is asked for that uses one, once a file, until nobody uses it any more.

use std::{
    collections::{BTreeMap, BTreeSet},
    os::fd::OwnedFd,
    time::Duration,
};

use aya::{
    Ebpf,
    maps::{HashMap, MapData},
    programs::{
        UProbe,
        uprobe::{UProbeLink, UProbeScope},
    },
};
use observer_ebpf::{Family, wire::tls::side};
use rustix::{
    event::{PollFd, PollFlags, poll},
    process::{Pid, PidfdFlags, pidfd_open},
};

use super::{
    Live, LoadError,
    attach::{explain, load_once, program_mut},
    code::{self, Points},
    loaded::{FileId, Found, OPENSSL_HOOK, find, reopened},
    maps::take,
};
use crate::{
    health::{HookPlan, ProbePlan, Status},
    output::Side,
    source::facts::{HostRoot, files},
    time::Time,
};

/// Files attached to at once.
const MAX_FILES: usize = 32;
/// Files of which it is said how they were attached to.
const MAX_HOOKS: usize = 64;
/// Processes asked for at once: what the kernel's map holds.
const MAX_PROCESSES: usize = 1_024;
/// A program may load its library at any time: when it is looked at again, at first and at last.
const SOON: Duration = Duration::from_millis(50);
const LATER: Duration = Duration::from_secs(30);
/// How often it is seen whether processes have ended.
const EVERY: Duration = Duration::from_secs(1);

/// Processes asked for, and the files that are attached to for them.
pub struct Libraries {
    asked: HashMap<MapData, u32, u32>,
    calls: HashMap<MapData, [u64; 3], [u64; 7]>,
    writing: HashMap<MapData, u64, u64>,
    left: HashMap<MapData, [u64; 2], u32>,
    processes: BTreeMap<u32, Process>,
    files: BTreeMap<FileId, Attached>,
    checked: Time,
}

struct Process {
    handle: OwnedFd,
    sides: u32,
    /// Nothing was found in it yet: when to look again, and how long to wait after that.
    look: Option<(Time, Duration)>,
}

struct Attached {
    users: BTreeSet<u32>,
    links: Vec<UProbeLink>,
}

impl Libraries {
    pub fn take(ebpf: &mut Ebpf) -> Result<Self, LoadError> {
        Ok(Self {
            asked: HashMap::try_from(take(ebpf, "TLS_ASKED")?)?,
            calls: HashMap::try_from(take(ebpf, "TLS_CALLS")?)?,
            writing: HashMap::try_from(take(ebpf, "TLS_WRITING")?)?,
            left: HashMap::try_from(take(ebpf, "TLS_LEFT")?)?,
            processes: BTreeMap::new(),
            files: BTreeMap::new(),
            checked: Time(0),
        })
    }

    /// Has the calls of a process seen, and adds to the plan what was attached to; it is looked at again later if
    /// nothing was found. Gives the plan if it has changed.
    pub fn ask(
        &mut self,
        ebpf: &mut Ebpf,
        host: &HostRoot,
        (tgid, side): (u32, Side),
        now: Time,
        plan: &mut ProbePlan,
    ) -> Option<ProbePlan> {
        if plan.status == Status::Off {
            return None;
        }
        let hooks = self.begin(ebpf, host, tgid, bits(side), now);
        add(plan, hooks)
    }

    fn begin(&mut self, ebpf: &mut Ebpf, host: &HostRoot, tgid: u32, sides: u32, now: Time) -> Vec<HookPlan> {
        if let Some(process) = self.processes.get_mut(&tgid) {
            process.sides |= sides;
            if process.look.is_none() {
                let _ = self.asked.insert(tgid, process.sides, 0);
            }
            return Vec::new();
        }
        if self.processes.len() >= MAX_PROCESSES {
            let why = format!("process {tgid} is not looked at: {MAX_PROCESSES} others are");
            return vec![HookPlan { name: "processes", rung: None, why: Some(why) }];
        }
        let pid = i32::try_from(tgid).ok().and_then(Pid::from_raw);
        // It has ended: nothing more will be said in it.
        let Some(handle) = pid.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok()) else {
            return Vec::new();
        };
        self.processes.insert(tgid, Process { handle, sides, look: Some((now, SOON)) });
        self.look(ebpf, host, tgid, now)
    }

    /// Looks again at those in which nothing was found, and forgets those that have ended.
    pub fn turn(
        &mut self,
        ebpf: &mut Ebpf,
        host: &HostRoot,
        now: Time,
        plan: &mut ProbePlan,
    ) -> Option<ProbePlan> {
        let is_due = |process: &Process| process.look.is_some_and(|(at, _)| at <= now);
        let due: Vec<u32> =
            self.processes.iter().filter(|(_, process)| is_due(process)).map(|(tgid, _)| *tgid).collect();
        let hooks = due.into_iter().flat_map(|tgid| self.look(ebpf, host, tgid, now)).collect();
        if now.since(self.checked) >= EVERY.as_nanos() as u64 {
            self.checked = now;
            self.forget_ended();
        }
        add(plan, hooks)
    }

    /// All that is attached, to be detached.
    pub fn take_links(&mut self) -> Vec<UProbeLink> {
        std::mem::take(&mut self.files).into_values().flat_map(|file| file.links).collect()
    }

    fn look(&mut self, ebpf: &mut Ebpf, host: &HostRoot, tgid: u32, now: Time) -> Vec<HookPlan> {
        let mut said = Vec::new();
        let mut is_used = false;
        for found in find(host, tgid) {
            let (hook, path) = (found.hook, found.path.clone());
            match self.attach(ebpf, &found, tgid) {
                Ok(None) => {}
                Ok(Some(news)) => {
                    is_used = true;
                    said.extend(news.map(|why| HookPlan {
                        name: hook,
                        rung: Some("uprobe"),
                        why: Some(why),
                    }));
                }
                Err(why) => {
                    said.push(HookPlan { name: hook, rung: None, why: Some(format!("{path}: {why}")) });
                    is_used = true; // it will not be another one later
                }
            }
        }
        let Some(process) = self.processes.get_mut(&tgid) else { return said };
        process.look = match process.look {
            Some((_, wait)) if !is_used => Some((now.plus(wait.as_nanos() as u64), (wait * 4).min(LATER))),
            _ => None,
        };
        if process.look.is_none() {
            let _ = self.asked.insert(tgid, process.sides, 0);
        }
        said
    }

    /// `None`: there is nothing in the file to attach to. The news is what was not attached to before.
    fn attach(
        &mut self,
        ebpf: &mut Ebpf,
        found: &Found,
        tgid: u32,
    ) -> Result<Option<Option<String>>, String> {
        if let Some(file) = self.files.get_mut(&found.id) {
            file.users.insert(tgid);
            return Ok(Some(None));
        }
        if self.files.len() >= MAX_FILES {
            return Err(format!("{MAX_FILES} files are attached to already"));
        }
        let file = reopened(&found.handle).map_err(|error| error.to_string())?;
        let points =
            if found.hook == OPENSSL_HOOK { Some(code::of_openssl(file)?) } else { code::of_go(file)? };
        let Some(points) = points else { return Ok(None) };
        let path = files::own_link(&found.handle);
        let mut links = Vec::new();
        for point in &points {
            attach_point(ebpf, &path, point, &mut links)?;
        }
        let news = format!("{} places in {}", links.len(), found.path);
        self.files.insert(found.id, Attached { users: BTreeSet::from([tgid]), links });
        Ok(Some(Some(news)))
    }

    fn forget_ended(&mut self) {
        let ended = self.processes.iter().filter(|(_, one)| has_ended(&one.handle));
        let ended: Vec<u32> = ended.map(|(tgid, _)| *tgid).collect();
        for tgid in ended {
            self.processes.remove(&tgid);
            let _ = self.asked.remove(&tgid);
            self.sweep(tgid);
            for file in self.files.values_mut() {
                file.users.remove(&tgid);
            }
        }
        let unused = self.files.extract_if(.., |_, file| file.users.is_empty());
        let links: Vec<UProbeLink> = unused.flat_map(|(_, file)| file.links).collect();
        if !links.is_empty() {
            // The kernel takes a tenth of a second for each.
            std::thread::spawn(move || drop(links));
        }
    }

    /// Removes the calls that a process was in when it ended.
    fn sweep(&mut self, tgid: u32) {
        let calls: Vec<[u64; 3]> =
            self.calls.keys().flatten().filter(|[of, ..]| *of == u64::from(tgid)).collect();
        for key in calls {
            let _ = self.calls.remove(&key);
        }
        let threads: Vec<u64> =
            self.writing.keys().flatten().filter(|thread| thread >> 32 == u64::from(tgid)).collect();
        for key in threads {
            let _ = self.writing.remove(&key);
        }
    }
}

/// Whether the process of this handle has ended.
pub(super) fn has_ended(process: &OwnedFd) -> bool {
    let mut handles = [PollFd::new(process, PollFlags::IN)];
    let at_once = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut handles, Some(&at_once)).is_ok_and(|ready| ready > 0)
}

/// As the kernel programs have it.
const fn bits(side: Side) -> u32 {
    match side {
        Side::Client => side::CLIENT,
        Side::Server => side::SERVER,
    }
}

/// The plan with these, if they are new: the same file is refused once, whoever uses it.
fn add(plan: &mut ProbePlan, hooks: Vec<HookPlan>) -> Option<ProbePlan> {
    if hooks.is_empty() {
        return None;
    }
    if plan.status == Status::Waiting {
        plan.hooks.clear();
    }
    let before = plan.hooks.len();
    for hook in hooks {
        if plan.hooks.len() < MAX_HOOKS && !plan.hooks.contains(&hook) {
            plan.hooks.push(hook);
        }
    }
    if plan.hooks.len() == before {
        return None;
    }
    let is_missing = plan.hooks.iter().any(|hook| hook.rung.is_none());
    plan.status = if is_missing { Status::Degraded } else { Status::Attached };
    Some(plan.clone())
}

/// Returns first: a call that is kept must have one that clears it.
pub(super) fn attach_point(
    ebpf: &mut Ebpf,
    path: &str,
    point: &Points,
    links: &mut Vec<UProbeLink>,
) -> Result<(), String> {
    if let Some(returned) = point.function.returned {
        for at in &point.returns {
            links.push(attach_at(ebpf, returned, path, *at)?);
        }
    }
    links.push(attach_at(ebpf, point.function.entry.program, path, point.entry)?);
    Ok(())
}

fn attach_at(ebpf: &mut Ebpf, program: &str, path: &str, at: u64) -> Result<UProbeLink, String> {
    let program: &mut UProbe = program_mut(ebpf, program)?;
    load_once(|| program.load())?;
    let id = program.attach(at, path, UProbeScope::AllProcesses).map_err(|error| explain(&error))?;
    program.take_link(id).map_err(|error| explain(&error))
}

impl Live {
    /// Has webhook calls of process `tgid` seen in its TLS library, where that is asked for at all: how that family is
    /// attached from now on, if that has changed.
    pub fn ask_tls(&mut self, host: &HostRoot, tgid: u32, side: Side, now: Time) -> Option<ProbePlan> {
        let plan = self.plans.iter_mut().find(|plan| plan.family == Family::Tls)?;
        self.libraries.ask(&mut self.ebpf, host, (tgid, side), now, plan)
    }

    /// Nothing more of this connection is to be seen.
    pub fn leave_tls(&mut self, tgid: u32, connection: u64) {
        let _ = self.libraries.left.insert([u64::from(tgid), connection], 1, 0);
    }

    /// The same of processes that had loaded no such library before.
    pub fn look_for_tls(&mut self, host: &HostRoot, now: Time) -> Option<ProbePlan> {
        let plan = self.plans.iter_mut().find(|plan| plan.family == Family::Tls)?;
        self.libraries.turn(&mut self.ebpf, host, now, plan)
    }
}
