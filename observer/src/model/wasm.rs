//! By what Wasm payloads are run: an engine that a runtime loads as a library, or one that is a part of it.

use super::start::Start;
use crate::probes::{Event, invocation::Program};

/// Libraries by how their names begin, and the engines in them.
const LIBRARIES: [(&str, &str); 6] = [
    ("libwasmedge", "wasmedge"),
    ("libwasmtime", "wasmtime"),
    ("libwasmer", "wasmer"),
    ("libiwasm", "wamr"),
    ("libwamr", "wamr"),
    ("libwasm3", "wasm3"),
];

/// The engine in a library, by its file name.
pub fn engine_in(library: &str) -> Option<&'static str> {
    LIBRARIES.iter().find(|(begin, _)| library.starts_with(begin)).map(|(_, engine)| *engine)
}

/// Of a runtime that says nothing of it.
pub fn built_into(runtime: &str) -> String {
    format!("built into {runtime}")
}

/// The engine of a payload that ran, or was to run, inside the runtime.
pub(super) fn engine(start: &Start) -> Option<String> {
    let library = |path: &str| engine_in(path.rsplit('/').next().unwrap_or_default());
    let opened = start.records.iter().find_map(|record| match &record.event {
        Event::File(event) if event.call.errno().is_none() => library(&event.path),
        _ => None,
    });
    let of_shim = || {
        let named =
            start.exe.split("containerd-shim-").nth(1).filter(|_| start.program == Program::WasmShim)?;
        named.split('-').next()
    };
    let built_in = || start.ran_in_process().then(|| built_into(start.program.name()));
    opened.or_else(of_shim).map(str::to_owned).or_else(built_in)
}
