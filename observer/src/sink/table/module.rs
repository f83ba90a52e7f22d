//! What a Wasm module says of itself, in a line of words.

use crate::{
    input::{AheadOfTime, LinearMemory, Module, ModuleFormat},
    sink::units::bytes_text,
};

/// Imports that are named; the others are counted.
const IMPORTS: usize = 8;

pub(super) fn said(module: &Module) -> String {
    let compiled = module.ahead_of_time.as_ref().map(compiled);
    let declared = match module.format {
        ModuleFormat::Core => vec![memories(&module.memories), imports(module)],
        ModuleFormat::Component => vec!["a component, in which was not looked".to_owned()],
        ModuleFormat::Elf => vec!["nothing but compiled code".to_owned()],
    };
    [vec![module.path.clone()], declared, compiled.into_iter().collect()].concat().join("; ")
}

fn memories(all: &[LinearMemory]) -> String {
    if all.is_empty() {
        return "no memory".to_owned();
    }
    all.iter().map(memory).collect::<Vec<_>>().join(", ")
}

fn memory(memory: &LinearMemory) -> String {
    let size = |bytes: Option<u64>| bytes.map_or_else(|| "more than 64 bits".to_owned(), bytes_text);
    let max = match memory.max_pages {
        Some(_) => format!("at most {}", size(memory.max_bytes())),
        None => "no maximum".to_owned(),
    };
    let shared = if memory.is_shared { ", shared" } else { "" };
    let imported = memory.imported_as.as_ref().map(|name| format!(", imported as {name}"));
    format!("memory of {}, {max}{shared}{}", size(memory.min_bytes()), imported.unwrap_or_default())
}

fn imports(module: &Module) -> String {
    let all = module.imports.len() as u64 + module.imports_left_out;
    if all == 0 {
        return "imports nothing".to_owned();
    }
    let named: Vec<&str> = module.imports.iter().take(IMPORTS).map(String::as_str).collect();
    let others = all - named.len() as u64;
    let more = if others > 0 { format!(" and {others} more") } else { String::new() };
    format!("imports {}{more}", named.join(", "))
}

fn compiled(code: &AheadOfTime) -> String {
    let os = code.os.as_ref().map(|os| format!(" on {os}")).unwrap_or_default();
    format!("compiled ahead of time for {}{os}", code.machine)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::AotForm;

    #[test]
    fn a_module_in_a_line() {
        let memory =
            LinearMemory { min_pages: 1, max_pages: Some(64), page_bytes: 65_536, ..LinearMemory::default() };
        let open = LinearMemory { max_pages: None, imported_as: Some("env.m".to_owned()), ..memory.clone() };
        let code = AheadOfTime {
            form: AotForm::WasmEdge,
            version: Some(3),
            os: Some("linux".to_owned()),
            machine: "aarch64".to_owned(),
        };
        let module = Module {
            path: "/app.wasm".to_owned(),
            memories: vec![memory, open],
            imports: (0..10).map(|n| format!("env.f{n}")).collect(),
            imports_left_out: 3,
            ahead_of_time: Some(code),
            ..Module::default()
        };
        assert_eq!(
            said(&module),
            "/app.wasm; memory of 64.0 KiB, at most 4.0 MiB, memory of 64.0 KiB, no maximum, imported as env.m; \
             imports env.f0, env.f1, env.f2, env.f3, env.f4, env.f5, env.f6, env.f7 and 5 more; \
             compiled ahead of time for aarch64 on linux"
        );
        let plain = Module { path: "/app.wasm".to_owned(), ..Module::default() };
        assert_eq!(said(&plain), "/app.wasm; no memory; imports nothing");
    }
}
