//! The file that a container's engine logs to: where it is, and whether it grows. Nothing is read of it but how
//! long it is, and that only when something is to be said.

use crate::{
    input::{LifeFact, LogFact, LookupError},
    model::{
        Made, Model,
        lives::{Life, Lives, Who},
    },
    output::{LogFile, Since, Want},
    time::Time,
};

/// Looks that are less than this apart do not show that a file stays as it is.
const SOON_NS: u64 = 300_000_000;

/// Where the engine of a container logs to, as far as it is known.
#[derive(Clone, Debug, Default)]
pub struct Log {
    file: Option<File>,
    /// The engine of a container that was there before was asked, and has not answered.
    awaited: bool,
}

#[derive(Clone, Debug)]
struct File {
    path: String,
    /// Nothing was in it when the container began: its engine makes one each time.
    began_empty: bool,
    /// When it was looked at first, and its bytes then.
    first: Option<(Time, u64)>,
    /// When it was wanted to be looked at last.
    asked: Option<Time>,
    /// The last look.
    last: Option<(Time, Result<u64, LookupError>)>,
    /// The last one that found it.
    found: Option<(Time, u64)>,
}

impl Log {
    pub fn at(path: &str, began_empty: bool) -> Self {
        let file =
            File { path: path.to_owned(), began_empty, first: None, asked: None, last: None, found: None };
        Log { file: Some(file), awaited: false }
    }

    /// Of a container that lives already.
    pub fn of_older(fact: &LifeFact, awaited: bool) -> Self {
        let said = fact.cri.as_ref().and_then(|cri| cri.log_path.as_ref());
        let mut log = match (&fact.log, said) {
            (Some(fact), _) => Log::at(&fact.path, fact.began_empty),
            (None, Some(path)) => Log::at(path, false),
            (None, None) => Log::default(),
        };
        if let (Some(file), Some(fact)) = (&mut log.file, &fact.log) {
            file.first = fact.first;
        }
        log.awaited = awaited;
        log
    }

    pub fn as_fact(&self) -> Option<LogFact> {
        self.file.as_ref().map(|file| LogFact {
            path: file.path.clone(),
            began_empty: file.began_empty,
            first: file.first,
        })
    }

    pub fn is_known(&self) -> bool {
        self.file.is_some()
    }

    /// To look at it, unless that is wanted already.
    pub fn look(&mut self, init: u32, time: Time) -> Option<Want> {
        let file = self.file.as_mut().filter(|file| file.asked != Some(time))?;
        file.asked = Some(time);
        Some(Want::LogFile { init, path: file.path.clone() })
    }

    /// To look at it for the first time.
    pub fn first_look(&mut self, init: u32, time: Time) -> Option<Want> {
        let is_new = self.file.as_ref().is_some_and(|file| file.first.is_none());
        is_new.then(|| self.look(init, time)).flatten()
    }

    fn looked(&mut self, path: &str, time: Time, result: &Result<u64, LookupError>) {
        let Some(file) = self.file.as_mut().filter(|file| file.path == path) else { return };
        // What could not be found then holds nothing that was there before.
        file.first.get_or_insert((time, *result.as_ref().unwrap_or(&0)));
        file.last = Some((time, result.clone()));
        if let Ok(bytes) = result {
            file.found = Some((time, *bytes));
        }
    }

    /// Whether it was looked at since.
    pub fn was_looked_at(&self, since: Time) -> bool {
        self.file.as_ref().and_then(|file| file.last.as_ref()).is_some_and(|(at, _)| *at >= since)
    }

    /// What is known of it by looks since `from`, and why something of that is not known. `last_write`: when the
    /// container last wrote anything.
    pub fn told(&self, from: Time, last_write: Option<Time>) -> Option<(LogFile, Option<String>)> {
        let file = self.file.as_ref()?;
        let found = file.found.filter(|(at, _)| *at >= from);
        let why = match (found, &file.last) {
            // It goes with its container, when that is removed at its end.
            (Some(_), Some((_, Err(_)))) => {
                Some("its log file is gone; this is how long it was before".to_owned())
            }
            (Some(_), _) => None,
            (None, Some((at, Err(error)))) if *at >= from => Some(format!("log file: {}", error.why)),
            (None, _) => Some("its log file was not looked at in time".to_owned()),
        };
        let grew = found.and_then(|(at, bytes)| file.grew(at, bytes, last_write));
        // What is gone cannot be seen to stay as it is.
        let grew = grew.filter(|grew| *grew || why.is_none());
        let path = file.path.clone();
        Some((LogFile { path, bytes: found.map(|(_, bytes)| bytes), grew }, why))
    }
}

impl File {
    /// Whether it grew until it was looked at, and had so many bytes.
    fn grew(&self, looked: Time, bytes: u64, last_write: Option<Time>) -> Option<bool> {
        let (at, before) = if self.began_empty { (Time(0), 0) } else { self.first? };
        // It is another file by now, or was emptied.
        let before = if bytes < before { 0 } else { before };
        let between = if self.began_empty { u64::MAX } else { looked.since(at) };
        match bytes > before {
            true => (between > 0).then_some(true),
            // Too soon after the first look.
            false if between < SOON_NS => None,
            // What was written by then may have been in it by then.
            false if last_write.is_some_and(|write| write <= at) => None,
            false => Some(false),
        }
    }
}

impl Model {
    /// A container was made: its engine's word, or its conmon's, says where it logs to.
    pub(in crate::model) fn find_log(&mut self, init: u32, time: Time, make: &mut impl FnMut(Made)) {
        let Some(life) = self.lives.as_ref().and_then(|lives| lives.get(init)) else { return };
        let Who::Starting(id) = &life.who else { return };
        let Some(start) = self.starts.get(id) else { return };
        let by_engine = start.cri.as_ref().and_then(|cri| cri.log_path.as_deref());
        let by_conmon = || self.pods.conmon_log(start.container_id.as_deref()?);
        let log = match (by_engine, by_conmon()) {
            (Some(path), _) => Log::at(path, true),
            (None, Some(path)) => Log::at(path, false),
            (None, None) => return,
        };
        self.set_log(init, log, time, make);
    }

    /// The engine has answered about a container.
    pub(in crate::model) fn log_named(
        &mut self,
        container_id: &str,
        path: Option<String>,
        time: Time,
        make: &mut impl FnMut(Made),
    ) {
        let of_it = |life: &&mut Life| match &life.who {
            Who::Starting(id) => {
                self.starts.get(id).is_some_and(|start| start.container_id.as_deref() == Some(container_id))
            }
            Who::Known(container) => container.id == container_id,
        };
        let Some(life) = self.lives.iter_mut().flat_map(Lives::iter_mut).filter(of_it).last() else { return };
        life.log.awaited = false;
        let (init, began_empty) = (life.init, life.since == Since::Start);
        if let (None, Some(path)) = (&life.log.file, path) {
            self.set_log(init, Log::at(&path, began_empty), time, make);
        }
    }

    fn set_log(&mut self, init: u32, log: Log, time: Time, make: &mut impl FnMut(Made)) {
        let Some(life) = self.lives.as_mut().and_then(|lives| lives.get_mut(init)) else { return };
        life.log = log;
        if let Some(want) = life.log.first_look(init, time) {
            make(Made::Want(want));
        }
    }

    /// Its log file was looked at.
    pub(in crate::model) fn log_looked_at(
        &mut self,
        init: u32,
        path: &str,
        time: Time,
        result: &Result<u64, LookupError>,
    ) {
        if let Some(life) = self.lives.as_mut().and_then(|lives| lives.get_mut(init)) {
            life.log.looked(path, time, result);
        }
    }

    /// Whether it may yet become known where a container's engine logs to.
    pub(super) fn log_is_awaited(&self, init: u32) -> bool {
        let Some(life) = self.lives.as_ref().and_then(|lives| lives.get(init)) else { return false };
        match &life.who {
            Who::Starting(id) => self.starts.get(id).is_some_and(|start| start.asked.is_some()),
            Who::Known(_) => life.log.awaited,
        }
    }
}
