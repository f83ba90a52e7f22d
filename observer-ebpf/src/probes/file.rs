//! Files opened by runtimes: the few paths that mark a phase, failures, and everything after the change of
//! root (a Wasm module may have any name).

use observer_ebpf::{
    control::role,
    wire::{
        Syscall,
        file::{File, op},
        flag,
    },
};

use super::{NO_HEADER, on_return};
use crate::{
    emit::{self, Scratch},
    filter,
    syscall::{self, InFlight},
};

on_return!(exit_openat, Call { op: op::OPEN, path: 1, flags: Some(2) }, returned);
on_return!(exit_openat2, Call { op: op::OPEN, path: 1, flags: None }, returned);
on_return!(exit_open, Call { op: op::OPEN, path: 0, flags: Some(1) }, returned);
on_return!(exit_stat_at, Call { op: op::STAT, path: 1, flags: None }, returned);
on_return!(exit_access, Call { op: op::ACCESS, path: 0, flags: None }, returned);
on_return!(exit_access_at, Call { op: op::ACCESS, path: 1, flags: None }, returned);

/// A call on a path: which of its arguments is what.
struct Call {
    op: u32,
    path: usize,
    flags: Option<usize>,
}

const FIXED: usize = size_of::<File>();
/// How much of a path's end is looked at.
const TAIL: usize = 16;

#[inline(always)]
fn returned(call: Call, entry: &InFlight, syscall: Syscall) {
    let Some(watch) = filter::lookup(filter::current_tgid()) else { return };
    if call.op != op::OPEN && syscall.ret >= 0 {
        return;
    }
    let Some(scratch) = emit::scratch() else { return };
    let open_flags = call.flags.map_or(0, |n| entry.args[n] as u32);
    let pointer = entry.args[call.path];
    let (path_len, flags) = syscall::read_path::<FIXED>(scratch, pointer);
    let after_root = watch.flags & role::ROOTFS != 0;
    let unreadable = flags & flag::UNREADABLE != 0;
    let failed = syscall.ret < 0;
    let wanted = match read_tail(scratch, path_len) {
        // The linker looks for each library in many places: only engines are missed.
        Some(tail) if failed && has_so(&tail) => names_an_engine(&tail),
        Some(tail) => after_root || failed || marks_a_phase(&tail),
        None => true,
    };
    if !wanted && !unreadable {
        return;
    }
    let record = File {
        header: NO_HEADER,
        syscall,
        flags: open_flags,
        role: watch.flags,
        path_len: path_len as u32,
        op: call.op,
    };
    emit::emit_text(scratch, record, path_len, flags);
}

/// The last bytes of a path, the first of them lowest (this target is little-endian). Looked at without
/// branches: a loop over bytes takes the verifier a quarter of a second.
struct Tail {
    low: u64,
    high: u64,
}

#[inline(always)]
fn read_tail(scratch: &Scratch, path_len: usize) -> Option<Tail> {
    let start = FIXED + (path_len & 0xff);
    let mut words = [0u64; TAIL / 8];
    let text = scratch.bytes.as_ptr();
    // SAFETY: FIXED >= TAIL, so the copy begins and ends within the scratch buffer.
    let copied = unsafe {
        aya_ebpf::helpers::generated::bpf_probe_read_kernel(
            words.as_mut_ptr().cast(),
            TAIL as u32,
            text.add(start - TAIL).cast(),
        )
    };
    (copied == 0).then_some(Tail { low: words[0], high: words[1] })
}

/// 0x80 in each byte of `word` that equals `byte`, 0 in the others.
#[inline(always)]
fn equal(word: u64, byte: u8) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const SEVEN: u64 = 0x7f7f_7f7f_7f7f_7f7f;
    let differs = word ^ (ONES * byte as u64);
    !(((differs & SEVEN) + SEVEN) | differs | SEVEN)
}

impl Tail {
    #[inline(always)]
    fn equal(&self, byte: u8) -> Tail {
        Tail { low: equal(self.low, byte), high: equal(self.high, byte) }
    }

    /// Whether a byte marked here is followed by one marked in `second` and that by one marked in `third`.
    #[inline(always)]
    fn followed_by(&self, second: &Tail, third: &Tail) -> bool {
        let low = self.low & (second.low >> 8 | second.high << 56) & (third.low >> 16 | third.high << 48);
        let high = self.high & (second.high >> 8) & (third.high >> 16);
        low | high != 0
    }
}

/// config.json, exec.fifo, shared libraries and modules, by the end of their names.
#[inline(always)]
fn marks_a_phase(tail: &Tail) -> bool {
    const CONFIG: u64 = u64::from_le_bytes(*b"fig.json");
    const FIFO: u64 = u64::from_le_bytes(*b"xec.fifo");
    const MODULE: u64 = u64::from_le_bytes(*b".wasm\0\0\0");
    tail.high == CONFIG || tail.high == FIFO || tail.high >> 24 == MODULE || has_so(tail)
}

/// `.so` anywhere in the tail: `libx.so`, `libx.so.0`, `libx.so.0.1.0`.
#[inline(always)]
fn has_so(tail: &Tail) -> bool {
    tail.equal(b'.').followed_by(&tail.equal(b's'), &tail.equal(b'o'))
}

/// libwasmedge, libwasmtime, libwasmer, libiwasm, libwamr.
#[inline(always)]
fn names_an_engine(tail: &Tail) -> bool {
    let (s, m) = (tail.equal(b's'), tail.equal(b'm'));
    let third = Tail { low: s.low | m.low, high: s.high | m.high };
    tail.equal(b'w').followed_by(&tail.equal(b'a'), &third)
}
