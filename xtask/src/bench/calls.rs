//! Times system calls in a tight loop: a program of its own, compiled with optimisation by the `syscall` bench.
//! For each line on stdin it prints the nanoseconds of one write, one open and close, and one stat.

use std::{
    fs::{self, File},
    hint::black_box,
    io::{self, BufRead as _, Write as _},
    time::Instant,
};

const LOOPS: u32 = 20_000;

fn main() -> io::Result<()> {
    let mut null = fs::OpenOptions::new().write(true).open("/dev/null")?;
    for line in io::stdin().lock().lines() {
        line?;
        let write = time(|| null.write_all(b"x"))?;
        let open = time(|| File::open("/dev/null").map(drop))?;
        let stat = time(|| fs::metadata("/dev/null").map(|found| drop(black_box(found))))?;
        println!("{write} {open} {stat}");
    }
    Ok(())
}

fn time(mut call: impl FnMut() -> io::Result<()>) -> io::Result<f64> {
    let begun = Instant::now();
    for _ in 0..LOOPS {
        call()?;
    }
    Ok(begun.elapsed().as_nanos() as f64 / f64::from(LOOPS))
}
