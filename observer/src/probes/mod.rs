//! What each probe family is (its hooks, its cost) and what its records mean. Bytes become types here, in
//! [`Reducer::reduce`], and nowhere else; bytes of content do not get past it.

pub mod cgroup;
mod chars;
pub mod context;
pub mod cpu;
pub mod dns;
pub mod fault;
pub mod file;
pub mod hardware;
pub mod invocation;
pub mod memory;
pub mod mount;
pub mod names;
pub mod namespace;
pub mod net;
pub mod output;
pub mod packet;
pub mod process;
pub mod security;
pub mod socket;
pub mod spec;
pub mod stdio;
pub mod storage;
pub mod text;
pub mod tls;
pub mod webhook;

use observer_ebpf::{
    Family, for_each_probe,
    wire::{Header, MAX_RECORD, flag},
};
use serde::{Deserialize, Serialize};
use zerocopy::FromBytes;

use crate::time::Time;
use spec::Spec;

macro_rules! define_events {
    ($($id:literal $module:ident $name:ident)*) => {
        /// A reduced record of any family.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        pub enum Event { $($name($module::Event)),* }

        impl Event {
            pub fn family(&self) -> Family {
                match self { $(Event::$name(_) => Family::$name),* }
            }
        }

        /// What each family hooks, in the order of their ids.
        pub const SPECS: &[&Spec] = &[$(&$module::SPEC),*];

        fn decode(
            family: Family,
            number: u8,
            bytes: &[u8],
            reducer: &mut Reducer,
        ) -> Result<Event, Malformed> {
            match family { $(Family::$name => decode!($module, number, bytes, reducer).map(Event::$name)),* }
        }
    };
}

/// Families of which one record does not say it all.
macro_rules! decode {
    (dns, $number:ident, $bytes:ident, $reducer:ident) => {
        dns::decode($number, $bytes, &mut $reducer.dns)
    };
    (tls, $number:ident, $bytes:ident, $reducer:ident) => {
        $reducer.tls.decode($number, $bytes)
    };
    (text, $number:ident, $bytes:ident, $reducer:ident) => {
        $reducer.text.decode($number, $bytes)
    };
    ($module:ident, $number:ident, $bytes:ident, $reducer:ident) => {
        $module::decode($number, $bytes)
    };
}
for_each_probe!(define_events);

/// A decoded and reduced kernel record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    pub time: Time,
    /// In the initial pid namespace.
    pub tgid: u32,
    pub tid: u32,
    /// A field of it could not be read: its zeros mean nothing.
    pub unreadable: bool,
    /// It arrived after a tick that had promised its time was over.
    pub late: bool,
    pub event: Event,
}

/// The spec of a family.
pub fn spec(family: Family) -> &'static Spec {
    let at = Family::ALL.iter().position(|one| *one == family).unwrap_or_default();
    SPECS[at]
}

/// What a command looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Container starts.
    Starts,
    /// Containers from their start to their end.
    Lives,
}

impl Purpose {
    /// The families that it needs.
    pub fn families(self) -> Vec<Family> {
        Family::ALL
            .iter()
            .copied()
            // Which traces requests belong to is asked for only where there is somebody to tell.
            .filter(|family| *family != Family::Context)
            .filter(|family| self == Purpose::Lives || is_for_starts(*family))
            .collect()
    }
}

/// The families without which this one says nothing: who the containers are, and hooks that it shares.
pub const fn needs(family: Family) -> &'static [Family] {
    match family {
        Family::Stdio => &[Family::Process, Family::Cgroup, Family::Mount, Family::Output],
        Family::Fault => &[Family::Process, Family::Cgroup, Family::Mount, Family::Memory],
        Family::Tls => &[Family::Process],
        // Who asks is then known by its container, not by its pid alone.
        Family::Dns => &[Family::Process, Family::Cgroup, Family::Mount],
        Family::Net | Family::Context => &[Family::Process, Family::Cgroup, Family::Mount],
        Family::Storage => {
            &[Family::Process, Family::Cgroup, Family::Mount, Family::Output, Family::File, Family::Security]
        }
        Family::Text => &[Family::Process, Family::Cgroup, Family::Mount, Family::Output, Family::Stdio],
        _ => &[],
    }
}

/// Events that are called otherwise than a family.
pub const MADE_OF_OTHERS: [&str; 3] = ["exec", "runtime", "io"];

/// The families that such an event is told by.
pub fn made_of(event: &str) -> Option<Vec<Family>> {
    match event {
        "exec" => Some(vec![Family::Process, Family::Cgroup, Family::Mount]),
        "runtime" => Some(Purpose::Starts.families()),
        "io" => Some(vec![Family::Hardware]),
        _ => None,
    }
}

/// Whether a start cannot be told without this family. Lives need all of them.
const fn is_for_starts(family: Family) -> bool {
    match family {
        Family::Process
        | Family::Cgroup
        | Family::Namespace
        | Family::Mount
        | Family::Security
        | Family::File
        | Family::Memory
        | Family::Output
        | Family::Socket => true,
        Family::Stdio => false,
        Family::Fault => false,
        Family::Tls => false,
        Family::Dns => false,
        Family::Net => false,
        Family::Webhook => false,
        Family::Text => false,
        Family::Storage => false,
        Family::Cpu => false,
        Family::Hardware => false,
        Family::Context => false,
    }
}

/// Why bytes are not a record. Counted by the live edge, never fatal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error("shorter than its fixed part")]
    Short,
    #[error("its length field disagrees with its size")]
    Length,
    #[error("unknown record kind {0:#06x}")]
    Kind(u16),
    #[error("its text lengths exceed the record")]
    Text,
    #[error("unknown operation {0}")]
    Operation(u32),
}

/// A record of the ring, reduced, with what its header says about losses.
#[derive(Clone, Debug, PartialEq)]
pub struct Reduced {
    pub record: Record,
    pub family: Family,
    /// Records of this family lost so far on the CPU it came from.
    pub lost: u64,
}

/// Turns records into their typed, reduced form, in the order in which they come. Remembers of those before only what
/// it takes to understand messages that come in pieces.
#[derive(Default)]
pub struct Reducer {
    dns: dns::Streams,
    tls: tls::Streams,
    text: text::Lines,
}

impl Reducer {
    /// Looks for these keywords in text. By default there are none.
    ///
    /// # Errors
    /// [`text::BadKeyword`]: one of them cannot be looked for.
    pub fn new(keywords: Vec<text::Keyword>) -> Result<Reducer, text::BadKeyword> {
        Ok(Reducer { text: text::Lines::new(keywords)?, ..Reducer::default() })
    }

    /// Something of text was not handed over.
    pub fn forget_lines(&mut self) {
        self.text.forget();
    }

    /// Never panics, whatever the bytes.
    ///
    /// # Errors
    /// [`Malformed`] when the bytes are no record of this version.
    pub fn reduce(&mut self, bytes: &[u8]) -> Result<Reduced, Malformed> {
        let (header, _) = Header::read_from_prefix(bytes).map_err(|_| Malformed::Short)?;
        let len = header.len as usize;
        if len != bytes.len() || !(size_of::<Header>()..=MAX_RECORD).contains(&len) {
            return Err(Malformed::Length);
        }
        let family = Family::of(header.kind).ok_or(Malformed::Kind(header.kind))?;
        let event = decode(family, header.kind as u8, bytes, self)?;
        let record = Record {
            time: Time(header.time_ns),
            tgid: header.tgid,
            tid: header.tid,
            unreadable: header.flags & flag::UNREADABLE != 0,
            late: false,
            event,
        };
        Ok(Reduced { record, family, lost: header.lost })
    }
}

/// One record that needs no others.
///
/// # Errors
/// As [`Reducer::reduce`].
pub fn reduce(bytes: &[u8]) -> Result<Reduced, Malformed> {
    Reducer::default().reduce(bytes)
}

/// A syscall as reported at its exit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    pub entered: Time,
    /// Negative errno on failure.
    pub ret: i64,
}

impl Call {
    fn from_wire(header: &Header, syscall: observer_ebpf::wire::Syscall) -> Self {
        // Where only the exit was hooked, the call is taken for a moment.
        let entered = if syscall.entered_ns == 0 { header.time_ns } else { syscall.entered_ns };
        Call { entered: Time(entered), ret: syscall.ret }
    }

    /// The error number, when it failed.
    pub fn errno(self) -> Option<i32> {
        (-4095..0).contains(&self.ret).then(|| -self.ret as i32)
    }
}

/// The fixed part of a record, and the text behind it.
fn fixed<R: observer_ebpf::wire::Record>(bytes: &[u8]) -> Result<(R, &[u8]), Malformed> {
    R::read_from_prefix(bytes).map_err(|_| Malformed::Short)
}

#[cfg(test)]
mod tests;
