//! `/init` of the machines that `cargo xtask vm` boots.

fn main() -> ! {
    observer_tests::vm::main()
}
