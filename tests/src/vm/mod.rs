//! Pid 1 of a test machine: makes the system a container start needs, runs the cases, reports each on the
//! console in lines that `cargo xtask vm` reads, and powers the machine off. Refuses to be anything else's
//! init, and to decide what the host makes of the results.

mod boot;
mod cases;
mod command;
mod container;
mod faults;
mod lookups;
mod net;
mod observed;
mod report;
mod streams;
mod watching;
mod webhook;

use report::Report;
use rustix::system::{RebootCommand, reboot};

/// Never returns: the machine is powered off, whatever happened.
pub fn main() -> ! {
    assert_eq!(
        std::process::id(),
        1,
        "vm_init replaces the root file system: it only runs as pid 1 of a test machine"
    );
    let mut report = Report::default();
    match boot::prepare() {
        Ok(release) => {
            report.ready(&release);
            cases::run_all(&mut report);
        }
        Err(error) => report.failed("boot", &format!("{error:#}")),
    }
    report.finish();
    rustix::fs::sync();
    let refused = reboot(RebootCommand::PowerOff);
    panic!("the kernel did not power the machine off: {refused:?}");
}
