//! The only door out: a record is built in per-CPU scratch space and copied to the ring with its used
//! length, so nothing of an older record travels with it. What cannot be handed over is counted per family.

use aya_ebpf::{
    bindings::{BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP},
    helpers::{bpf_get_current_pid_tgid, bpf_ktime_get_boot_ns, generated},
    macros::map,
    maps::{Array, PerCpuArray, RingBuf, Stack},
};
use observer_ebpf::{
    FAMILIES,
    control::PACKET_SLOTS,
    wire::{Header, MAX_RECORD, Record, flag, packet::Owner},
};

#[map]
static EVENTS: RingBuf = RingBuf::with_byte_size(8 << 20, 0);

/// Records lost on this CPU, per family id. Every record carries the value, which gives a gap its place.
#[map]
static LOST: PerCpuArray<[u64; FAMILIES]> = PerCpuArray::with_max_entries(1, 0);

/// Non-zero: emit nothing more (shutdown).
#[map]
static STOPPED: Array<u32> = Array::with_max_entries(1, 0);

/// A record under construction. `usize`-aligned so that the fixed part can be written in place.
#[repr(C, align(8))]
pub struct Scratch {
    pub bytes: [u8; MAX_RECORD],
}

impl Scratch {
    /// The fixed part of the record under construction, as it is by now.
    #[inline(always)]
    pub fn record<R: Record>(&mut self) -> &mut R {
        // SAFETY: larger than any record (checked where records are defined), aligned to 8, and any bytes are one.
        unsafe { &mut *self.bytes.as_mut_ptr().cast() }
    }
}

#[map]
static SCRATCH: PerCpuArray<Scratch> = PerCpuArray::with_max_entries(1, 0);

/// Programs that use it do not nest on one CPU (none of them runs in an interrupt or raises another's event), so
/// one scratch buffer a CPU is enough. Signals are generated in interrupts, too: their programs use [`emit`] alone.
#[inline(always)]
pub fn scratch() -> Option<&'static mut Scratch> {
    let pointer = SCRATCH.get_ptr_mut(0)?;
    // SAFETY: a map value lives as long as the programs, and only the current program uses this CPU's.
    Some(unsafe { &mut *pointer })
}

/// Scratch space of programs that may be interrupted by others of their kind, or by other tasks: packets are seen
/// in tasks and in interrupts. Neither a buffer a CPU nor one a nesting level would do, as a task may lose its CPU
/// to another one in the middle.
#[map]
static PACKET_SCRATCH: Array<Slot> = Array::with_max_entries(PACKET_SLOTS, 0);

/// The free ones of them, by number. User space fills it before anything is attached.
#[map]
static FREE_SLOTS: Stack<u32> = Stack::with_max_entries(PACKET_SLOTS, 0);

/// A scratch buffer, and room beside it for what a program has to keep and has no stack for.
#[repr(C)]
pub struct Slot {
    pub scratch: Scratch,
    pub beside: [u64; 16],
}

/// Lends a program that sees packets a scratch buffer of its own; none left is a loss.
#[inline(always)]
pub fn with_scratch(family: u16, body: impl FnOnce(&mut Scratch)) {
    with_slot(family, |slot| body(&mut slot.scratch));
}

/// The same, with the room beside it.
#[inline(always)]
pub fn with_slot(family: u16, body: impl FnOnce(&mut Slot)) {
    let Ok(Some(slot)) = FREE_SLOTS.pop() else { return lose(family) };
    if let Some(pointer) = PACKET_SCRATCH.get_ptr_mut(slot) {
        // SAFETY: a map value lives as long as the programs, and nobody else has this slot.
        body(unsafe { &mut *pointer });
    }
    let _ = FREE_SLOTS.push(slot, 0);
}

/// Counts a record of this family as lost.
#[inline(always)]
pub fn lose(family: u16) {
    if let Some(counters) = LOST.get_ptr_mut(0) {
        // SAFETY: this CPU's own value.
        if let Some(counter) = unsafe { &mut *counters }.get_mut(usize::from(family)) {
            *counter += 1;
        }
    }
}

#[inline(always)]
pub fn header<R: Record>() -> Header {
    let ids = bpf_get_current_pid_tgid();
    header_of::<R>((ids >> 32) as u32, ids as u32)
}

/// The header of a record about another process than the one that was interrupted for it; 0: nobody knows which.
#[inline(always)]
fn header_of<R: Record>(tgid: u32, tid: u32) -> Header {
    let lost = LOST.get(0).map_or(0, |counters| counters[(R::KIND >> 8) as usize]);
    Header { kind: R::KIND, flags: 0, len: 0, time_ns: now(), tgid, tid, lost }
}

#[inline(always)]
pub fn now() -> u64 {
    // SAFETY: the helper takes no arguments.
    unsafe { bpf_ktime_get_boot_ns() }
}

/// Emits a record without text.
#[inline(always)]
pub fn emit<R: Record>(record: R, unreadable: bool) {
    write(record, header::<R>(), unreadable);
}

/// The same, of the process that a socket sends for.
#[inline(always)]
pub fn emit_of<R: Record>(record: R, owner: &Owner, unreadable: bool) {
    write(record, header_of::<R>(owner.tgid, owner.tid), unreadable);
}

#[inline(always)]
fn write<R: Record>(mut record: R, mut header: Header, unreadable: bool) {
    header.len = size_of::<R>() as u32;
    if unreadable {
        header.flags |= flag::UNREADABLE;
    }
    record.set_header(header);
    hand_over(R::KIND, (&raw const record).cast(), size_of::<R>() as u64, BPF_RB_NO_WAKEUP);
}

/// When user space gets to see a record.
pub enum Delivery {
    /// At its next turn: it polls on a timer, because a wake-up costs far more than a record.
    WithOthers,
    /// Now: what is to be looked up of it may soon be gone.
    AtOnce,
}

/// Emits the record in `scratch`: `record` as its fixed part, then `text_len` bytes already in place.
#[inline(always)]
pub fn emit_text<R: Record>(scratch: &mut Scratch, record: R, text_len: usize, flags: u16) {
    deliver_text(scratch, record, text_len, flags, Delivery::WithOthers);
}

#[inline(always)]
pub fn deliver_text<R: Record>(
    scratch: &mut Scratch,
    mut record: R,
    text_len: usize,
    flags: u16,
    delivery: Delivery,
) {
    let len = size_of::<R>() + bounded::<R>(text_len);
    let mut header = header::<R>();
    header.len = len as u32;
    header.flags = flags;
    record.set_header(header);
    // SAFETY: `Scratch` is larger than any record (checked where records are defined) and aligned to 8.
    unsafe { scratch.bytes.as_mut_ptr().cast::<R>().write(record) };
    let wake = match delivery {
        Delivery::AtOnce => BPF_RB_FORCE_WAKEUP,
        Delivery::WithOthers => BPF_RB_NO_WAKEUP,
    };
    hand_over(R::KIND, scratch.bytes.as_ptr(), len as u64, wake);
}

/// Emits the record that was made in place in `scratch`, of the process that a packet's socket sends for.
#[inline(always)]
pub fn emit_packet<R: Record>(scratch: &mut Scratch, owner: (u32, u32), text_len: usize, flags: u16) {
    let mut header = header_of::<R>(owner.0, owner.1);
    let len = size_of::<R>() + bounded::<R>(text_len);
    header.len = len as u32;
    header.flags = flags;
    scratch.record::<R>().set_header(header);
    hand_over(R::KIND, scratch.bytes.as_ptr(), len as u64, BPF_RB_NO_WAKEUP);
}

/// The mask and the comparison give the verifier a bound that survives on every kernel: Linux 6.1 forgets that of a
/// helper's result on the way, so the compiler must not know it either.
#[inline(always)]
fn bounded<R: Record>(text_len: usize) -> usize {
    let text_len = core::hint::black_box(text_len) & (MAX_RECORD - 1);
    if text_len > R::MAX_TEXT { R::MAX_TEXT } else { text_len }
}
#[inline(always)]
fn hand_over(kind: u16, data: *const u8, len: u64, wake: u32) {
    if STOPPED.get(0).copied().unwrap_or(0) != 0 {
        return;
    }
    // SAFETY: `data` is valid for `len` bytes; the verifier checks it again.
    let result = unsafe {
        generated::bpf_ringbuf_output(
            (&raw const EVENTS).cast_mut().cast(),
            data.cast_mut().cast(),
            len,
            u64::from(wake),
        )
    };
    if result != 0 {
        lose(kind >> 8);
    }
}
