//! Runs a program to its end, with a limit, and keeps what it said.

use anyhow::{Context as _, Result, ensure};
use std::process::{Command, Output, Stdio};

/// Software emulation is slow and the machine below it may be busy: this only catches what hangs.
const LIMIT_SECONDS: &str = "300";

/// Runs `argv`; a program that exceeds the limit is killed and shows as exit 137.
pub fn run(argv: &[&str]) -> Result<Output> {
    Command::new("/bin/busybox")
        .args(["timeout", "-s", "KILL", LIMIT_SECONDS])
        .args(argv)
        .env("PATH", "/usr/bin:/bin")
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot run `{}`", argv.join(" ")))
}

/// Runs `argv`, which must exit with `code`, and returns its stdout.
pub fn expect(code: i32, argv: &[&str]) -> Result<String> {
    let output = run(argv)?;
    ensure!(
        output.status.code() == Some(code),
        "`{}` ended with {} instead of {code}; it said: {}{}",
        argv.join(" "),
        output.status,
        tail(&output.stdout),
        tail(&output.stderr),
    );
    String::from_utf8(output.stdout)
        .with_context(|| format!("`{}` printed what is not UTF-8", argv.join(" ")))
}

/// The end of what a program said: enough to see why it failed, short enough for a serial console.
fn tail(bytes: &[u8]) -> String {
    const KEPT_BYTES: usize = 1500;
    String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(KEPT_BYTES)..]).into_owned()
}
