//! One direction of a connection, as the kernel side counted it.

use observer_ebpf::wire::webhook::{self as wire, RECORDS_TOLD, flow};
use serde::{Deserialize, Serialize};

use super::time;
use crate::time::Time;

/// A run is what one side says until the other one speaks.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Flow {
    /// The first and the last bytes of the run.
    pub first: Option<Time>,
    pub last: Option<Time>,
    /// The last packet of any kind that came this way.
    pub seen: Option<Time>,
    pub bytes: u64,
    /// TLS records of the run.
    pub records: u32,
    /// The first of them, one by one.
    pub first_records: Vec<TlsRecord>,
    /// Packets with bytes that had been sent before.
    pub again: u32,
    /// Bytes that the other side has not acknowledged; `None`: it was never heard.
    pub unacknowledged: Option<u32>,
    /// Bytes were missed in between.
    pub gap: bool,
}

/// A TLS record of the application: when it began, and its length without its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TlsRecord {
    pub time: Time,
    pub len: u16,
}

impl Flow {
    pub(super) fn of(wire: &wire::Flow) -> Flow {
        let told = (0..RECORDS_TOLD)
            .map(|n| (wire.record_ns[n], wire.record_len[n]))
            .take_while(|(_, len)| *len != 0)
            .map(|(ns, len)| TlsRecord { time: Time(ns), len });
        let both = flow::COUNTED | flow::HEARD_OF;
        // Numbers of bytes wrap around; what is acknowledged beyond what was seen is all of it.
        let open = wire.next.wrapping_sub(wire.acknowledged);
        let open = if open > i32::MAX as u32 { 0 } else { open };
        Flow {
            first: time(wire.first_ns),
            last: time(wire.last_ns),
            seen: time(wire.seen_ns),
            bytes: wire.bytes,
            records: wire.records,
            first_records: told.collect(),
            again: wire.again,
            unacknowledged: (wire.flags & both == both).then_some(open),
            gap: wire.flags & flow::GAP != 0,
        }
    }
}
