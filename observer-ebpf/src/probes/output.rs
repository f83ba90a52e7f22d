//! Writes to standard output and error, of runtimes and payloads; and failed writes of runtimes.

use observer_ebpf::{
    control::role,
    wire::output::{Output, op},
};

use super::{NO_HEADER, on_exit, stdio};
use crate::{
    agg::By,
    emit, filter,
    kernel::{Reader, current},
    syscall::{self, argument},
};

on_exit!(exit_write_btf, exit_write, Call { op: op::WRITE, output: argument!(regs_arg0) as u32 }, returned);
on_exit!(
    exit_writev_btf,
    exit_writev,
    Call { op: op::WRITEV, output: argument!(regs_arg0) as u32 },
    returned
);
on_exit!(
    exit_sendfile_btf,
    exit_sendfile,
    Call { op: op::SENDFILE, output: argument!(regs_arg0) as u32 },
    returned
);
on_exit!(
    exit_splice_btf,
    exit_splice,
    Splice {
        input: argument!(regs_arg0) as u32,
        call: Call { op: op::SPLICE, output: argument!(regs_arg2) as u32 },
    },
    spliced
);

struct Call {
    op: u32,
    /// The descriptor written to.
    output: u32,
}

struct Splice {
    input: u32,
    call: Call,
}

#[inline(always)]
fn spliced(splice: Splice, ret: i64) {
    if stdio::follows() {
        stdio::taken(splice.input, ret, By::Pages);
    }
    returned(splice.call, ret);
}

#[inline(always)]
fn returned(call: Call, ret: i64) {
    if stdio::follows()
        && let Some(watch) = filter::current(role::RUNTIME | role::PAYLOAD)
    {
        let by = if call.op == op::SENDFILE || call.op == op::SPLICE { By::Pages } else { By::Bytes };
        stdio::wrote(watch, call.output, ret, by);
    }
    // Most writes of a node go elsewhere and succeed: those cost a comparison.
    let is_output = call.output == 1 || call.output == 2;
    if !is_output && ret >= 0 {
        return;
    }
    let Some(watch) = filter::current(role::RUNTIME | role::PAYLOAD) else { return };
    // What a runtime failed to write elsewhere says why its start failed.
    if !is_output && watch.flags & (role::RUNTIME | role::ROOTFS) != role::RUNTIME {
        return;
    }
    let tgid = filter::current_tgid();
    let role = watch.flags;
    let init = watch.init;
    if !filter::take_output(watch, tgid) {
        return;
    }
    let task = current();
    let mut reader = Reader::new();
    let record = Output {
        header: NO_HEADER,
        syscall: syscall::ended(ret),
        fd: call.output,
        op: call.op,
        role,
        init,
        major_faults: reader.major_faults(task),
        read_bytes: reader.read_bytes(task),
        comm: reader.comm(task),
    };
    emit::emit(record, reader.failed());
}
