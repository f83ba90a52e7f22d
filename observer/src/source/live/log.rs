//! What kernel programs say for those who work on them. Programs built without the feature `log` say nothing.

use std::sync::atomic::{AtomicU64, Ordering};

use aya::Ebpf;
use aya_log::EbpfLogger;

/// Lines printed; a program that never stops talking is cut off.
const MAX_LINES: u64 = 100_000;

pub struct KernelLog {
    logger: EbpfLogger<Stderr>,
}

impl KernelLog {
    /// `None` when the programs were built without it.
    pub fn find(ebpf: &mut Ebpf) -> Option<Self> {
        EbpfLogger::init_with_logger(ebpf, Stderr::default()).ok().map(|logger| KernelLog { logger })
    }

    /// Prints what was said since the last time.
    pub fn flush(&mut self) {
        self.logger.flush();
    }
}

#[derive(Default)]
struct Stderr {
    lines: AtomicU64,
}

impl log::Log for Stderr {
    fn enabled(&self, _: &log::Metadata) -> bool {
        true
    }

    fn log(&self, record: &log::Record) {
        match self.lines.fetch_add(1, Ordering::Relaxed) {
            line if line < MAX_LINES => eprintln!("kernel program: {}", record.args()),
            MAX_LINES => eprintln!("kernel program: nothing more is printed"),
            _ => {}
        }
    }

    fn flush(&self) {}
}
