//! What a Wasm module's file says of itself.

use serde::{Deserialize, Serialize};

/// A module as its file had it when it was opened, without its code.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Module {
    /// As it was opened.
    pub path: String,
    pub format: ModuleFormat,
    /// In the order of their numbers: those that it imports come first.
    pub memories: Vec<LinearMemory>,
    /// What it imports, as `module.name`.
    pub imports: Vec<String>,
    /// Imports that there was no room for.
    pub imports_left_out: u64,
    pub ahead_of_time: Option<AheadOfTime>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ModuleFormat {
    #[default]
    Core,
    /// Of the component model: what its core modules declare is not read.
    Component,
    /// Nothing but compiled code: what the module declared is in a form of its engine's own.
    Elf,
}

/// A memory as it is declared.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinearMemory {
    /// As which import it is given to the module; `None`: it is the module's own.
    pub imported_as: Option<String>,
    pub min_pages: u64,
    pub max_pages: Option<u64>,
    /// Several threads may use it.
    pub is_shared: bool,
    pub page_bytes: u64,
}

/// Code that was compiled before the module is run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AheadOfTime {
    pub form: AotForm,
    /// The engine's own number of its format.
    pub version: Option<u32>,
    pub os: Option<String>,
    /// The architecture that it is for, as the kernel names it.
    pub machine: String,
}

/// In what ahead-of-time code comes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum AotForm {
    /// A section of the module, as WasmEdge adds it.
    #[default]
    WasmEdge,
    /// The file itself, as wasmtime and older WasmEdge write it.
    Elf,
}

impl LinearMemory {
    /// The most that it may grow to; `None`: the module declares none.
    pub fn max_bytes(&self) -> Option<u64> {
        self.max_pages?.checked_mul(self.page_bytes)
    }

    pub fn min_bytes(&self) -> Option<u64> {
        self.min_pages.checked_mul(self.page_bytes)
    }
}

impl Module {
    /// Its memory, if it has a single one whose bounds it alone says: whoever gives it one to import may have given
    /// a smaller one, and of one that threads share engines may make all accessible at once.
    pub fn own_memory(&self) -> Option<&LinearMemory> {
        match self.memories.as_slice() {
            [memory] if memory.imported_as.is_none() && !memory.is_shared => Some(memory),
            _ => None,
        }
    }
}

impl ModuleFormat {
    pub const fn name(self) -> &'static str {
        match self {
            ModuleFormat::Core => "core",
            ModuleFormat::Component => "component",
            ModuleFormat::Elf => "elf",
        }
    }
}

impl AotForm {
    pub const fn name(self) -> &'static str {
        match self {
            AotForm::WasmEdge => "wasmedge-section",
            AotForm::Elf => "elf",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(memories: Vec<LinearMemory>) -> Module {
        Module { memories, ..Module::default() }
    }

    #[test]
    fn only_what_a_module_alone_decides_is_its_own() {
        let own = LinearMemory { max_pages: Some(4), page_bytes: 65_536, ..LinearMemory::default() };
        assert_eq!(of(vec![own.clone()]).own_memory().and_then(LinearMemory::max_bytes), Some(262_144));
        let shared = LinearMemory { is_shared: true, ..own.clone() };
        let imported = LinearMemory { imported_as: Some("env.memory".to_owned()), ..own.clone() };
        for memories in [vec![], vec![shared], vec![imported], vec![own.clone(), own]] {
            assert_eq!(of(memories).own_memory(), None);
        }
    }

    #[test]
    fn a_size_beyond_64_bits_is_none() {
        let memory =
            LinearMemory { max_pages: Some(u64::MAX), page_bytes: 65_536, ..LinearMemory::default() };
        assert_eq!(memory.max_bytes(), None);
    }
}
