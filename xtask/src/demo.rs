//! `demo`: the README's first command.

use anyhow::{Result, ensure};
use clap::Args;

use crate::{
    build::{self, BuildArgs},
    cmd::{self, Cmd},
    paths,
    setup::{self, Level},
};

#[derive(Args)]
pub struct DemoArgs {
    /// Handed on to `observer demo`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<String>,
}

pub fn run(args: &DemoArgs) -> Result<()> {
    ensure!(
        cmd::is_root(),
        "the demo starts containers and loads kernel programs: run `sudo -E env \"PATH=$PATH\" cargo xtask demo`"
    );
    let missing = setup::ensure(Level::Demo)?;
    for item in missing {
        eprintln!("demo: goes on without {item}");
    }
    build::run(&BuildArgs { release: true, arch: None, bpf_log: false })?;
    Cmd::new(paths::target().join("release/observer")).arg("demo").args(&args.args).exec()
}
