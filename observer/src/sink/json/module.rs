//! What a Wasm module says of itself.

use serde::Serialize;

use crate::input::{AheadOfTime, LinearMemory, Module};

#[derive(Serialize)]
pub(super) struct ModuleJson<'a> {
    path: &'a str,
    format: &'static str,
    memories: Vec<LinearMemoryJson<'a>>,
    imports: &'a [String],
    imports_left_out: u64,
    ahead_of_time: Option<AheadOfTimeJson<'a>>,
}

#[derive(Serialize)]
struct LinearMemoryJson<'a> {
    /// `null`: the module's own.
    imported_as: Option<&'a str>,
    min_pages: u64,
    /// `null`: the module declares none.
    max_pages: Option<u64>,
    page_bytes: u64,
    shared: bool,
}

#[derive(Serialize)]
struct AheadOfTimeJson<'a> {
    form: &'static str,
    version: Option<u32>,
    os: Option<&'a str>,
    machine: &'a str,
}

impl<'a> ModuleJson<'a> {
    pub(super) fn of(module: &'a Module) -> Self {
        ModuleJson {
            path: &module.path,
            format: module.format.name(),
            memories: module.memories.iter().map(LinearMemoryJson::of).collect(),
            imports: &module.imports,
            imports_left_out: module.imports_left_out,
            ahead_of_time: module.ahead_of_time.as_ref().map(AheadOfTimeJson::of),
        }
    }
}

impl<'a> LinearMemoryJson<'a> {
    fn of(memory: &'a LinearMemory) -> Self {
        LinearMemoryJson {
            imported_as: memory.imported_as.as_deref(),
            min_pages: memory.min_pages,
            max_pages: memory.max_pages,
            page_bytes: memory.page_bytes,
            shared: memory.is_shared,
        }
    }
}

impl<'a> AheadOfTimeJson<'a> {
    fn of(code: &'a AheadOfTime) -> Self {
        AheadOfTimeJson {
            form: code.form.name(),
            version: code.version,
            os: code.os.as_deref(),
            machine: &code.machine,
        }
    }
}
