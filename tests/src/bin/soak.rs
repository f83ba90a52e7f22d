//! `soak SECONDS MIB`: a service under container churn for that long (`cargo xtask soak`). Its page goes to standard
//! output; the exit status is 1 if something that was promised was not kept.

use std::{process::ExitCode, time::Duration};

fn main() -> ExitCode {
    let numbers: Vec<u64> = std::env::args().skip(1).filter_map(|word| word.parse().ok()).collect();
    let [seconds, mib] = numbers[..] else {
        eprintln!("usage: soak SECONDS MIB");
        return ExitCode::from(2);
    };
    let page = observer_tests::soak::page(Duration::from_secs(seconds), mib);
    print!("{page}");
    if page.is_kept() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
