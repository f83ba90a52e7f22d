//! What an engine does between a request for a container and its runtime: images fetched, snapshots laid out. From
//! containerd's paths; of other engines nothing is known. Bounded.

use std::collections::VecDeque;

use super::{Model, markers::Marker, origin::marker, pods::Bounded, process::ProcessInfo};
use crate::{
    input::Record,
    output::PhaseName,
    probes::file::{self, Op},
    time::Time,
};

/// What engines did with images that is remembered; the oldest goes first.
const MAX_ACTS: usize = 8_192;

/// A container as its engine began to make it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Created {
    pub at: Time,
    pub engine: ProcessInfo,
    /// The thread that made its directory.
    tid: u32,
}

struct Seen {
    time: Time,
    tgid: u32,
    tid: u32,
    act: Act,
}

#[derive(Clone, Debug, PartialEq)]
enum Act {
    /// A blob of an image is complete, by its digest.
    Fetched(String),
    /// One that was there is read.
    Read(String),
    /// A snapshot has its place.
    LaidOut,
}

#[derive(Default)]
pub struct Images {
    created: Bounded<String, Created>,
    acts: VecDeque<Seen>,
}

impl Images {
    /// When and by whom a container was begun.
    pub fn created(&self, container_id: &str) -> Option<&Created> {
        self.created.get(&container_id.to_owned())
    }

    /// The image of this digest was fetched between the two: the last that was seen of it.
    pub fn pulled(&self, digest: &str, from: Time, until: Time) -> Option<Time> {
        let between = || self.acts.iter().filter(|seen| (from..until).contains(&seen.time));
        between().find(|seen| matches!(&seen.act, Act::Fetched(of) if of == digest))?;
        let of_it = |act: &Act| matches!(act, Act::Fetched(of) | Act::Read(of) if of == digest);
        between().filter(|seen| of_it(&seen.act)).map(|seen| seen.time).max()
    }

    /// From the beginning of a container up to its runtime.
    pub fn markers(&self, created: &Created, until: Time) -> Vec<Marker> {
        let laid_out = self.laid_out(created, until);
        laid_out
            .map(|at| marker(at, PhaseName::Snapshot, &created.engine, None))
            .into_iter()
            .chain([marker(until, PhaseName::Engine, &created.engine, None)])
            .collect()
    }

    /// When its snapshot was: by the thread that began it, or the only one in that time. An engine hands its work from
    /// thread to thread, and others' containers may be made at once.
    fn laid_out(&self, created: &Created, until: Time) -> Option<Time> {
        let mut candidates = self.acts.iter().filter(|seen| {
            seen.tgid == created.engine.tgid
                && seen.act == Act::LaidOut
                && (created.at..until).contains(&seen.time)
        });
        if let Some(own) = candidates.clone().find(|seen| seen.tid == created.tid) {
            return Some(own.time);
        }
        let only = candidates.next()?;
        candidates.next().is_none().then_some(only.time)
    }

    fn act(&mut self, record: &Record, act: Act) {
        if self.acts.len() >= MAX_ACTS {
            self.acts.pop_front();
        }
        self.acts.push_back(Seen { time: record.time, tgid: record.tgid, tid: record.tid, act });
    }
}

/// What comes behind the algorithm in `sha256:12ab`, `name@sha256:12ab`.
pub fn digest(image_ref: &str) -> Option<&str> {
    image_ref.rsplit_once("sha256:").map(|(_, digest)| digest)
}

/// As engines name containers: the digest of nothing in particular.
fn is_id(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

impl Model {
    pub(super) fn kept(&mut self, record: &Record, event: &file::Event) {
        let (folder, name) = event.path.rsplit_once('/').unwrap_or_default();
        match event.op {
            Op::Mkdir if folder.ends_with("/containers") && is_id(name) => {
                let engine = self.processes.get(record.tgid).cloned();
                let engine = engine.unwrap_or(ProcessInfo { tgid: record.tgid, ..ProcessInfo::default() });
                let created = self.images.created.entry(name.to_owned());
                // Its state has a directory of the same name, made later.
                if created.tid == 0 {
                    *created = Created { at: record.time, engine, tid: record.tid };
                }
            }
            Op::Rename if folder.ends_with("/blobs/sha256") => {
                self.images.act(record, Act::Fetched(name.to_owned()));
            }
            Op::Rename if folder.ends_with("/snapshots") => self.images.act(record, Act::LaidOut),
            Op::Open if folder.ends_with("/blobs/sha256") => {
                self.images.act(record, Act::Read(name.to_owned()));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENGINE: u32 = 40;

    fn seen(at: u64, tid: u32, act: Act) -> Seen {
        Seen { time: Time(at), tgid: ENGINE, tid, act }
    }

    fn created(at: u64, tid: u32) -> Created {
        Created { at: Time(at), tid, engine: ProcessInfo { tgid: ENGINE, ..ProcessInfo::default() } }
    }

    fn images(acts: Vec<Seen>) -> Images {
        Images { acts: acts.into(), ..Images::default() }
    }

    #[test]
    fn a_pull_is_one_of_this_image_that_was_not_there() {
        let (fetched, read) = (|of: &str| Act::Fetched(of.into()), |of: &str| Act::Read(of.into()));
        let images = images(vec![
            seen(5, 41, fetched("a1")),
            seen(6, 41, fetched("b2")),
            seen(7, 42, read("a1")),
            seen(8, 42, read("b2")),
            seen(30, 42, read("a1")),
        ]);
        assert_eq!(images.pulled("a1", Time(1), Time(20)), Some(Time(7)));
        assert_eq!(images.pulled("a1", Time(6), Time(20)), None, "it was there before");
        assert_eq!(images.pulled("c3", Time(1), Time(20)), None);
    }

    #[test]
    fn a_snapshot_is_nobodys_if_it_may_be_anothers() {
        let of = |acts| images(acts).laid_out(&created(10, 41), Time(20));
        assert_eq!(of(vec![seen(12, 42, Act::LaidOut)]), Some(Time(12)));
        assert_eq!(of(vec![seen(12, 42, Act::LaidOut), seen(13, 41, Act::LaidOut)]), Some(Time(13)));
        assert_eq!(of(vec![seen(12, 42, Act::LaidOut), seen(13, 43, Act::LaidOut)]), None);
        assert_eq!(of(vec![seen(9, 41, Act::LaidOut), seen(21, 41, Act::LaidOut)]), None);
    }

    #[test]
    fn digests_of_what_engines_call_images() {
        assert_eq!(digest("sha256:12ab"), Some("12ab"));
        assert_eq!(digest("registry/app@sha256:12ab"), Some("12ab"));
        assert_eq!(digest("registry/app:1"), None);
    }
}
