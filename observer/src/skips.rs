//! Tests that cannot do their work here say so, where a test runner cannot hide it.

use std::{env, fs::OpenOptions, io::Write};

/// Names the test on the process's own standard error, and in the file that counts skips.
pub fn skip(test: &str, why: &str) {
    let line = format!("{test}: {why}\n");
    std::io::stderr().write_all(format!("SKIPPED {line}").as_bytes()).expect("stderr takes a line");
    if let Some(file) = env::var_os("OBSERVER_TEST_SKIPS") {
        let mut file = OpenOptions::new().append(true).create(true).open(file).expect("the skips file opens");
        file.write_all(line.as_bytes()).expect("the skips file takes a line");
    }
}
