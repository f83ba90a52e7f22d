//! Specs: which hooks a family needs, best first. Data only; `source/live` attaches them.

use observer_ebpf::Family;

/// A probe family.
#[derive(Debug)]
pub struct Spec {
    pub family: Family,
    /// What is lost without it, for `doctor`.
    pub gives: &'static str,
    /// What it costs those who are not watched, for `doctor` and docs/SPEC.md.
    pub cost: &'static str,
    pub hooks: &'static [Hook],
}

/// One thing to attach to, with the ways to do so, best first.
#[derive(Debug)]
pub struct Hook {
    /// What it is called in `health` and `doctor`.
    pub name: &'static str,
    pub rungs: &'static [Rung],
    /// Without it the family is degraded; an optional one may be missing on this kernel or architecture.
    pub required: bool,
    /// Another hook, of the family or one before it in the list, that sees all that this one would, once attached.
    pub covered_by: Option<&'static str>,
}

/// The same hook, superfluous once `by` is attached.
pub const fn covered(by: &'static str, hook: &Hook) -> Hook {
    Hook { name: hook.name, rungs: hook.rungs, required: hook.required, covered_by: Some(by) }
}

/// One way to attach.
#[derive(Debug)]
pub enum Rung {
    /// A kernel tracepoint through BTF. `arguments`: the leading argument types its prototype must have,
    /// each the name of the structure pointed to, `int`, or "" for anything else.
    Btf { program: &'static str, tracepoint: &'static str, arguments: &'static [&'static str] },
    /// The same tracepoint without type information from the verifier.
    Raw { program: &'static str, tracepoint: &'static str, arguments: &'static [&'static str] },
    /// A syscall's exit, through one program that sees the exits of all: for kernels without tracepoints of
    /// syscalls. Its arguments are those of the system call interface.
    SyscallExit { syscall: &'static str, program: &'static str },
    /// A syscall's classic tracepoints: of its exit, and of its entry where its time matters. `arguments`:
    /// names its entry format must have, in order.
    Syscall {
        syscall: &'static str,
        enter: Option<&'static str>,
        exit: &'static str,
        arguments: &'static [&'static str],
    },
    /// Kernel functions, at their return, all or none: programs of the functions' own names.
    Functions { programs: &'static [&'static str] },
    /// Packets of all sockets of the node, by a pair of programs at the root of the control groups: those that come
    /// in, and those that go out. They let everything pass.
    Packets { ingress: &'static str, egress: &'static str },
    /// An iterator of the kernel, run when it is wanted.
    Iterator { program: &'static str, over: &'static str },
    /// A program that user space runs when it wants its answer.
    OnDemand { program: &'static str },
}

impl Rung {
    pub const fn kind(&self) -> &'static str {
        match self {
            Rung::Btf { .. } | Rung::SyscallExit { .. } => "btf-tracepoint",
            Rung::Raw { .. } => "raw-tracepoint",
            Rung::Syscall { .. } => "tracepoint",
            Rung::Functions { .. } => "fexit",
            Rung::Packets { .. } => "cgroup-skb",
            Rung::Iterator { .. } => "iterator",
            Rung::OnDemand { .. } => "on-demand",
        }
    }
}

/// A function of a library that is attached to when the library is first seen, not at the start.
#[derive(Debug)]
pub struct LibraryHook {
    /// What the library's file is called, version aside.
    pub library: &'static str,
    /// An exported function, by its entry: returns are left alone, as hooking them changes the caller's stack.
    pub symbol: &'static str,
    pub program: &'static str,
}

/// A kernel tracepoint with its two rungs.
macro_rules! tracepoint {
    (optional $($rest:tt)*) => {
        $crate::probes::spec::Hook { required: false, ..$crate::probes::spec::tracepoint!($($rest)*) }
    };
    ($target:literal, $btf:literal, $raw:literal, [$($argument:literal),*]) => {
        $crate::probes::spec::Hook {
            name: $target,
            required: true,
            covered_by: None,
            rungs: &[
                $crate::probes::spec::Rung::Btf { program: $btf, tracepoint: $target, arguments: &[$($argument),*] },
                $crate::probes::spec::Rung::Raw { program: $raw, tracepoint: $target, arguments: &[$($argument),*] },
            ],
        }
    };
}

/// A syscall by both ends (`enter_`.., `exit_`..), or by its exit alone; `optional` where a kernel or an
/// architecture may not have it.
macro_rules! syscall {
    (optional $name:literal $($rest:tt)*) => {
        $crate::probes::spec::syscall!(@ false $name $($rest)*)
    };
    (@ $required:literal $name:literal, $exit:literal, [$($argument:literal),*]) => {
        $crate::probes::spec::Hook {
            name: $name,
            required: $required,
            covered_by: None,
            rungs: &[
                $crate::probes::spec::syscall!(# $name, None, $exit, [$($argument),*]),
                $crate::probes::spec::Rung::SyscallExit { syscall: $name, program: concat!($exit, "_btf") },
            ],
        }
    };
    (@ $required:literal $name:literal, $enter:literal, $exit:literal, [$($argument:literal),*]) => {
        $crate::probes::spec::Hook {
            name: $name,
            required: $required,
            covered_by: None,
            rungs: &[$crate::probes::spec::syscall!(# $name, Some($enter), $exit, [$($argument),*])],
        }
    };
    (# $name:literal, $enter:expr, $exit:literal, [$($argument:literal),*]) => {
        $crate::probes::spec::Rung::Syscall {
            syscall: $name,
            enter: $enter,
            exit: $exit,
            arguments: &[$($argument),*],
        }
    };
    ($name:literal $($rest:tt)*) => {
        $crate::probes::spec::syscall!(@ true $name $($rest)*)
    };
}
pub(crate) use {syscall, tracepoint};
