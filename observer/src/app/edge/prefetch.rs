//! What is looked up as soon as a record is seen, before the model asks: a container that lives 10 ms takes its
//! bundle with it, and has written to its log by then.

use std::collections::BTreeMap;

use super::now;
use crate::{
    input::{Bundle, LookupError, Record},
    probes::{
        Event,
        invocation::{Command, Invocation},
        process,
    },
    source::facts::{HostRoot, bundle},
    time::Time,
};

/// Bundles, and logs, kept for a model that has not asked for them.
const MAX_KEPT: usize = 4_096;

/// When a log was looked at, and its bytes.
type Look = (Time, Result<u64, LookupError>);

#[derive(Default)]
pub(super) struct Prefetched {
    /// By the runtime that was given it.
    bundles: BTreeMap<u32, Result<Bundle, LookupError>>,
    /// By path.
    logs: BTreeMap<String, Look>,
}

impl Prefetched {
    /// Reads a bundle as soon as its runtime is seen, and looks at a log as soon as who writes it is.
    pub(super) fn note(&mut self, host: &HostRoot, record: &Record) {
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
