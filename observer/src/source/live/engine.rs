//! Engine libraries: attached to when a watched runtime opens one, by the very file that it opened.

use std::{collections::BTreeSet, io, os::fd::OwnedFd, path::Path};

use aya::{
    Ebpf,
    programs::{UProbe, uprobe::UProbeScope},
};
use observer_ebpf::Family;
use rustix::fs::{FileType, fstat};

use super::{
    Live,
    attach::{Link, explain, load_once, program_mut},
};
use crate::{
    health::{HookPlan, ProbePlan, Status},
    probes::fault::ENGINE,
    source::facts::{
        HostRoot,
        files::{self, Last},
    },
};

/// Files attached to at once: a node has one version of an engine, or two.
const MAX_ENGINES: usize = 16;

/// The files that are attached to, by device and inode.
#[derive(Default)]
pub struct Engines {
    known: BTreeSet<(u64, u64)>,
}

impl Engines {
    /// Attaches to what `path` is to process `tgid`, once a file; says how that went. Nothing to say of a file that
    /// is attached to already.
    pub fn attach(
        &mut self,
        ebpf: &mut Ebpf,
        host: &HostRoot,
        tgid: u32,
        path: &str,
        links: &mut Vec<Link>,
    ) -> Option<HookPlan> {
        let done = self.find(host, tgid, path).and_then(|file| match file {
            Some(file) => attach(ebpf, &file, links).map(|()| true),
            None => Ok(false),
        });
        let (rung, why) = match done {
            Ok(true) => (Some("uprobe"), format!("since it was opened as {path}")),
            Ok(false) => return None,
            Err(why) => (None, format!("{path}: {why}")),
        };
        Some(HookPlan { name: ENGINE.symbol, rung, why: Some(why) })
    }

    /// A handle of the file, if it is new. A runtime that has ended is taken to have had the node's root.
    fn find(&mut self, host: &HostRoot, tgid: u32, path: &str) -> Result<Option<OwnedFd>, String> {
        let explain = |error: io::Error| error.to_string();
        let root = files::open_root(&host.proc(format!("{tgid}/root")))
            .or_else(|_| host.open_root())
            .map_err(explain)?;
        let file = files::locate(root, Path::new(path), Last::Follow).map_err(explain)?;
        let stat = fstat(&file).map_err(|error| error.to_string())?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err("not a regular file".to_owned());
        }
        if self.known.len() >= MAX_ENGINES {
            return Err(format!("{MAX_ENGINES} files are attached to already"));
        }
        Ok(self.known.insert((stat.st_dev, stat.st_ino)).then_some(file))
    }
}

impl Live {
    /// Attaches to an engine library that process `tgid` has opened, where faults are watched: how that family is
    /// attached from now on, if that has changed.
    pub fn attach_engine(&mut self, host: &HostRoot, tgid: u32, path: &str) -> Option<ProbePlan> {
        let plan = self.plans.iter_mut().find(|plan| plan.family == Family::Fault)?;
        if plan.status == Status::Off {
            return None;
        }
        let hook = self.engines.attach(&mut self.ebpf, host, tgid, path, &mut self.links)?;
        plan.hooks.push(hook);
        Some(plan.clone())
    }
}

fn attach(ebpf: &mut Ebpf, file: &OwnedFd, links: &mut Vec<Link>) -> Result<(), String> {
    let program: &mut UProbe = program_mut(ebpf, ENGINE.program)?;
    load_once(|| program.load())?;
    let id = program
        .attach(ENGINE.symbol, files::own_link(file), UProbeScope::AllProcesses)
        .map_err(|error| explain(&error))?;
    links.push(Link::User(program.take_link(id).map_err(|error| explain(&error))?));
    Ok(())
}
