//! What runs the Wasm payload of a container that was there before. Its init is the runtime itself then, so what that
//! has loaded tells; a program of the container may load what it likes.

use observer_ebpf::control::role;

use super::{HostRoot, procfs};
use crate::{
    input::Bundle,
    model::{identity::is_wasm, wasm},
    probes::{invocation::Program, names::role_of_exe},
};

/// Runtimes run from a copy of themselves that nobody can change: in memory, or a mount that is gone by now (crun).
fn is_copy(exe: &str) -> bool {
    exe.starts_with("/memfd:") || exe.trim_end_matches(" (deleted)") == "/"
}

/// The engine of the container with this init; `None` where there is none, or it may not be looked at.
pub fn engine(
    host: &HostRoot,
    init: u32,
    runtime: Option<Program>,
    bundle: Option<&Bundle>,
) -> Option<String> {
    let exe = procfs::exe(host, init)?;
    let is_runtime = role_of_exe(&exe) & (role::RUNTIME | role::SHIM) != 0 || is_copy(&exe);
    if !is_runtime {
        return None;
    }
    let loaded = host.read_proc(format!("{init}/maps")).ok().and_then(|maps| loaded(&maps));
    let asked = || {
        bundle.is_some_and(is_wasm).then(|| wasm::built_into(runtime.map_or("its runtime", Program::name)))
    };
    loaded.map(str::to_owned).or_else(asked)
}

/// Of the files in `/proc/PID/maps`, the first that is an engine's library.
fn loaded(maps: &str) -> Option<&'static str> {
    maps.lines().find_map(|line| wasm::engine_in(line.rsplit_once('/')?.1))
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    const MAPS: &str = "7f0000000000-7f0000001000 r-xp 00000000 08:01 77   /usr/lib/libwasmedge.so.0.1.0\n";

    fn engine_of(exe: &str, maps: &str, entrypoint: &str) -> Option<String> {
        let dir = tempfile::tempdir().unwrap();
        let proc = dir.path().join("proc/7");
        fs::create_dir_all(&proc).unwrap();
        // A node's, by its first process.
        fs::create_dir(dir.path().join("proc/1")).unwrap();
        symlink(exe, proc.join("exe")).unwrap();
        fs::write(proc.join("maps"), maps).unwrap();
        let bundle = Bundle { entrypoint: Some(entrypoint.to_owned()), ..Bundle::default() };
        engine(&HostRoot::at(dir.path()), 7, Some(Program::Youki), Some(&bundle))
    }

    #[test]
    fn what_the_runtime_has_loaded_or_is() {
        let plain =
            "7f0000000000-7f0000001000 r-xp 00000000 08:01 77   /usr/lib/libc.so.6\n7f00-7f01 rw-p 0 0:0 0\n";
        for (exe, maps, entrypoint, expected) in [
            ("/usr/bin/crun", MAPS, "/app.wasm", Some("wasmedge")),
            ("/", MAPS, "/app.wasm", Some("wasmedge")),
            ("/ (deleted)", plain, "/bin/sh", None),
            ("/memfd:pentacle_sealed (deleted)", plain, "/app.wasm", Some("built into youki")),
            // A program of a container may embed an engine, and a plain container waits in its runtime, too.
            ("/usr/bin/node", MAPS, "/usr/bin/node", None),
            ("/memfd:pentacle_sealed (deleted)", plain, "/bin/sh", None),
        ] {
            assert_eq!(engine_of(exe, maps, entrypoint).as_deref(), expected, "{exe} {entrypoint}");
        }
    }
}
