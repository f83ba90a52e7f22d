//! Policy of the process: run the command, say what went wrong, pick the exit code.

use std::{ffi::OsString, process::ExitCode};

use observer::{
    app::{
        self, Usage,
        config::{self, ConfigError},
        exit,
    },
    cli::Command,
};

fn main() -> ExitCode {
    let typed: Vec<OsString> = std::env::args_os().collect();
    let options = match config::read(&typed) {
        Ok(options) => options,
        Err(ConfigError::Typed(error)) => error.exit(),
        Err(error) => {
            eprintln!("observer: {error}");
            return ExitCode::from(exit::USAGE as u8);
        }
    };
    let result = match &options.cli.command {
        Command::Run(args) => app::run::run(args, &options),
        Command::Coldstart(args) => app::coldstart::run(args),
        Command::Replay(args) => app::replay::run(args),
        Command::Report(args) => app::report::run(args),
        Command::Matrix(args) => app::matrix::run(args),
        Command::Describe(args) => app::describe::run(args),
        Command::Explain(args) => app::explain::run(args),
        Command::Doctor(args) => app::doctor::run(args),
        Command::Demo(args) => app::demo::run(args),
    };
    let code = result.unwrap_or_else(|error| {
        eprintln!("observer: {}", in_words(&error));
        if error.is::<Usage>() { exit::USAGE } else { exit::ERROR }
    });
    ExitCode::from(code as u8)
}

/// All its causes, each once: some errors tell theirs themselves.
fn in_words(error: &anyhow::Error) -> String {
    let joined =
        |text: String, cause: String| if text.ends_with(&cause) { text } else { text + ": " + &cause };
    error.chain().map(ToString::to_string).reduce(joined).unwrap_or_default()
}
