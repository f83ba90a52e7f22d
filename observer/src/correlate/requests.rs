//! Requests that threads had in hand, and the traces that they said they belong to. What cannot be vouched for, because
//! records were lost meanwhile, is not known.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::{
    probes::context::{By, Event, Id, Parent, Read},
    time::Time,
};

/// How long a request is kept, from when it was read: longer than evidence waits, and what is told late besides.
const KEEP_NS: u64 = 180_000_000_000;
const MAX_REQUESTS: usize = 32_768;
/// Times in which records were lost; the two oldest are taken for one when there are more.
const MAX_GAPS: usize = 64;

struct Request {
    init: Option<u32>,
    waits: bool,
    context: Option<Parent>,
    /// When it was answered, and whether by the thread that had read it.
    until: Option<(Time, bool)>,
}

/// What a thread had in hand when something happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InHand {
    /// Not known, or nothing that says whose it is.
    Unknown,
    /// It is still to be seen whether the thread answers it itself.
    Open(Parent),
    Known(Parent, Time),
}

#[derive(Default)]
pub(super) struct Requests {
    requests: BTreeMap<Id, Request>,
    by_age: BTreeSet<(Time, Id)>,
    gaps: VecDeque<(Time, Time)>,
    /// No records are to come of before.
    drained: Time,
    /// Requests that were not looked at, and those for which there was no room.
    pub(super) unread: u64,
}

impl Requests {
    /// Whether any request was seen that names its trace.
    pub(super) fn are_none(&self) -> bool {
        self.requests.is_empty()
    }

    pub(super) fn hear(&mut self, time: Time, event: &Event) {
        match event {
            Event::Ordinary => {}
            Event::Read(read) => self.read(read),
            Event::Done(id, By(by)) => {
                if let Some(request) = self.requests.get_mut(id).filter(|request| request.until.is_none()) {
                    request.until = Some((time, *by == id.tid));
                }
            }
            Event::Skipped { reader, count } => {
                self.unread += count;
                let range = thread(reader.tgid, 0, Time(0))..=thread(reader.tgid, u32::MAX, Time(u64::MAX));
                for (_, request) in self.requests.range_mut(range) {
                    request.until.get_or_insert((time, false));
                }
            }
        }
    }

    fn read(&mut self, read: &Read) {
        let Id { tgid, tid, read: time } = read.id;
        // Who reads the next one has handed on the one before; unless it has many in hand at once.
        if let Some((_, before)) = self.requests.range_mut(thread(tgid, tid, Time(0))..read.id).next_back()
            && before.waits
        {
            before.until.get_or_insert((time, false));
        }
        let Read { init, waits, context, .. } = *read;
        self.requests.insert(read.id, Request { init, waits, context, until: None });
        self.by_age.insert((time, read.id));
        if self.requests.len() > MAX_REQUESTS {
            self.unread += 1;
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        if let Some((_, id)) = self.by_age.pop_first() {
            self.requests.remove(&id);
        }
    }

    pub(super) fn tick(&mut self, now: Time) {
        self.drained = now;
        while self.by_age.first().is_some_and(|(read, _)| now.since(*read) > KEEP_NS) {
            self.drop_oldest();
        }
    }

    /// Records were lost, at some time since the last tick.
    pub(super) fn lost(&mut self, now: Time) {
        self.gaps.push_back((self.drained, now));
        if self.gaps.len() > MAX_GAPS
            && let (Some((from, _)), Some(second)) = (self.gaps.pop_front(), self.gaps.front_mut())
        {
            second.0 = from;
        }
    }

    fn is_whole(&self, from: Time, to: Time) -> bool {
        self.gaps.iter().all(|(lost_from, lost_to)| *lost_to < from || *lost_from > to)
    }

    /// The request that a thread has in hand, if it has one.
    pub(super) fn of_thread(&self, tgid: u32, tid: u32, at: Time) -> Option<Id> {
        let (id, request) =
            self.requests.range(thread(tgid, tid, Time(0))..=thread(tgid, tid, at)).next_back()?;
        let was_open = request.until.is_none_or(|(until, _)| at <= until);
        (request.waits && request.context.is_some() && was_open).then_some(*id)
    }

    /// What is known by now of a request that a thread had in hand at that time.
    pub(super) fn in_hand(&self, id: Id, at: Time) -> InHand {
        let request = self.requests.get(&id).filter(|_| self.is_whole(id.read, at));
        match request.and_then(|request| Some((request.context?, request.until))) {
            Some((parent, None)) => InHand::Open(parent),
            Some((parent, Some((until, true)))) if at <= until => InHand::Known(parent, until),
            _ => InHand::Unknown,
        }
    }

    /// What all requests belong to that a container had in hand at any time of these.
    pub(super) fn of_container(&self, init: u32, from: Time, to: Time) -> Vec<Parent> {
        let overlaps = |(id, request): &(&Id, &Request)| {
            let until = request.until.map_or(to, |(until, _)| until);
            request.init == Some(init) && id.read <= to && until >= from && self.is_whole(id.read, until)
        };
        self.requests.iter().filter(overlaps).filter_map(|(_, request)| request.context).collect()
    }
}

fn thread(tgid: u32, tid: u32, read: Time) -> Id {
    Id { tgid, tid, read }
}
