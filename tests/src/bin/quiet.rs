//! `quiet SECONDS`: writes to standard output what is said of ordinary work (`cargo xtask quiet`). Exit status 1: something.

use std::{process::ExitCode, time::Duration};

fn main() -> ExitCode {
    let seconds = std::env::args().nth(1).and_then(|word| word.parse().ok());
    let Some(seconds) = seconds else {
        eprintln!("usage: quiet SECONDS");
        return ExitCode::from(2);
    };
    match observer_tests::quiet::for_so_long(Duration::from_secs(seconds)) {
        Some(quiet) => {
            print!("{}", quiet.page);
            if quiet.is_quiet { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        None => {
            eprintln!("quiet: something that it takes is not here: run `cargo xtask setup`");
            ExitCode::from(2)
        }
    }
}
