//! `confusion TIMES SEED`: writes to standard output what is taken for what (`cargo xtask confusion`).

fn main() {
    let numbers: Vec<u64> = std::env::args().skip(1).filter_map(|word| word.parse().ok()).collect();
    let [times, seed] = numbers[..] else {
        eprintln!("usage: confusion TIMES SEED");
        std::process::exit(2);
    };
    print!("{}", observer_tests::confusion::page(usize::try_from(times).unwrap_or(usize::MAX), seed));
}
