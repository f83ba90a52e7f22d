//! `cargo xtask`: what cargo cannot do by itself. One file (or folder) a command.

mod bench;
mod bpf_object;
mod build;
mod cmd;
mod confusion;
mod demo;
mod dist;
mod image;
mod paths;
mod quiet;
mod setup;
mod soak;
mod test;
mod tidy;
mod toolchain;
mod vm;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", version, about = "Sets up, builds, tests and releases observer")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Install what building, the demo and the tests need; takes what is there
    Setup(setup::SetupArgs),
    /// Build the kernel programs and observer with them inside
    Build(build::BuildArgs),
    /// Set up, build, and watch real containers start and fail on this machine (root)
    Demo(demo::DemoArgs),
    /// Set up and run every check that this machine can run, cheapest first
    Test(test::TestArgs),
    /// Check the house rules: imports, mirror files, sizes
    Tidy,
    /// Boot other kernels in QEMU and observe container starts there
    Vm(vm::VmArgs),
    /// Make live faults several at once, and write what each was taken for to docs/CONFUSION.md (root)
    Confusion(confusion::ConfusionArgs),
    /// Make ordinary work for a while; nothing should be said of it (root)
    Quiet(quiet::QuietArgs),
    /// Run the observer as a service under container churn, kill it, and say what it kept of its promises (root)
    Soak(soak::SoakArgs),
    /// Measure what observing costs, against not observing and against other tools (root)
    Bench(bench::BenchArgs),
    /// Make stripped, static release binaries for x86-64 and arm64, with checksums
    Dist,
    /// Make one container image of them, in a file that engines load without a network
    Image(image::ImageArgs),
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Setup(args) => setup::run(&args),
        Command::Build(args) => build::run(&args),
        Command::Demo(args) => demo::run(&args),
        Command::Test(args) => test::run(&args),
        Command::Tidy => tidy::run(),
        Command::Vm(args) => vm::run(&args).and_then(vm::VmOutcome::into_result),
        Command::Confusion(args) => confusion::run(&args),
        Command::Quiet(args) => quiet::run(&args),
        Command::Soak(args) => soak::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Dist => dist::run().map(drop),
        Command::Image(args) => image::run(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
