//! How fast recordings are written and read, in CPU time of one thread, whatever else the machine does:
//! `cargo run --release --no-default-features --features record --example recording_speed`.

use std::io;

use observer::{
    input::{Input, Record},
    probes::{Call, Event, file, invocation::*, mount, process},
    record::{Header, Limits, RecordingReader, RecordingWriter},
    time::Time,
};

const RECORDS: u64 = 1_000_000;

/// The mixture of a runtime's start: mostly small records, one exec in twenty.
fn input(number: u64) -> Input {
    let call = Call { entered: Time(number * 1000), ret: 3 };
    let event = match number % 20 {
        0 => Event::Process(process::Event::Executed(Box::new(process::Executed {
            ppid: 812,
            role: 4,
            start: Time(number * 1000),
            cgroup: process::CgroupIds { memory: 4711, unified: 815 },
            major_faults: 3,
            read_bytes: 65_536,
            comm: "crun".into(),
            filename: "/usr/bin/crun".into(),
            invocation: Invocation::Runtime {
                program: Program::Crun,
                command: Command::Create,
                id: Some("0123456789abcdef".repeat(4)),
                bundle: Some("/run/containerd/io.containerd.runtime.v2.task/k8s.io/0123456789abcdef".into()),
            },
        }))),
        1..=8 => Event::Mount(mount::Event { call, op: mount::Op::Mount, role: 4, target: None }),
        _ => Event::File(file::Event {
            call,
            op: file::Op::Open,
            path: "/lib/x86_64-linux-gnu/libc.so.6".into(),
            flags: 0,
            role: 4,
        }),
    };
    let time = Time(number * 1000 + 500);
    Input::Record(Record { time, tgid: 4711, tid: 4711, unreadable: false, late: false, event })
}

/// CPU time of this thread, seconds.
fn cpu() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

fn main() -> io::Result<()> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("speed.rec");
    let limits = Limits { queue: 1 << 30, ..Limits::default() };
    let inputs: Vec<Input> = (0..RECORDS).map(input).collect();

    let mut writer =
        RecordingWriter::create(&path, Header::default(), Time(0), limits).map_err(io::Error::other)?;
    let begun = cpu();
    inputs.iter().for_each(|input| writer.write(input));
    let written = cpu() - begun;
    let stats = writer.finish().map_err(io::Error::other)?;

    let begun = cpu();
    let count = RecordingReader::open(&path).map_err(io::Error::other)?.count();
    let read = cpu() - begun;

    let rate = |count: u64, seconds: f64| (count as f64 / seconds) as u64;
    println!("bytes a record: {}", stats.bytes / RECORDS);
    println!("written: {} records/s on the pipeline's side, {} lost", rate(RECORDS, written), stats.lost);
    println!("read: {} records/s, {count} of {RECORDS}", rate(count as u64, read));
    Ok(())
}
