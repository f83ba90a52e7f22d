//! One file a family: hook, read fields, emit. Names match `wire/` and `observer/src/probes/`.

mod cgroup;
mod context;
pub mod cpu;
pub mod dns;
mod fault;
mod file;
mod hardware;
mod memory;
mod mount;
mod namespace;
pub mod net;
mod output;
mod process;
mod security;
mod socket;
mod stdio;
mod storage;
mod text;
pub mod tls;
mod webhook;

/// The header of a record under construction: `emit` fills it in.
const NO_HEADER: observer_ebpf::wire::Header =
    observer_ebpf::wire::Header { kind: 0, flags: 0, len: 0, time_ns: 0, tgid: 0, tid: 0, lost: 0 };

/// The same program for a kernel tracepoint by its two raw rungs: BTF tracepoint and raw tracepoint. Both
/// see the tracepoint's arguments as an array of words.
macro_rules! raw_rungs {
    ($btf:ident, $raw:ident, $target:literal, $body:ident) => {
        #[aya_ebpf::macros::btf_tracepoint(function = $target)]
        pub fn $btf(ctx: aya_ebpf::programs::BtfTracePointContext) -> i32 {
            $body($crate::syscall::raw(&ctx));
            0
        }

        #[aya_ebpf::macros::raw_tracepoint(tracepoint = $target)]
        pub fn $raw(ctx: aya_ebpf::programs::RawTracePointContext) -> i32 {
            $body($crate::syscall::raw(&ctx));
            0
        }
    };
}
use raw_rungs;

/// The `n`th argument of a kernel tracepoint.
#[inline(always)]
pub fn arg(args: *const u64, n: usize) -> u64 {
    // SAFETY: within the tracepoint's arguments: the loader checked its prototype, the verifier the bounds.
    unsafe { *args.add(n) }
}

/// The exit of a syscall whose entry was kept.
macro_rules! on_return {
    ($program:ident, $op:expr, $body:ident) => {
        #[aya_ebpf::macros::tracepoint]
        pub fn $program(ctx: aya_ebpf::programs::TracePointContext) -> u32 {
            if let Some(syscall) = $crate::syscall::returned(&ctx) {
                $body($op, syscall);
            }
            0
        }
    };
}
use on_return;

/// The exit of a syscall whose entry is not hooked, by its two rungs: a tracepoint of its own, and called by
/// [`crate::syscall::syscall_exit`]. The body gets what the call returned.
macro_rules! on_exit {
    ($btf:ident, $program:ident, $op:expr, $body:ident) => {
        #[aya_ebpf::macros::btf_tracepoint(function = "sys_exit")]
        pub fn $btf(ctx: aya_ebpf::programs::BtfTracePointContext) -> i32 {
            $body($op, $crate::probes::arg($crate::syscall::raw(&ctx), 1) as i64);
            0
        }

        #[aya_ebpf::macros::tracepoint]
        pub fn $program(ctx: aya_ebpf::programs::TracePointContext) -> u32 {
            $body($op, $crate::syscall::ret(&ctx));
            0
        }
    };
}
use on_exit;
