//! The project's own commands: what cargo cannot do.

mod vm;

use clap::Parser;
use std::process::ExitCode;

#[derive(Parser)]
enum Command {
    /// Boot other kernels in QEMU and observe container starts there
    Vm(vm::VmArgs),
}

fn main() -> anyhow::Result<ExitCode> {
    let Command::Vm(args) = Command::parse();
    let outcome = vm::run(&args)?;
    Ok(if outcome.failed() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
