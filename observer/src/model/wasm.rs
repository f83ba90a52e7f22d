//! By what Wasm payloads are run, an engine that a runtime loads as a library or one that is a part of it; and what their
//! modules say of themselves.

use std::sync::Arc;

use super::{Made, Model, lives::Who, start::Start};
use crate::{
    input::{LookupError, Module, Record},
    output::{Container, Kind, Want},
    probes::{Event, file, invocation::Program},
};

/// Libraries by how their names begin, and the engines in them.
const LIBRARIES: [(&str, &str); 6] = [
    ("libwasmedge", "wasmedge"),
    ("libwasmtime", "wasmtime"),
    ("libwasmer", "wasmer"),
    ("libiwasm", "wamr"),
    ("libwamr", "wamr"),
    ("libwasm3", "wasm3"),
];

/// Whether a file is named as modules are, in binary form, as text or compiled.
pub fn has_module_name(path: &str) -> bool {
    [".wasm", ".wat", ".cwasm", ".aot"].iter().any(|suffix| path.ends_with(suffix))
}

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

impl Model {
    /// The init of a container opens its module: what that says of itself is asked for, once.
    pub(super) fn module_opened(
        &mut self,
        record: &Record,
        event: &file::Event,
        make: &mut impl FnMut(Made),
    ) {
        let Some(start) = self.member_of.get(&record.tgid).and_then(|id| self.starts.get_mut(id)) else {
            return;
        };
        if start.has_asked_module || !start.opens_module(record.tgid, event) {
            return;
        }
        start.has_asked_module = true;
        let bundle = start.known_bundle().map(|bundle| bundle.path.clone());
        let (init, at, path) = (record.tgid, record.time, event.path.clone());
        make(Made::Want(Want::Module { init, at, path, bundle }));
    }

    /// The answer, for the start of the container, or for its life if that is over.
    pub(super) fn module(&mut self, init: u32, result: &Result<Box<Module>, LookupError>) {
        if let Some(start) = self.starts.values_mut().rev().find(|start| start.init == Some(init)) {
            start.module = Some(shared(result));
            return;
        }
        let life = self.lives.as_mut().and_then(|lives| lives.get_mut(init));
        let Some(Who::Known(container)) = life.map(|life| &mut life.who) else { return };
        take_up(container, &shared(result));
    }
}

/// One copy for all that is told of its container.
pub(super) fn shared(read: &Result<Box<Module>, LookupError>) -> Result<Arc<Module>, LookupError> {
    read.clone().map(Arc::from)
}

/// What is known of a container's module, or why it is not. Of others the entrypoint is nothing of that kind.
pub(super) fn take_up(container: &mut Container, module: &Result<Arc<Module>, LookupError>) {
    if container.kind != Kind::Wasm {
        return;
    }
    match module {
        Ok(module) => container.module = Some(Arc::clone(module)),
        Err(error) => container.unknown.push(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        input::{Fact, FactKind, Input, LifeFact},
        time::Time,
    };

    /// What is known of the module of a container that lived already, after these answers about it.
    fn answered(is_wasm: bool, answers: &[Result<Box<Module>, LookupError>]) -> (Option<String>, usize) {
        let mut model = Model::new(0, true);
        let life = LifeFact {
            init: 42,
            id: "c1".to_owned(),
            runtime: Some("youki".to_owned()),
            is_wasm,
            ..LifeFact::default()
        };
        let answers = answers.iter().cloned().map(|result| FactKind::Module { init: 42, result });
        for what in [FactKind::Life(Box::new(life))].into_iter().chain(answers) {
            model.step(&Input::Fact(Fact { time: Time(1), what }), &mut |_| {});
        }
        let [standing] = &model.standings(Time(2), |_| true)[..] else { panic!("one container") };
        let container = &standing.container;
        (container.module.as_ref().map(|module| module.path.clone()), container.unknown.len())
    }

    #[test]
    fn an_answer_is_of_a_wasm_payload_or_says_why_there_is_none() {
        let read = Ok(Box::new(Module { path: "/app.wasm".to_owned(), ..Module::default() }));
        let failed = Err(LookupError { what: "Wasm module /app.wasm".to_owned(), why: "gone".to_owned() });
        assert_eq!(answered(true, &[]), (None, 0));
        assert_eq!(answered(true, std::slice::from_ref(&read)), (Some("/app.wasm".to_owned()), 0));
        assert_eq!(answered(true, std::slice::from_ref(&failed)), (None, 1));
        assert_eq!(answered(false, &[read, failed]), (None, 0), "its entrypoint is a program");
    }
}
