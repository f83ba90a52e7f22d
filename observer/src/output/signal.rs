//! Signals by name, as x86-64 and arm64 have them.

const NAMES: [&str; 31] = [
    "SIGHUP",
    "SIGINT",
    "SIGQUIT",
    "SIGILL",
    "SIGTRAP",
    "SIGABRT",
    "SIGBUS",
    "SIGFPE",
    "SIGKILL",
    "SIGUSR1",
    "SIGSEGV",
    "SIGUSR2",
    "SIGPIPE",
    "SIGALRM",
    "SIGTERM",
    "SIGSTKFLT",
    "SIGCHLD",
    "SIGCONT",
    "SIGSTOP",
    "SIGTSTP",
    "SIGTTIN",
    "SIGTTOU",
    "SIGURG",
    "SIGXCPU",
    "SIGXFSZ",
    "SIGVTALRM",
    "SIGPROF",
    "SIGWINCH",
    "SIGIO",
    "SIGPWR",
    "SIGSYS",
];

/// `None` of a real-time signal, and of what is none.
pub fn name(signal: i32) -> Option<&'static str> {
    let index = usize::try_from(signal).ok()?.checked_sub(1)?;
    NAMES.get(index).copied()
}

/// Its name, else its number.
pub fn text(signal: i32) -> String {
    name(signal).map_or_else(|| format!("signal {signal}"), ToOwned::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_the_kernel() {
        let known = [libc::SIGSEGV, libc::SIGKILL, libc::SIGTERM, libc::SIGBUS, libc::SIGSYS].map(name);
        assert_eq!(known, ["SIGSEGV", "SIGKILL", "SIGTERM", "SIGBUS", "SIGSYS"].map(Some));
        assert_eq!([0, -1, 32, i32::MIN].map(name), [None; 4]);
        assert_eq!(text(34), "signal 34");
    }
}
