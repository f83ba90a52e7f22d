//! Packages of npm, at fixed versions, in a folder of the cache directory.

use std::{fs, path::Path};

use anyhow::Result;

use super::{
    Missing, announce,
    table::{NPM, Npm},
};
use crate::{cmd::Cmd, paths};

pub(super) fn ensure() -> Vec<Missing> {
    let folder = paths::cache().join("npm");
    // As with the packages of PyPI: what was installed is kept in a file beside it.
    let stamp = folder.join("observer-installed");
    let wanted: Vec<String> = NPM.iter().map(requirement).collect();
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted.join("\n")) {
        return Vec::new();
    }
    let Err(error) = install(&folder, &wanted).and_then(|()| Ok(fs::write(&stamp, wanted.join("\n"))?))
    else {
        return Vec::new();
    };
    NPM.iter()
        .map(|package| Missing {
            what: format!("{} from npm", package.name),
            why_needed: package.why.to_owned(),
            why_missing: format!("{error:#}"),
        })
        .collect()
}

fn install(folder: &Path, wanted: &[String]) -> Result<()> {
    for package in NPM {
        announce(&requirement(package), package.why, None);
    }
    fs::create_dir_all(folder)?;
    // Nothing that a package brings is run while it is installed.
    Cmd::new("npm")
        .args([
            "install",
            "--silent",
            "--no-audit",
            "--no-fund",
            "--ignore-scripts",
            "--save-exact",
            "--prefix",
        ])
        .arg(folder)
        .args(wanted)
        .run()
}

fn requirement(package: &Npm) -> String {
    format!("{}@{}", package.name, package.version)
}
