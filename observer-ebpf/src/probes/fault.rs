//! Signals that faults raise, a SIGTERM that is ignored, kills for want of memory.
//!
//! Addresses come from the signal's own information, never from the tracepoints of page faults, which every fault
//! of the node would pay for. Signals are generated in interrupts, too: nothing here uses the scratch buffer.

use aya_ebpf::{macros::uprobe, programs::ProbeContext};
use observer_ebpf::{
    control::{Watch, role},
    wire::fault::{Delivered, EngineResult, Handled, Ignored, OomKill, Stop, action, known},
};

use super::{NO_HEADER, arg, raw_rungs};
use crate::{
    budget, emit, filter,
    kernel::{Reader, current, offset, page_shift},
    linear,
    syscall::argument,
};

raw_rungs!(signal_deliver_btf, signal_deliver_raw, "signal_deliver", deliver);
raw_rungs!(signal_generate_btf, signal_generate_raw, "signal_generate", generate);
raw_rungs!(fault_oom_task_btf, fault_oom_task_raw, "mark_victim", oom_task);
raw_rungs!(fault_oom_pid_btf, fault_oom_pid_raw, "mark_victim", oom_pid);

/// SIGILL, SIGABRT, SIGBUS, SIGFPE, SIGSEGV, SIGSYS: the same numbers on x86-64 and arm64.
const FAULTS: u32 = 1 << 4 | 1 << 6 | 1 << 7 | 1 << 8 | 1 << 11 | 1 << 31;
const SIGTERM: u32 = 15;
/// SIGINT, SIGQUIT, SIGKILL, SIGTERM: what engines, or images by their `STOPSIGNAL`, stop containers with.
const STOPS: u32 = 1 << 2 | 1 << 3 | 1 << 9 | 1 << SIGTERM;
/// In place of a signal's information: the kernel sends it. One less: a process does, and there is no more to say.
const SEND_SIG_PRIV: u64 = 1;
/// `SIG_DFL` and `SIG_IGN`; anything else is the address of a handler.
const SIG_DFL: u64 = 0;
const SIG_IGN: u64 = 1;
/// `TRACE_SIGNAL_IGNORED`: the tracepoint's result, 1 since the tracepoint has one (3.3).
const WAS_IGNORED: i32 = 1;

/// Whether the process runs what a container was made for: its payload, or its init before or without an exec, as
/// runtimes run Wasm modules.
#[inline(always)]
fn is_contained(watch: &Watch) -> bool {
    watch.flags & role::QUIET == 0 && watch.flags & (role::PAYLOAD | role::ROOTFS) != 0
}

/// `signal_deliver(sig, info, ka)`, in the thread that gets it.
#[inline(always)]
fn deliver(args: *const u64) {
    let signal = arg(args, 0) as u32;
    if signal > 31 || FAULTS >> signal & 1 == 0 {
        return;
    }
    let Some(watch) = filter::current(role::RUNTIME | role::PAYLOAD) else { return };
    if !is_contained(watch) || filter::is_quiet(watch.init) {
        return;
    }
    let (flags, init) = (watch.flags, watch.init);
    let mut reader = Reader::new();
    let action = match reader.at(arg(args, 2), offset!(sigaction_handler)) {
        SIG_DFL => action::DEFAULT,
        SIG_IGN => action::IGNORE,
        _ => action::HANDLER,
    };
    let mut handled = 0;
    if action == action::HANDLER {
        let Some(count) = budget::handled_signal(init) else { return };
        handled = count;
    }
    let (task, info) = (current(), arg(args, 1));
    let record = Delivered {
        header: NO_HEADER,
        signal,
        code: reader.at(info, offset!(siginfo_code)),
        address: reader.at(info, offset!(siginfo_addr)),
        stack: argument!(regs_sp),
        start_ns: reader.process_start_ns(task),
        handled,
        action,
        role: flags,
        init,
        linear_units: linear::units(),
        comm: reader.comm(task),
    };
    emit::emit(record, reader.failed());
}

/// `signal_generate(sig, info, task, group, result)`, in whoever raises it.
#[inline(always)]
fn generate(args: *const u64) {
    let signal = arg(args, 0) as u32;
    if signal > 31 || STOPS >> signal & 1 == 0 {
        return;
    }
    let mut reader = Reader::new();
    let target = reader.tgid(arg(args, 2));
    let Some(watch) = filter::lookup(target) else { return };
    if !is_contained(watch) || watch.init != target {
        return;
    }
    stop(signal, watch, arg(args, 1));
    if signal != SIGTERM || arg(args, 4) as i32 != WAS_IGNORED {
        return;
    }
    emit::emit(Ignored { header: NO_HEADER, init: target, role: watch.flags }, reader.failed());
}

/// Somebody sends the init of a container a signal to stop it. What its own processes send is its own affair, and what
/// the kernel sends is told by others.
#[inline(always)]
fn stop(signal: u32, watch: &Watch, info: u64) {
    let sender = filter::current_tgid();
    if info == SEND_SIG_PRIV || filter::lookup(sender).is_some_and(|by| by.init == watch.init) {
        return;
    }
    let mut reader = Reader::new();
    if info > SEND_SIG_PRIV {
        let code: i32 = reader.at(info, offset!(siginfo_code));
        if code > 0 {
            return;
        }
    }
    let task = current();
    let record = Stop {
        header: NO_HEADER,
        signal,
        init: watch.init,
        role: watch.flags,
        pad: 0,
        start_ns: reader.process_start_ns(task),
        comm: reader.process_comm(task),
    };
    emit::emit(record, reader.failed());
}

/// A container's init has ended: signals that were only counted are told at last.
#[inline(always)]
pub fn container_ended(init: u32, role: u32) {
    if let Some(handled) = budget::forget(init) {
        emit::emit(Handled { header: NO_HEADER, handled, role, pad: 0 }, false);
    }
}

/// What is no failure of a WasmEdge: 0 is success, 1 that the module ended itself.
const LAST_SUCCESS: u32 = 1;
/// Where a code's category begins; the standard one is 0.
const CATEGORY: u32 = 24;

/// `WasmEdge_ResultOK(result)`, whose argument is one word with the code: called with the result of every run.
#[uprobe]
pub fn wasmedge_result(ctx: ProbeContext) -> u32 {
    let Some(code) = ctx.arg::<u64>(0).map(|word| word as u32) else { return 0 };
    if code & ((1 << CATEGORY) - 1) <= LAST_SUCCESS {
        return 0;
    }
    let Some(watch) = filter::current(role::RUNTIME | role::PAYLOAD) else { return 0 };
    let (flags, init) = (watch.flags, watch.init);
    if !is_contained(watch) || filter::is_quiet(init) || !budget::result(init) {
        return 0;
    }
    let task = current();
    let mut reader = Reader::new();
    let record = EngineResult {
        header: NO_HEADER,
        code,
        role: flags,
        init,
        pad: 0,
        start_ns: reader.process_start_ns(task),
        comm: reader.comm(task),
    };
    emit::emit(record, reader.failed());
    0
}

/// `mark_victim(task, ..)`, as newer kernels have it.
#[inline(always)]
fn oom_task(args: *const u64) {
    let victim = arg(args, 0);
    oom(victim, Reader::new().tgid(victim));
}

/// `mark_victim(pid)`, as older kernels have it: of another process than the one that asked for memory nothing is
/// known, but whoever asked did so under the same limit.
#[inline(always)]
fn oom_pid(args: *const u64) {
    oom(current(), arg(args, 0) as u32);
}

/// `task`: the victim, or one that ran out of the same memory.
#[inline(always)]
fn oom(task: u64, victim: u32) {
    let Some(watch) = filter::lookup(victim) else { return };
    if !is_contained(watch) {
        return;
    }
    let (flags, init) = (watch.flags, watch.init);
    let mut record = OomKill {
        header: NO_HEADER,
        victim,
        role: flags,
        init,
        known: 0,
        rss_bytes: 0,
        usage_bytes: 0,
        limit_bytes: 0,
        start_ns: 0,
        comm: [0; observer_ebpf::control::COMM_LEN],
    };
    reached_limit(task, &mut record);
    let mut reader = Reader::new();
    if reader.tgid(task) == victim {
        record.comm = reader.comm(task);
        record.start_ns = reader.process_start_ns(task);
        resident(task, &mut record);
    } else {
        reader.fail();
    }
    emit::emit(record, reader.failed());
}

/// Counters are read one after the other, and a counter of its own kind may be below zero for a moment.
#[inline(always)]
fn resident(task: u64, record: &mut OomKill) {
    let mut reader = Reader::new();
    let mm: u64 = reader.at(task, offset!(task_mm));
    let pages: i64 = reader.at::<i64>(mm, offset!(mm_file_pages))
        + reader.at::<i64>(mm, offset!(mm_anon_pages))
        + reader.at::<i64>(mm, offset!(mm_shmem_pages));
    if !reader.failed() && pages >= 0 {
        record.rss_bytes = (pages as u64) << page_shift();
        record.known |= known::RSS;
    }
}

/// Control groups looked at from the victim's own upwards.
const LEVELS: usize = 8;
/// What a limit may be short of when nothing more fits under it: pages are charged by 64 at a time and CPU.
const SLACK_PAGES: u64 = 256;

/// The first limit above the victim that is used up.
#[inline(always)]
fn reached_limit(task: u64, record: &mut OomKill) {
    let mut reader = Reader::new();
    let mut css = reader.memory_css(task);
    for _ in 0..LEVELS {
        if css == 0 || reader.failed() {
            return;
        }
        let memcg = css.wrapping_sub(u64::from(offset!(memcg_css)));
        let usage: u64 = reader.at(memcg, offset!(memcg_usage));
        let max: u64 = reader.at(memcg, offset!(memcg_max));
        // A small limit is not reached by the slack alone.
        let slack = if SLACK_PAGES < max / 4 { SLACK_PAGES } else { max / 4 };
        if !reader.failed() && usage >= max - slack {
            record.usage_bytes = usage << page_shift();
            record.limit_bytes = max << page_shift();
            record.known |= known::LIMIT;
            return;
        }
        css = reader.at(css, offset!(css_parent));
    }
}
