//! What is looked up as soon as a record is seen, before the model asks: a container that lives 10 ms takes its
//! bundle with it, and its module, and has written to its log by then.

use std::collections::BTreeMap;

use observer_ebpf::control::role;

use super::now;
use crate::{
    input::{Bundle, LookupError, Module, Record},
    model::wasm::has_module_name,
    probes::{
        Event, file,
        invocation::{Command, Invocation},
        process,
    },
    source::facts::{HostRoot, bundle, module},
    time::Time,
};

/// Bundles, modules, and logs, kept for a model that has not asked for them.
const MAX_KEPT: usize = 4_096;

/// Of one process a module is read at most this often.
const MODULE_NS: u64 = 1_000_000_000;

/// When a log was looked at, and its bytes.
type Look = (Time, Result<u64, LookupError>);

#[derive(Default)]
pub(super) struct Prefetched {
    /// By the runtime that was given it.
    bundles: BTreeMap<u32, Result<Bundle, LookupError>>,
    /// By the process that has opened it, with when it did.
    modules: BTreeMap<u32, (Time, Module)>,
    /// By path.
    logs: BTreeMap<String, Look>,
}

impl Prefetched {
    /// Reads a bundle as soon as its runtime is seen, and looks at a log as soon as who writes it is.
    pub(super) fn note(&mut self, host: &HostRoot, record: &Record) {
        if let Event::File(event) = &record.event {
            self.read_module(host, record, event);
        }
        let Event::Process(process::Event::Executed(exec)) = &record.event else { return };
        match &exec.invocation {
            Invocation::Runtime { command: Command::Create | Command::Run, bundle, .. } => {
                self.read_bundle(host, record.tgid, bundle.as_deref());
            }
            Invocation::Conmon { log_path: Some(path), .. } => {
                if self.logs.len() >= MAX_KEPT {
                    self.logs.pop_first();
                }
                self.logs.insert(path.clone(), look(host, path));
            }
            _ => {}
        }
    }

    fn read_bundle(&mut self, host: &HostRoot, tgid: u32, path: Option<&str>) {
        if self.bundles.len() >= MAX_KEPT {
            self.bundles.pop_first();
        }
        // The second exec of a runtime that copies itself finds the same bundle.
        let slot = self.bundles.entry(tgid).or_insert_with(|| Err(LookupError::default()));
        if slot.is_err() {
            *slot = bundle::read_bundle(host, tgid, path);
        }
    }

    /// What a process opens in a container by the name of one, now and then: a module may open as many as it likes. It is
    /// read in the process's own root; what is found in its bundle instead is for the model to ask.
    fn read_module(&mut self, host: &HostRoot, record: &Record, event: &file::Event) {
        let is_opened = event.op == file::Op::Open && event.call.errno().is_none();
        let is_inside = event.role & role::ROOTFS != 0;
        let earlier = self.modules.get(&record.tgid);
        let is_again = earlier.is_some_and(|(at, _)| record.time.since(*at) < MODULE_NS);
        if !is_opened || !is_inside || is_again || !has_module_name(&event.path) {
            return;
        }
        if let Ok(module) = module::read(host, record.tgid, &event.path, None) {
            if self.modules.len() >= MAX_KEPT {
                self.modules.pop_first();
            }
            self.modules.insert(record.tgid, (record.time, module));
        }
    }

    /// The module that a container's init has opened at this time, read now unless it was then.
    pub(super) fn module(
        &mut self,
        host: &HostRoot,
        (init, at): (u32, Time),
        path: &str,
        bundle: Option<&str>,
    ) -> Result<Module, LookupError> {
        let kept = self.modules.remove(&init).filter(|(opened, _)| *opened == at).map(|(_, module)| module);
        kept.map_or_else(|| module::read(host, init, path, bundle), Ok)
    }

    /// The bundle that a runtime was given, read now unless it was before.
    pub(super) fn bundle(
        &mut self,
        host: &HostRoot,
        tgid: u32,
        path: Option<&str>,
    ) -> Result<Bundle, LookupError> {
        self.bundles.remove(&tgid).unwrap_or_else(|| bundle::read_bundle(host, tgid, path))
    }

    /// How long a log was when its writer was seen, told once; then, how long it is now.
    pub(super) fn log_size(&mut self, host: &HostRoot, path: &str) -> Look {
        self.logs.remove(path).unwrap_or_else(|| look(host, path))
    }
}

fn look(host: &HostRoot, path: &str) -> Look {
    let time = now();
    let failed = |why: std::io::Error| LookupError { what: path.to_owned(), why: why.to_string() };
    (time, host.file_size(path).map_err(failed))
}
