//! The look-ups under way, and which of them a packet belongs to.
//!
//! Messages are found by socket and transaction id, never by thread: in some languages another thread reads the
//! answer than the one that asked. Queries of one process are put together by what they ask ([`Lookup::takes`]).

use std::collections::{BTreeMap, BTreeSet};

use super::{lookup::Lookup, name::first_label, question::Query};
use crate::{
    probes::{
        Record,
        dns::{Failed, Message, Packet},
        packet::Owner,
    },
    time::Time,
};

/// Look-ups under way at once; of more, the one that would be over first is given up, and counted.
const MAX_OPEN: usize = 8_192;
/// Messages of one look-up that answers are found for.
const MAX_MESSAGES: usize = 256;
/// For how long, and of how many messages, it is remembered that their error was told.
const REFUSED_NS: u64 = 30_000_000_000;
const MAX_REFUSED: usize = 4_096;
/// Look-ups of one process and first label that a query is compared with, youngest first.
const MAX_COMPARED: usize = 256;

/// Who asks. Sockets whose process is not known are told apart by themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Asker {
    Process { tgid: u32, start: Time },
    Socket(u64),
}

/// Who asks, and the first label of what is asked: a look-up has no other.
type Key = (Asker, String);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Serial(u64);

/// A look-up and who made it.
#[derive(Clone, Debug)]
pub struct Open {
    key: Key,
    due: Time,
    /// Its messages, by socket and id.
    messages: BTreeSet<(u64, u16)>,
    pub owner: Option<Owner>,
    pub lookup: Lookup,
    /// What one that was told already has sent.
    pub again: bool,
}

#[derive(Debug, Default)]
pub struct Table {
    open: BTreeMap<Serial, Open>,
    by_key: BTreeMap<Key, BTreeSet<Serial>>,
    /// The look-ups that sent a message, by socket and id.
    by_message: BTreeMap<(u64, u16), BTreeSet<Serial>>,
    due: BTreeSet<(Time, Serial)>,
    last: u64,
    pub given_up: u64,
    /// Look-ups that a socket's error ended and that were told, by one of their messages: programs that send the same
    /// message once more when they have waited make no other look-up by that.
    refused: BTreeMap<(u64, u16), Time>,
    /// Messages that could not be read.
    pub garbage: u64,
    /// Connections to servers of names that encrypt what they carry.
    pub encrypted: u64,
}

impl Table {
    /// What a packet means for the look-ups.
    pub fn packet(&mut self, record: &Record, packet: &Packet) {
        // What could not be copied is no message either.
        let is_lost = record.unreadable && packet.messages.is_empty();
        self.garbage += u64::from(packet.garbage) + u64::from(is_lost);
        for message in &packet.messages {
            // A server's side of it is told by whoever asks; other operations are no look-ups.
            if message.is_reply == packet.sent || message.opcode != 0 {
                continue;
            }
            if packet.sent {
                self.query(record, packet, message);
            } else {
                self.answer(record, packet, message);
            }
        }
    }

    fn query(&mut self, record: &Record, packet: &Packet, message: &Message) {
        let Some(question) = &message.question else { return };
        let (flow, owner) = (&packet.flow, packet.owner.clone());
        let name = question.name.to_ascii_lowercase();
        let query = Query {
            time: record.time,
            flow,
            id: message.id,
            name: &question.name,
            key: &name,
            qtype: question.qtype,
        };
        let asker = owner.as_ref().map_or(Asker::Socket(flow.cookie), |owner| Asker::Process {
            tgid: owner.tgid,
            start: owner.start,
        });
        let key = (asker, first_label(&name).to_owned());
        let again = self.refused.contains_key(&(flow.cookie, message.id));
        let found = self.find(&key, &query);
        let serial = found.unwrap_or_else(|| self.begin(key, owner, record.time, again));
        let Some(open) = self.open.get_mut(&serial) else { return };
        open.lookup.sent(&query);
        open.lookup.keep(record);
        let key = (flow.cookie, message.id);
        if open.messages.len() < MAX_MESSAGES && open.messages.insert(key) {
            self.by_message.entry(key).or_default().insert(serial);
        }
        self.reschedule(serial);
    }

    fn find(&self, key: &Key, query: &Query) -> Option<Serial> {
        let sent = self.by_message.get(&(query.flow.cookie, query.id)).into_iter().flatten();
        let mut sent = sent.filter_map(|serial| Some((*serial, self.open.get(serial)?)));
        if let Some((serial, _)) = sent.find(|(_, open)| open.lookup.has_sent(query)) {
            return Some(serial);
        }
        let own = self.by_key.get(key)?.iter().rev().take(MAX_COMPARED);
        let mut own: Vec<(Serial, &Open)> =
            own.filter_map(|serial| Some((*serial, self.open.get(serial)?))).collect();
        // Of two that would do, the one that went through the same socket; else the younger one.
        own.sort_by_key(|(_, open)| !open.lookup.uses(query.flow.cookie));
        own.into_iter().find(|(_, open)| open.lookup.takes(query)).map(|(serial, _)| serial)
    }

    fn begin(&mut self, key: Key, owner: Option<Owner>, time: Time, again: bool) -> Serial {
        if self.open.len() >= MAX_OPEN
            && let Some((_, first)) = self.due.first().copied()
        {
            self.remove(first);
            self.given_up += 1;
        }
        self.last += 1;
        let serial = Serial(self.last);
        let lookup = Lookup::new(time);
        let due = lookup.due();
        self.by_key.entry(key.clone()).or_default().insert(serial);
        self.open.insert(serial, Open { key, due, messages: BTreeSet::new(), owner, lookup, again });
        self.due.insert((due, serial));
        serial
    }

    fn answer(&mut self, record: &Record, packet: &Packet, message: &Message) {
        let key = (packet.flow.cookie, message.id);
        let askers: Vec<Serial> = self.by_message.get(&key).into_iter().flatten().copied().collect();
        for serial in askers {
            let Some(open) = self.open.get_mut(&serial) else { continue };
            if open.lookup.answered(record.time, &packet.flow, message) {
                open.lookup.keep(record);
                self.reschedule(serial);
                return;
            }
        }
    }

    /// A socket was told of an error.
    pub fn failed(&mut self, record: &Record, failed: &Failed) {
        let messages = self.by_message.range((failed.cookie, 0)..=(failed.cookie, u16::MAX));
        let serials: BTreeSet<Serial> = messages.flat_map(|(_, serials)| serials.iter().copied()).collect();
        for serial in serials {
            let Some(open) = self.open.get_mut(&serial) else { continue };
            if open.lookup.failed(record.time, failed.cookie, failed.errno) {
                open.lookup.keep(record);
                self.reschedule(serial);
            }
        }
    }

    fn reschedule(&mut self, serial: Serial) {
        let Some(open) = self.open.get_mut(&serial) else { return };
        let due = open.lookup.due();
        self.due.remove(&(open.due, serial));
        self.due.insert((due, serial));
        open.due = due;
    }

    /// An error of a socket was told as the end of this look-up.
    pub fn told_refused(&mut self, open: &Open, time: Time) {
        self.refused.retain(|_, told| time.since(*told) < REFUSED_NS);
        let room = MAX_REFUSED.saturating_sub(self.refused.len());
        self.refused.extend(open.messages.iter().take(room).map(|message| (*message, time)));
    }

    /// The look-ups that are over as of `time`, in the order of their ends.
    pub fn take_due(&mut self, time: Time) -> Vec<Open> {
        let mut over = Vec::new();
        while let Some((due, serial)) = self.due.first().copied()
            && due <= time
        {
            over.extend(self.remove(serial));
        }
        over
    }

    /// All of them, in the order in which they began.
    pub fn take_all(&mut self) -> Vec<Open> {
        let serials: Vec<Serial> = self.open.keys().copied().collect();
        serials.into_iter().filter_map(|serial| self.remove(serial)).collect()
    }

    fn remove(&mut self, serial: Serial) -> Option<Open> {
        let open = self.open.remove(&serial)?;
        self.due.remove(&(open.due, serial));
        for key in &open.messages {
            take_out(&mut self.by_message, key, serial);
        }
        take_out(&mut self.by_key, &open.key, serial);
        Some(open)
    }

    /// What the look-ups under way are known from.
    pub fn records(&self) -> impl Iterator<Item = &Record> {
        self.open.values().flat_map(|open| &open.lookup.records)
    }
}

fn take_out<K: Ord>(index: &mut BTreeMap<K, BTreeSet<Serial>>, key: &K, serial: Serial) {
    if let Some(serials) = index.get_mut(key) {
        serials.remove(&serial);
        if serials.is_empty() {
            index.remove(key);
        }
    }
}
