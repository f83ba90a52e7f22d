//! What the machine does for the node: how long requests to block devices take and how long components wait for their
//! files to be on one, transmit queues of network devices that hung, machine checks. All of it is counted; only slow
//! requests are told, one a second of a device.
//!
//! Requests are done in interrupts, too: no scratch buffer here.

use core::intrinsics::{AtomicOrdering, atomic_xadd};

use aya_ebpf::{
    bindings::BPF_NOEXIST,
    helpers::bpf_ktime_get_ns,
    macros::{map, tracepoint},
    maps::{Array, HashMap},
    programs::TracePointContext,
};
use observer_ebpf::{
    Family,
    control::role,
    wire::{
        Syscall,
        cpu::{BUCKETS, bucket},
        hardware::{
            Block, Check, EVERY_NS, MAX_CHECKS, MAX_DEVICES, MAX_LINK, MAX_LINKS, MAX_SYNCING, SLOW_NS, Slow,
            Syncing, op,
        },
        packet::Owner,
    },
};

use super::{NO_HEADER, arg, on_return, raw_rungs};
use crate::{
    emit::{self, lose, now},
    filter,
    kernel::{self, Reader, offset},
    syscall,
};

raw_rungs!(block_completed_btf, block_completed_raw, "block_rq_complete", completed);
raw_rungs!(transmit_timed_out_btf, transmit_timed_out_raw, "net_dev_xmit_timeout", timed_out);
raw_rungs!(machine_checked_btf, machine_checked_raw, "mce_record", checked);
on_return!(exit_synced, 0, synced);

/// By the device's number.
#[map]
static BLOCK: HashMap<u32, Block> = HashMap::with_max_entries(MAX_DEVICES, 0);

/// By process. User space takes out what has not synced for a while.
#[map]
static SYNCING: HashMap<u32, Syncing> = HashMap::with_max_entries(MAX_SYNCING, 0);

/// Entries begin as this, which nobody writes: too large for a program's stack.
#[map]
static NO_BLOCK: Array<Block> = Array::with_max_entries(1, 0);
#[map]
static NO_SYNCING: Array<Syncing> = Array::with_max_entries(1, 0);

/// How often, by the network device's name.
#[map]
static TIMED_OUT: HashMap<[u8; MAX_LINK], u64> = HashMap::with_max_entries(MAX_LINKS, 0);

#[map]
static CHECKED: HashMap<Check, u64> = HashMap::with_max_entries(MAX_CHECKS, 0);

const FAMILY: u16 = Family::Hardware as u16;

/// The part of a request's flags that says what it does.
const OP_MASK: u32 = 0xff;

/// `MCI_STATUS_UC`.
const UNCORRECTED: u64 = 1 << 61;

/// Whose files are asked about: components of the node. Those that run in containers are known by their name.
const WAITS: u32 = role::ENGINE | role::CALLER | role::SPEAKER | role::PAYLOAD;

/// `block_rq_complete(request, error, bytes)`: so many bytes of it are done, in most cases all.
#[inline(always)]
fn completed(args: *const u64) {
    let request = arg(args, 0);
    let mut reader = Reader::new();
    let flags: u32 = reader.at(request, offset!(request_flags));
    let bytes: u32 = reader.at(request, offset!(request_bytes));
    let op = flags & OP_MASK;
    // A part of it; and the end of one that was followed by a flush, which is told twice.
    if op > op::FLUSH || (arg(args, 2) as u32) < bytes || (bytes == 0 && op != op::FLUSH) {
        return;
    }
    let began: u64 = reader.at(request, offset!(request_began));
    let queue: u64 = reader.at(request, offset!(request_queue));
    let disk: u64 = reader.at(queue, offset!(queue_disk));
    let major: u32 = reader.at(disk, offset!(disk_major));
    let minor: u32 = reader.at(disk, offset!(disk_minor));
    if reader.failed() {
        return lose(FAMILY);
    }
    let device = major << 20 | minor;
    let is_waited_for = op != op::WRITE || flags >> (offset!(request_sync) & 31) & 1 != 0;
    let Some(block) = block_of(device, disk) else { return lose(FAMILY) };
    // SAFETY: map values outlive the program run. Several CPUs count at once: what is added up is added atomically.
    unsafe {
        if began == 0 {
            return add(&raw mut (*block).untimed, 1);
        }
        let took = bpf_ktime_get_ns().saturating_sub(began);
        add(&raw mut (*block).taken_ns, took);
        if !is_waited_for {
            return add(&raw mut (*block).behind, 1);
        }
        count(&raw mut (*block).waited, took);
        if took >= SLOW_NS {
            slow(
                block,
                Slow { header: NO_HEADER, took_ns: took, device, op, bytes, count: 0, name: (*block).name },
            );
        }
    }
}

#[inline(always)]
fn block_of(device: u32, disk: u64) -> Option<*mut Block> {
    if let Some(block) = BLOCK.get_ptr_mut(device) {
        return Some(block);
    }
    let none = NO_BLOCK.get_ptr(0)?;
    // SAFETY: nobody writes it. Another CPU may have made the entry meanwhile.
    let _ = BLOCK.insert(device, unsafe { &*none }, u64::from(BPF_NOEXIST));
    let block = BLOCK.get_ptr_mut(device)?;
    let name = Reader::new().at(disk, offset!(disk_name));
    // SAFETY: as in `completed`; whoever else writes it writes the same.
    unsafe { (*block).name = name };
    Some(block)
}

/// One more of these durations.
#[inline(always)]
unsafe fn count(counts: *mut [u64; BUCKETS], ns: u64) {
    // The verifier does not follow a logarithm; what it is told here it believes.
    let bucket = core::hint::black_box(bucket(ns)) & (BUCKETS - 1);
    // SAFETY: within the array; the rest is left to the caller.
    unsafe { add(counts.cast::<u64>().add(bucket), 1) };
}

/// Tells of it if none of this device was told a moment ago.
#[inline(always)]
unsafe fn slow(block: *mut Block, mut record: Slow) {
    let time = now();
    // SAFETY: as in `completed`; which of several CPUs tells does not matter.
    unsafe {
        add(&raw mut (*block).slow, 1);
        if time.wrapping_sub((*block).told_ns) < EVERY_NS {
            return;
        }
        (*block).told_ns = time;
        let slow = (*block).slow;
        record.count = slow.wrapping_sub((*block).told) as u32;
        (*block).told = slow;
    }
    emit::emit_of(record, &Owner::default(), false);
}

/// `net_dev_xmit_timeout(device, queue)`: it did not send in time what it was given.
#[inline(always)]
fn timed_out(args: *const u64) {
    let mut reader = Reader::new();
    let name: [u8; MAX_LINK] = reader.at(arg(args, 0), offset!(device_name));
    if reader.failed() {
        return lose(FAMILY);
    }
    one_more(&TIMED_OUT, &name);
}

/// `mce_record(error)`: what the machine reports of its hardware.
#[inline(always)]
fn checked(args: *const u64) {
    let error = arg(args, 0);
    let mut reader = Reader::new();
    let status: u64 = reader.at(error, offset!(mce_status));
    let bank: u8 = reader.at(error, offset!(mce_bank));
    let cpu = reader.at(error, offset!(mce_cpu));
    if reader.failed() {
        return lose(FAMILY);
    }
    let uncorrected = u16::from(status & UNCORRECTED != 0);
    one_more(&CHECKED, &Check { cpu, bank: u16::from(bank), uncorrected });
}

#[inline(always)]
fn one_more<K>(counts: &HashMap<K, u64>, key: &K) {
    if let Some(count) = counts.get_ptr_mut(key) {
        // SAFETY: as in `completed`.
        unsafe { add(count, 1) };
    } else if counts.insert(key, &1, u64::from(BPF_NOEXIST)).is_err() {
        lose(FAMILY);
    }
}

/// fsync or fdatasync begins.
#[tracepoint]
pub fn enter_synced(_ctx: TracePointContext) -> u32 {
    syscall::keep(WAITS);
    0
}

#[inline(always)]
fn synced(_op: u32, syscall: Syscall) {
    let Some(watch) = filter::current(WAITS) else { return };
    let mut reader = Reader::new();
    let comm = reader.process_comm(kernel::current());
    if reader.failed() {
        return lose(FAMILY);
    }
    if watch.flags & role::PAYLOAD != 0 && filter::role_of_name(&comm) & WAITS == 0 {
        return;
    }
    let tgid = filter::current_tgid();
    let Some(syncing) = syncing_of(tgid) else { return lose(FAMILY) };
    // SAFETY: as in `completed`; the name is the process's own.
    unsafe {
        (*syncing).comm = comm;
        count(&raw mut (*syncing).waited, now().saturating_sub(syscall.entered_ns));
    }
}

#[inline(always)]
fn syncing_of(tgid: u32) -> Option<*mut Syncing> {
    if let Some(syncing) = SYNCING.get_ptr_mut(tgid) {
        return Some(syncing);
    }
    let none = NO_SYNCING.get_ptr(0)?;
    // SAFETY: as in `block_of`.
    let _ = SYNCING.insert(tgid, unsafe { &*none }, u64::from(BPF_NOEXIST));
    SYNCING.get_ptr_mut(tgid)
}

#[inline(always)]
unsafe fn add(counter: *mut u64, amount: u64) {
    // SAFETY: left to the caller.
    unsafe { atomic_xadd::<u64, u64, { AtomicOrdering::Relaxed }>(counter, amount) };
}
