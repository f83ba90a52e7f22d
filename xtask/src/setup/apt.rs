//! Packages of Debian: one transaction for all that are missing, one each if that fails.

use std::sync::Once;

use super::{
    Level, Missing, announce, is_there,
    table::{APT, Apt},
};
use crate::{
    cmd::{self, Cmd},
    paths::find_program,
};

pub(super) fn ensure(level: Level) -> Vec<Missing> {
    let absent: Vec<&Apt> = APT.iter().filter(|item| item.level <= level && !is_there(item.seen)).collect();
    if absent.is_empty() {
        return Vec::new();
    }
    for item in &absent {
        announce(item.package, item.why, None);
    }
    let packages: Vec<&str> = absent.iter().map(|item| item.package).collect();
    let reason = install(&packages).err();
    // One unknown package fails the transaction: the others may still be had.
    if reason.is_some() && can_install().is_ok() && packages.len() > 1 {
        for package in packages {
            // Its failure shows below, in what is still not there.
            let _ = install(&[package]);
        }
    }
    let still = absent.into_iter().filter(|item| !is_there(item.seen));
    let why = reason.unwrap_or_else(|| "installed, but not where it is looked for".to_owned());
    still
        .map(|item| Missing {
            what: format!("the package {}", item.package),
            why_needed: item.why.to_owned(),
            why_missing: why.clone(),
        })
        .collect()
}

/// Installs packages, or says why not.
pub(super) fn install(packages: &[&str]) -> Result<(), String> {
    can_install()?;
    let apt = |args: &[&str]| {
        privileged("apt-get")
            .env("DEBIAN_FRONTEND", "noninteractive")
            // Another apt at work is waited for.
            .args(["-qq", "-o", "Dpkg::Use-Pty=0", "-o", "DPkg::Lock::Timeout=300"])
            .args(args)
            .run()
    };
    let install = [&["install", "-y", "--no-install-recommends"], packages].concat();
    // The index may be absent in a fresh image, or old: an old one installs versions that are too old. One that
    // cannot be refreshed may still do.
    static FRESH: Once = Once::new();
    FRESH.call_once(|| {
        if let Err(error) = apt(&["update"]) {
            eprintln!("setup: the package index is as old as it is: {error:#}");
        }
    });
    apt(&install).map_err(|error| format!("{error:#}"))
}

fn can_install() -> Result<(), String> {
    if find_program("apt-get").is_none() {
        return Err("no apt-get here: install it with this system's package manager".to_owned());
    }
    if !cmd::is_root() && Cmd::new("sudo").args(["-n", "true"]).output().is_err() {
        return Err("needs root: run `cargo xtask setup` as root, or install it with apt-get".to_owned());
    }
    Ok(())
}

/// A command as root: directly, or through a sudo that asks nothing.
fn privileged(program: &str) -> Cmd {
    if cmd::is_root() { Cmd::new(program) } else { Cmd::new("sudo").args(["-n", "-E", program]) }
}
