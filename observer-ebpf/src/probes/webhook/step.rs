//! What a packet means for its connection, noted where the verifier does not follow it.

use observer_ebpf::wire::webhook::{Connection, Flow, RECORDS_TOLD, known, what};

/// A packet that is looked at.
pub(super) struct Step {
    pub now: u64,
    /// From the client to the server.
    pub of_client: bool,
}

/// Besides those of [`what`]: bytes of the application passed, and which head is in this packet.
pub(super) mod also {
    pub const SPOKE: u32 = 1 << 28;
    pub const HELLO: u32 = 1 << 29;
    pub const MESSAGE: u32 = 1 << 30;
    pub const ALL: u32 = SPOKE | HELLO | MESSAGE;
}

/// What a packet means is noted in memory whose content the verifier does not follow: it would go through the
/// records of a packet once for each combination.
impl Step {
    #[inline(always)]
    pub fn note(&self, connection: &mut Connection, bits: u32) {
        let scratch = &raw mut flow_of(connection, self.of_client).scratch;
        // SAFETY: a member of a map value.
        unsafe { core::ptr::write_volatile(scratch, core::ptr::read_volatile(scratch) | bits) };
    }

    #[inline(always)]
    pub fn noted(&self, connection: &mut Connection) -> u32 {
        let scratch = &raw const flow_of(connection, self.of_client).scratch;
        // SAFETY: as above.
        unsafe { core::ptr::read_volatile(scratch) }
    }
}

#[inline(always)]
pub(super) fn is(connection: &Connection, bit: u32) -> bool {
    // SAFETY: a member of a map value.
    unsafe { core::ptr::read_volatile(&raw const connection.flags) & bit != 0 }
}

#[inline(always)]
pub(super) fn set(connection: &mut Connection, on: u32, off: u32) {
    let flags = &raw mut connection.flags;
    // SAFETY: as above.
    unsafe { core::ptr::write_volatile(flags, core::ptr::read_volatile(flags) & !off | on) };
}

#[inline(always)]
pub(super) fn flow_of(connection: &mut Connection, of_client: bool) -> &mut Flow {
    if of_client { &mut connection.request } else { &mut connection.answer }
}

/// Bytes of the application pass: a side goes on speaking, or begins to.
#[inline(always)]
pub(super) fn speak(connection: &mut Connection, step: &Step, bytes: u32) {
    let (own, others) = if step.of_client {
        (known::CLIENT_SPOKE, known::SERVER_SPOKE)
    } else {
        (known::SERVER_SPOKE, known::CLIENT_SPOKE)
    };
    let begins = !is(connection, own);
    if begins {
        if step.of_client && is(connection, known::REQUESTED) {
            set(connection, known::REUSED, 0);
        }
        let (requested, what) =
            if step.of_client { (known::REQUESTED, what::REQUEST) } else { (0, what::ANSWER) };
        set(connection, own | requested, others);
        step.note(connection, what);
    }
    let flow = flow_of(connection, step.of_client);
    if begins {
        flow.first_ns = step.now;
        flow.bytes = 0;
        flow.records = 0;
        flow.told = 0;
        flow.record_len = [0; RECORDS_TOLD];
    }
    flow.last_ns = step.now;
    flow.bytes += u64::from(bytes);
    step.note(connection, also::SPOKE);
}
