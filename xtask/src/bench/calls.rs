//! Times system calls in a tight loop: a program of its own, compiled with optimisation by the `syscall` bench.
//! For each line on stdin it prints the nanoseconds of one write, one open and close, one stat, and one read.
//! With the argument `contained` it writes to its standard output and prints to standard error.

use std::{
    fs::{self, File},
    hint::black_box,
    io::{self, BufRead as _, Read as _, Write as _},
    os::fd::AsFd as _,
    time::Instant,
};

const LOOPS: u32 = 20_000;

fn main() -> io::Result<()> {
    let contained = std::env::args().nth(1).is_some_and(|word| word == "contained");
    // Unbuffered either way: every write is a call.
    let mut sink = if contained { File::from(io::stdout().as_fd().try_clone_to_owned()?) } else { null()? };
    let mut zero = File::open(if contained { "/proc/self/status" } else { "/dev/zero" })?;
    for line in io::stdin().lock().lines() {
        line?;
        let write = time(|| sink.write_all(b"x"))?;
        let open = time(|| File::open("/").map(drop))?;
        let stat = time(|| fs::metadata("/").map(|found| drop(black_box(found))))?;
        let read = time(|| zero.read(&mut [0]).map(drop))?;
        let line = format!("{write} {open} {stat} {read}");
        if contained { eprintln!("{line}") } else { println!("{line}") }
    }
    Ok(())
}

fn null() -> io::Result<File> {
    fs::OpenOptions::new().write(true).open("/dev/null")
}

fn time(mut call: impl FnMut() -> io::Result<()>) -> io::Result<f64> {
    let begun = Instant::now();
    for _ in 0..LOOPS {
        call()?;
    }
    Ok(begun.elapsed().as_nanos() as f64 / f64::from(LOOPS))
}
