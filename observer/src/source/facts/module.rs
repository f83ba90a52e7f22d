//! What a Wasm module says of itself: memories, imports, for which machine its compiled code is. Its file may be
//! anything that somebody else has put there: what is not needed is skipped, what is read has a bound, and what cannot
//! be understood is an error.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use wasmparser::{BinaryReader, BinaryReaderError, ImportSectionReader, MemorySectionReader, TypeRef};

use super::{
    HostRoot, bundle, failed,
    files::{self, Last},
    procfs,
};
use crate::input::{AheadOfTime, AotForm, LinearMemory, LookupError, Module, ModuleFormat};

/// Sections of a module; engines add one a name, a debug format and a producer.
const MAX_SECTIONS: usize = 1_024;
/// The longest section of those that are read, bytes.
const MAX_SECTION: u64 = 1 << 20;
/// What is read of a section of an engine's own, bytes: its name, and for what its code is.
const CUSTOM_HEAD: u64 = 64;
/// Memories of a module; all but experiments have one.
const MAX_MEMORIES: usize = 16;
/// Imports that are kept, and the bytes of the name of one.
const MAX_IMPORTS: usize = 64;
const MAX_NAME: usize = 128;

/// Binary format 1, of a module and of a component.
const CORE: [u8; 8] = *b"\0asm\x01\0\0\0";
const COMPONENT: [u8; 8] = *b"\0asm\x0d\0\x01\0";
const ELF: [u8; 4] = *b"\x7fELF";
/// What is needed of an ELF header: up to the machine.
const ELF_HEAD: usize = 20;

const CUSTOM: u8 = 0;
const IMPORTS: u8 = 2;
const MEMORIES: u8 = 5;

/// Why a file says nothing.
#[derive(Debug, thiserror::Error)]
enum Unreadable {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("neither a Wasm module in binary form nor compiled code")]
    Foreign,
    #[error("it ends within a section")]
    Truncated,
    #[error("it has more than {MAX_SECTIONS} sections")]
    Sections,
    #[error("a section of {0} bytes, of which at most {MAX_SECTION} are read")]
    Section(u64),
    #[error("it has more than {MAX_MEMORIES} memories")]
    Memories,
    #[error("malformed: {0}")]
    Malformed(#[from] BinaryReaderError),
}

/// Reads the module that process `tgid` has opened by this path, in that process's root. Once the process is gone it is
/// looked for in the container's bundle, unless something was mounted there.
///
/// # Errors
/// Says why it could not be read, or not be understood.
pub fn read(host: &HostRoot, tgid: u32, path: &str, bundle: Option<&str>) -> Result<Module, LookupError> {
    let what = || format!("Wasm module {path}");
    let file = match (open(host, tgid, path), bundle) {
        (Err(_), Some(bundle)) => bundle::open_in_rootfs(host, Path::new(bundle), Path::new(path)),
        (own, _) => own,
    };
    let mut file = file.map_err(|error| failed(what(), error))?;
    let module = parse(&mut file).map_err(|error| failed(what(), error))?;
    Ok(Module { path: path.to_owned(), ..module })
}

fn open(host: &HostRoot, tgid: u32, path: &str) -> io::Result<File> {
    let root = files::open_root(&host.proc(format!("{tgid}/root")))?;
    let mut absolute = PathBuf::from(procfs::cwd(host, tgid).unwrap_or_default());
    absolute.push(path);
    files::open_regular(root, &absolute, Last::Follow)
}

fn parse(file: &mut (impl Read + Seek)) -> Result<Module, Unreadable> {
    let length = file.seek(SeekFrom::End(0))?;
    let head = read_at(file, 0, length.min(ELF_HEAD as u64))?;
    match &head[..] {
        head if head.starts_with(&CORE) => sections(file, length),
        head if head.starts_with(&COMPONENT) => {
            Ok(Module { format: ModuleFormat::Component, ..Module::default() })
        }
        head if head.starts_with(&ELF) => elf(head),
        _ => Err(Unreadable::Foreign),
    }
}

fn read_at(file: &mut (impl Read + Seek), at: u64, bytes: u64) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(at))?;
    let mut read = Vec::new();
    file.take(bytes).read_to_end(&mut read)?;
    Ok(read)
}

/// Goes from one section's head to the next.
fn sections(file: &mut (impl Read + Seek), length: u64) -> Result<Module, Unreadable> {
    /// A number and a length: no section begins with more.
    const LONGEST_HEAD: u64 = 6;
    let mut module = Module::default();
    let mut at = CORE.len() as u64;
    for _ in 0..MAX_SECTIONS {
        if at >= length {
            return Ok(module);
        }
        let head = read_at(file, at, LONGEST_HEAD)?;
        let mut reader = BinaryReader::new(&head, at as usize);
        let (id, bytes) = (reader.read_u8()?, u64::from(reader.read_var_u32()?));
        let begin = reader.original_position() as u64;
        if begin + bytes > length {
            return Err(Unreadable::Truncated);
        }
        match id {
            CUSTOM => module.ahead_of_time = module.ahead_of_time.or(custom(file, begin, bytes)?),
            IMPORTS | MEMORIES if bytes > MAX_SECTION => return Err(Unreadable::Section(bytes)),
            IMPORTS => imports(&read_at(file, begin, bytes)?, begin, &mut module)?,
            MEMORIES => memories(&read_at(file, begin, bytes)?, begin, &mut module)?,
            _ => {}
        }
        at = begin + bytes;
    }
    Err(Unreadable::Sections)
}

fn imports(section: &[u8], at: u64, module: &mut Module) -> Result<(), Unreadable> {
    for import in ImportSectionReader::new(BinaryReader::new(section, at as usize))?.into_imports() {
        let import = import?;
        let name = format!("{}.{}", import.module, import.name);
        let name = (name.len() <= MAX_NAME).then_some(name);
        if let TypeRef::Memory(memory) = import.ty {
            declare(module, Some(name.clone().unwrap_or_else(|| "a name too long".to_owned())), memory)?;
        }
        // Half a name would be a wrong one.
        match name.filter(|_| module.imports.len() < MAX_IMPORTS) {
            Some(name) => module.imports.push(name),
            None => module.imports_left_out += 1,
        }
    }
    Ok(())
}

fn memories(section: &[u8], at: u64, module: &mut Module) -> Result<(), Unreadable> {
    for memory in MemorySectionReader::new(BinaryReader::new(section, at as usize))? {
        declare(module, None, memory?)?;
    }
    Ok(())
}

fn declare(
    module: &mut Module,
    imported_as: Option<String>,
    memory: wasmparser::MemoryType,
) -> Result<(), Unreadable> {
    /// 64 KiB, where the module says nothing else.
    const PAGE_LOG2: u32 = 16;
    if module.memories.len() >= MAX_MEMORIES {
        return Err(Unreadable::Memories);
    }
    let page_bytes = 1_u64.checked_shl(memory.page_size_log2.unwrap_or(PAGE_LOG2)).unwrap_or_default();
    module.memories.push(LinearMemory {
        imported_as,
        min_pages: memory.initial,
        max_pages: memory.maximum,
        is_shared: memory.shared,
        page_bytes,
    });
    Ok(())
}

/// For what the code in a section of WasmEdge's is; `None` for the sections of others.
fn custom(file: &mut (impl Read + Seek), begin: u64, bytes: u64) -> Result<Option<AheadOfTime>, Unreadable> {
    let head = read_at(file, begin, bytes.min(CUSTOM_HEAD))?;
    let mut reader = BinaryReader::new(&head, begin as usize);
    // A longer name than what is read is none that is known.
    if reader.read_string().ok() != Some("wasmedge") {
        return Ok(None);
    }
    let (version, os, machine) = (reader.read_var_u32()?, reader.read_u8()?, reader.read_u8()?);
    // As its compiler writes them (`lib/llvm/codegen.cpp`, 0.14).
    let os = match os {
        1 => "linux".to_owned(),
        2 => "macos".to_owned(),
        3 => "windows".to_owned(),
        other => format!("system {other}"),
    };
    let machine = match machine {
        1 => "x86_64".to_owned(),
        2 => "aarch64".to_owned(),
        3 => "riscv64".to_owned(),
        4 => "arm".to_owned(),
        other => format!("machine {other}"),
    };
    let form = AotForm::WasmEdge;
    Ok(Some(AheadOfTime { form, version: Some(version), os: Some(os), machine }))
}

/// Byte order and machine of an ELF file (`elf.h`).
fn elf(head: &[u8]) -> Result<Module, Unreadable> {
    const DATA: usize = 5;
    const BIG_ENDIAN: u8 = 2;
    let Some(&[low, high]) = head.get(ELF_HEAD - 2..) else { return Err(Unreadable::Truncated) };
    let machine = [low, high];
    let machine =
        if head[DATA] == BIG_ENDIAN { u16::from_be_bytes(machine) } else { u16::from_le_bytes(machine) };
    let machine = match machine {
        22 => "s390x".to_owned(),
        40 => "arm".to_owned(),
        62 => "x86_64".to_owned(),
        183 => "aarch64".to_owned(),
        243 => "riscv64".to_owned(),
        other => format!("machine {other}"),
    };
    let code = AheadOfTime { form: AotForm::Elf, version: None, os: None, machine };
    Ok(Module { format: ModuleFormat::Elf, ahead_of_time: Some(code), ..Module::default() })
}

#[cfg(test)]
mod tests;
