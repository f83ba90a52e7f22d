//! Syscalls. Everything is read at exit: at entry the page of a path may not be there yet, and at exit the
//! arguments are still in the registers that the thread entered with.
//!
//! Where the time of entry matters, or a call may take long, both ends are hooked and the time is kept until
//! the exit. Where it does not, only the exit is hooked, which costs less (docs/decisions/0007).

use aya_ebpf::{
    EbpfContext,
    helpers::{
        bpf_get_current_pid_tgid, bpf_get_current_task_btf, bpf_probe_read_user_str_bytes,
        generated::bpf_task_pt_regs,
    },
    macros::{btf_tracepoint, map, tracepoint},
    maps::{HashMap, ProgramArray},
    programs::{BtfTracePointContext, TracePointContext},
};
use observer_ebpf::{
    Family,
    control::{IS_32_BIT, MAX_SYSCALLS, role},
    wire::{Syscall, flag},
};

use crate::{
    emit::{Scratch, lose, now},
    filter,
    kernel::offset,
};

/// When a thread (`pid_tgid`) entered the syscall that it is in, CLOCK_BOOTTIME in ns; 0: it is in none that
/// is kept. Written in place, call after call; entries go at the thread's end.
#[map]
static ENTERED: HashMap<u64, u64> = HashMap::with_max_entries(32_768, 0);

/// Word of a sys_exit_* tracepoint that is `ret`; the loader checks it by name.
const EXIT_RET: usize = 2;

#[inline(always)]
pub fn keep(roles: u32) {
    if filter::current(roles).is_none() {
        return;
    }
    let key = bpf_get_current_pid_tgid();
    if let Some(own) = ENTERED.get_ptr_mut(key) {
        // SAFETY: the entry is this thread's own.
        unsafe { *own = now() };
    } else if ENTERED.insert(key, now(), 0).is_err() {
        lose(Family::Process as u16);
    }
}

/// Entry of syscalls that are of interest in runtimes only.
#[tracepoint]
pub fn enter_runtime(_ctx: TracePointContext) -> u32 {
    keep(role::RUNTIME);
    0
}

/// Entry of syscalls that are of interest in engines, shims and runtimes.
#[tracepoint]
pub fn enter_engine(_ctx: TracePointContext) -> u32 {
    keep(role::RUNTIME | role::ENGINE | role::SHIM | role::HELPER);
    0
}

/// Entry of execve: of interest in whatever is watched.
#[tracepoint]
pub fn enter_any(_ctx: TracePointContext) -> u32 {
    keep(!role::QUIET);
    0
}

/// Entry of syscalls that are of interest in runtimes and payloads.
#[tracepoint]
pub fn enter_payload(_ctx: TracePointContext) -> u32 {
    keep(role::RUNTIME | role::PAYLOAD);
    0
}

/// Programs for the exits of syscalls, by number. User space fills in what was asked for.
#[map]
static CALLS: ProgramArray = ProgramArray::with_max_entries(MAX_SYSCALLS, 0);

/// `sys_exit(regs, ret)`: hands the exits that are of interest to their programs, on kernels where syscalls have
/// no tracepoints of their own. Every syscall of the node pays for it (docs/decisions/0007).
#[btf_tracepoint(function = "sys_exit")]
pub fn syscall_exit(ctx: BtfTracePointContext) -> i32 {
    // SAFETY: the helper takes no arguments; the tracepoint has two.
    let (task, registers) = unsafe { (bpf_get_current_task_btf() as *const u8, *raw(&ctx) as *const u8) };
    let (abi, number) = (word(task, offset!(task_abi)), word(registers, offset!(regs_syscall)));
    if abi & IS_32_BIT != 0 {
        // Its numbers mean other calls. Nothing here understands them.
        if filter::current(role::RUNTIME).is_some() {
            lose(Family::Process as u16);
        }
        return 0;
    }
    // SAFETY: programs of the same kind; what has none falls through.
    let _ = unsafe { CALLS.tail_call(&ctx, number) };
    0
}

/// A word of a structure whose type the verifier knows, at an offset that is a constant to it.
#[inline(always)]
fn word(base: *const u8, offset: u32) -> u32 {
    // SAFETY: the verifier refuses what is not within the structure.
    unsafe { core::ptr::read_volatile(base.add(offset as usize).cast::<u32>()) }
}

/// A thread has ended: whatever it was doing will not return.
#[inline(always)]
pub fn abandon() {
    let _ = ENTERED.remove(bpf_get_current_pid_tgid());
}

/// A thread that executes a program takes the process's first thread's id: it will not return as `before`.
#[inline(always)]
pub fn renamed(tgid: u32, before: u32) {
    if before != tgid {
        let _ = ENTERED.remove(u64::from(tgid) << 32 | u64::from(before));
    }
}

/// The call that ends here, if this thread was watched when it began.
#[inline(always)]
pub fn returned(ctx: &TracePointContext) -> Option<Syscall> {
    let own = ENTERED.get_ptr_mut(bpf_get_current_pid_tgid())?;
    // SAFETY: the entry is this thread's own.
    let entered_ns = unsafe { core::mem::take(&mut *own) };
    if entered_ns == 0 {
        return None;
    }
    let ret = ret(ctx);
    #[cfg(feature = "log")]
    aya_log_ebpf::debug!(ctx, "thread {} returned {}", bpf_get_current_pid_tgid() as u32, ret);
    Some(Syscall { entered_ns, ret })
}

/// The return value of the syscall that ends here.
#[inline(always)]
pub fn ret(ctx: &TracePointContext) -> i64 {
    // SAFETY: sys_exit_* records hold the return value in this word.
    unsafe { *raw(ctx).add(EXIT_RET) as i64 }
}

/// A syscall of which only the exit is hooked: nothing is known of its entry.
#[inline(always)]
pub fn ended(ret: i64) -> Syscall {
    Syscall { entered_ns: 0, ret }
}

/// An argument of the current syscall, also at its exit: what the thread's registers held when it entered
/// (x86-64 and arm64 change only the one that returns the result, and keep its former value).
macro_rules! argument {
    ($register:ident) => {
        $crate::syscall::register($crate::kernel::offset!($register))
    };
}
pub(crate) use argument;

/// Read like any memory, without a call: the verifier knows the type, and the offset is a constant to it.
#[inline(always)]
pub fn register(offset: u32) -> u64 {
    // SAFETY: the current task is always valid, and so are the registers it entered with.
    unsafe {
        let registers = bpf_task_pt_regs(bpf_get_current_task_btf()) as *const u8;
        core::ptr::read_volatile(registers.add(offset as usize).cast::<u64>())
    }
}

/// Reads a user string into the scratch buffer behind a fixed part of `at` bytes; gives its length without
/// the terminator, and the flags to set.
#[inline(always)]
pub fn read_path<const AT: usize>(scratch: &mut Scratch, pointer: u64) -> (usize, u16) {
    const PATH: usize = 256;
    let text = &mut scratch.bytes[AT..AT + PATH];
    // SAFETY: the helper checks the address itself.
    match unsafe { bpf_probe_read_user_str_bytes(pointer as *const u8, text) } {
        Ok(path) if path.len() == PATH - 1 => (path.len(), flag::TRUNCATED),
        Ok(path) => (path.len(), 0),
        Err(_) => (0, flag::UNREADABLE),
    }
}

/// Keeps `EbpfContext` in scope for the programs of this crate that only need the context's pointer.
#[inline(always)]
pub fn raw(ctx: &impl EbpfContext) -> *const u64 {
    ctx.as_ptr().cast()
}
