//! Running other programs: every command is echoed before it runs, and an error names it.

use std::{
    env,
    ffi::OsStr,
    io::{BufRead as _, BufReader, Read},
    path::Path,
    process::{Command, Stdio},
    sync::mpsc,
    thread,
};

use anyhow::{Context as _, Result, bail};

use crate::paths;

/// A command that finds the tools of `setup`, reads nothing from stdin and runs in the repository's root.
pub struct Cmd {
    command: Command,
    /// What was set for this command, for the echo.
    environment: Vec<String>,
}

impl Cmd {
    pub fn new(program: impl AsRef<OsStr>) -> Cmd {
        let mut command = Command::new(program);
        command.env("PATH", paths::search_path()).current_dir(paths::repo()).stdin(Stdio::null());
        Cmd { command, environment: Vec::new() }
    }

    /// The cargo that runs this xtask.
    pub fn cargo() -> Cmd {
        Cmd::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
    }

    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Cmd {
        self.command.arg(arg);
        self
    }

    pub fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Cmd {
        self.command.args(args);
        self
    }

    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Cmd {
        let shown = value.as_ref().to_string_lossy().replace('\x1f', " ");
        self.environment.push(format!("{name}='{shown}'"));
        self.command.env(name, value);
        self
    }

    pub fn env_remove(mut self, name: &str) -> Cmd {
        self.command.env_remove(name);
        self
    }

    pub fn dir(mut self, dir: impl AsRef<Path>) -> Cmd {
        self.command.current_dir(dir);
        self
    }

    /// Runs it with our stdout and stderr.
    pub fn run(mut self) -> Result<()> {
        self.echo();
        let status = self.command.status().with_context(|| format!("cannot run {}", self.line()))?;
        if !status.success() {
            bail!("{} failed: {status}", self.line());
        }
        Ok(())
    }

    /// What it prints on stdout, trimmed; nothing is echoed and stderr goes into the error.
    pub fn output(mut self) -> Result<String> {
        let output = self.command.output().with_context(|| format!("cannot run {}", self.line()))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("{} failed: {}: {}", self.line(), output.status, said.trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// Runs it, printing its output line by line and showing each line to `each`. Returns whether it succeeded.
    pub fn watch(mut self, mut each: impl FnMut(&str)) -> Result<bool> {
        self.echo();
        self.command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = self.command.spawn().with_context(|| format!("cannot run {}", self.line()))?;
        let (sender, lines) = mpsc::channel();
        forward(child.stdout.take(), false, sender.clone());
        forward(child.stderr.take(), true, sender);
        for (is_err, line) in lines {
            if is_err {
                eprintln!("{line}");
            } else {
                println!("{line}");
            }
            each(&line);
        }
        Ok(child.wait().with_context(|| format!("cannot wait for {}", self.line()))?.success())
    }

    /// Replaces this process. Returns only on failure.
    pub fn exec(mut self) -> Result<()> {
        use std::os::unix::process::CommandExt as _;
        self.echo();
        let error = self.command.stdin(Stdio::inherit()).exec();
        Err(error).with_context(|| format!("cannot run {}", self.line()))
    }

    fn echo(&self) {
        let environment = self.environment.iter().map(|set| format!("{set} ")).collect::<String>();
        eprintln!("$ {environment}{}", self.line());
    }

    fn line(&self) -> String {
        let words = std::iter::once(self.command.get_program()).chain(self.command.get_args());
        words.map(|word| quoted(&word.to_string_lossy())).collect::<Vec<_>>().join(" ")
    }
}

/// Sends each line of `stream` with `is_err`, until it ends.
fn forward(stream: Option<impl Read + Send + 'static>, is_err: bool, sender: mpsc::Sender<(bool, String)>) {
    let Some(stream) = stream else { return };
    thread::spawn(move || {
        for line in BufReader::new(stream).split(b'\n').map_while(std::result::Result::ok) {
            let line = String::from_utf8_lossy(&line).into_owned();
            if sender.send((is_err, line)).is_err() {
                break;
            }
        }
    });
}

fn quoted(word: &str) -> String {
    if word.is_empty() || word.contains([' ', '"', '\'', '$', '*', '|', ';', '<', '>', '(', '\n']) {
        format!("'{}'", word.replace('\'', r"'\''"))
    } else {
        word.to_owned()
    }
}

/// Whether we are root.
pub fn is_root() -> bool {
    Cmd::new("id").arg("-u").output().is_ok_and(|uid| uid == "0")
}
