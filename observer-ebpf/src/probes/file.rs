//! Files opened by runtimes: the few paths that mark a phase, failures, and everything after the change of
//! root (a Wasm module may have any name). Files that an engine's helpers wait to lock: CNI plugins wait for the
//! lock of iptables. And what an engine does with images: containerd's paths say which blob, snapshot, container. And the
//! database that K3s, or kine, keeps its cluster in.

use aya_ebpf::{helpers::bpf_probe_read_user, macros::tracepoint, programs::TracePointContext};
use observer_ebpf::{
    control::role,
    wire::{
        file::{File, MIN_LOCK_WAIT_NS, op},
        flag,
    },
};

use super::{NO_HEADER, on_exit, storage};
use crate::{
    emit::{self, Scratch},
    files, filter,
    kernel::Reader,
    syscall::{self, argument},
};

on_exit!(
    exit_openat_btf,
    exit_openat,
    Call { op: op::OPEN, path: Second, flags: Flags::In(Third) },
    returned
);
on_exit!(
    exit_openat2_btf,
    exit_openat2,
    Call { op: op::OPEN, path: Second, flags: Flags::At(Third) },
    returned
);
on_exit!(exit_open_btf, exit_open, Call { op: op::OPEN, path: First, flags: Flags::In(Second) }, returned);
on_exit!(exit_stat_at_btf, exit_stat_at, Call { op: op::STAT, path: Second, flags: Flags::None }, returned);
on_exit!(exit_access_btf, exit_access, Call { op: op::ACCESS, path: First, flags: Flags::None }, returned);
on_exit!(
    exit_access_at_btf,
    exit_access_at,
    Call { op: op::ACCESS, path: Second, flags: Flags::None },
    returned
);
on_exit!(
    exit_readlink_btf,
    exit_readlink,
    Call { op: op::READLINK, path: First, flags: Flags::None },
    returned
);
on_exit!(
    exit_readlinkat_btf,
    exit_readlinkat,
    Call { op: op::READLINK, path: Second, flags: Flags::None },
    returned
);

on_exit!(
    exit_kept_rename_btf,
    exit_kept_rename,
    Call { op: op::RENAME, path: Fourth, flags: Flags::None },
    kept
);
on_exit!(
    exit_kept_mkdir_btf,
    exit_kept_mkdir,
    Call { op: op::MKDIR, path: Second, flags: Flags::None },
    kept
);

/// A call on a path: which of its arguments is what.
struct Call {
    op: u32,
    path: Argument,
    flags: Flags,
}

/// Where the O_* bits are.
enum Flags {
    None,
    In(Argument),
    /// At the beginning of a structure (openat2).
    At(Argument),
}

enum Argument {
    First,
    Second,
    Third,
    Fourth,
}
use Argument::{First, Fourth, Second, Third};

impl Argument {
    #[inline(always)]
    fn read(&self) -> u64 {
        match self {
            First => argument!(regs_arg0),
            Second => argument!(regs_arg1),
            Third => argument!(regs_arg2),
            Fourth => argument!(regs_arg3),
        }
    }
}

impl Flags {
    #[inline(always)]
    fn read(&self) -> u64 {
        match self {
            Flags::None => 0,
            Flags::In(argument) => argument.read(),
            // SAFETY: the helper checks the address itself.
            Flags::At(argument) => unsafe { bpf_probe_read_user(argument.read() as *const u64) }.unwrap_or(0),
        }
    }
}

const EINVAL: i64 = 22;
/// O_PATH, on every architecture but alpha, parisc and sparc.
const O_PATH: u64 = 0o10_000_000;

const FIXED: usize = size_of::<File>();
/// How much of a path's end is looked at.
const TAIL: usize = 16;

#[inline(always)]
fn returned(call: Call, ret: i64) {
    if call.op == op::OPEN {
        storage::opened(matches!(call.path, Second), ret);
    }
    // The others say something only by failing. Runtimes and their libraries make them by the hundred.
    if call.op != op::OPEN && ret >= 0 {
        return;
    }
    // Whoever resolves a path asks of each part of it whether it is a link.
    if call.op == op::READLINK && ret == -EINVAL {
        return;
    }
    let Some(watch) = filter::current(role::RUNTIME) else {
        if call.op == op::OPEN {
            kept(call, ret);
        }
        return;
    };
    let open_flags = call.flags.read();
    // Steps of walking a path (crun makes one for each mount), and nothing is read from them.
    if ret >= 0 && open_flags & O_PATH != 0 {
        return;
    }
    let Some(scratch) = emit::scratch() else { return };
    let (path_len, flags) = syscall::read_path::<FIXED>(scratch, call.path.read());
    let after_root = watch.flags & role::ROOTFS != 0;
    let unreadable = flags & flag::UNREADABLE != 0;
    let failed = ret < 0;
    let tail = read_tail(scratch, path_len);
    // The linker looks for each library in many places: only engines are missed.
    let wanted = if failed && has_so(&tail) {
        names_an_engine(&tail)
    } else {
        after_root || failed || marks_a_phase(&tail)
    };
    if !wanted && !unreadable {
        return;
    }
    let record = File {
        header: NO_HEADER,
        syscall: syscall::ended(ret),
        flags: open_flags as u32,
        role: watch.flags,
        path_len: path_len as u32,
        op: call.op,
    };
    emit::emit_text(scratch, record, path_len, flags);
}

/// What an engine did to a file or directory of those that it keeps of images and containers; who opened a datastore.
#[inline(always)]
fn kept(call: Call, ret: i64) {
    let keepers = if call.op == op::OPEN { role::ENGINE | role::SPEAKER } else { role::ENGINE };
    let Some(watch) = filter::current(keepers) else { return };
    if ret < 0 {
        return;
    }
    let Some(scratch) = emit::scratch() else { return };
    let (path_len, flags) = syscall::read_path::<FIXED>(scratch, call.path.read());
    let wanted = match call.op {
        op::MKDIR => matches!(before_id(scratch, path_len), CONTAINER | SANDBOX),
        op::RENAME => {
            before_id(scratch, path_len) == DIGEST || names_a_snapshot(&read_tail(scratch, path_len))
        }
        _ => before_id(scratch, path_len) == DIGEST || names_a_datastore(&read_tail(scratch, path_len)),
    };
    if !wanted {
        return;
    }
    let record = File {
        header: NO_HEADER,
        syscall: syscall::ended(ret),
        flags: 0,
        role: watch.flags,
        path_len: path_len as u32,
        op: call.op,
    };
    emit::emit_text(scratch, record, path_len, flags);
}

/// `flock(fd, operation)`, of helpers only: what they wait for, their engine waits for.
#[tracepoint]
pub fn exit_flock(ctx: TracePointContext) -> u32 {
    let Some(syscall) = syscall::returned(&ctx) else { return 0 };
    let Some(watch) = filter::current(role::HELPER) else { return 0 };
    if syscall.ret < 0 || emit::now().wrapping_sub(syscall.entered_ns) < MIN_LOCK_WAIT_NS {
        return 0;
    }
    let mut reader = Reader::new();
    let file = files::file_of(argument!(regs_arg0) as u32, &mut reader);
    let Some(scratch) = emit::scratch() else { return 0 };
    let (path_len, flags) = files::name_of::<FIXED>(scratch, file, &mut reader);
    let record = File {
        header: NO_HEADER,
        syscall,
        flags: 0,
        role: watch.flags,
        path_len: path_len as u32,
        op: op::FLOCK,
    };
    emit::emit_text(scratch, record, path_len, flags);
    0
}

/// Digests, and ids of containers, are this long.
const ID: usize = 64;
const DIGEST: u64 = u64::from_le_bytes(*b"/sha256/");
const CONTAINER: u64 = u64::from_le_bytes(*b"tainers/");
const SANDBOX: u64 = u64::from_le_bytes(*b"ndboxes/");

/// What is before a path's last part, if that is as long as an id.
#[inline(always)]
fn before_id(scratch: &Scratch, path_len: usize) -> u64 {
    const BEHIND: usize = ID + size_of::<u64>();
    if path_len < BEHIND {
        return 0;
    }
    let start = FIXED + ((path_len - BEHIND) & 0xff);
    // SAFETY: a path is at most 255 bytes, so this is within the scratch buffer.
    unsafe { scratch.bytes.as_ptr().add(start).cast::<u64>().read_unaligned() }
}

/// The last bytes of a path, the first of them lowest (this target is little-endian). Looked at without
/// branches: a loop over bytes takes the verifier a quarter of a second.
struct Tail {
    low: u64,
    high: u64,
}

#[inline(always)]
fn read_tail(scratch: &Scratch, path_len: usize) -> Tail {
    let start = FIXED + (path_len & 0xff) - TAIL;
    // SAFETY: FIXED >= TAIL, so both words begin and end within the scratch buffer.
    unsafe {
        let tail = scratch.bytes.as_ptr().add(start).cast::<u64>();
        Tail { low: tail.read_unaligned(), high: tail.add(1).read_unaligned() }
    }
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

/// `.../state.db`, as far as the tail tells.
#[inline(always)]
fn names_a_datastore(tail: &Tail) -> bool {
    const FILE: u64 = u64::from_le_bytes(*b"state.db");
    tail.high == FILE && tail.low >> 56 == b'/' as u64
}

/// `.../snapshots/12`, as far as the tail tells.
#[inline(always)]
fn names_a_snapshot(tail: &Tail) -> bool {
    tail.equal(b'o').followed_by(&tail.equal(b't'), &tail.equal(b's'))
}
