//! Where in a file the functions of a TLS library begin and return. The file is whoever's: it is read in parts, every
//! number in it is checked, and the work is bounded. Returns are RET instructions; none is ever guessed.

use std::fs::File;

use object::{
    Architecture, Endianness, Object, ObjectSection, ObjectSegment, ObjectSymbol,
    read::{ReadCache, elf::ElfFile64},
};

use crate::probes::tls::{
    Function, GO, OPENSSL,
    pclntab::{Layout, Table},
};

/// Bytes of a function that are looked through, and of a table.
const MAX_FUNCTION: u64 = 64 << 10;
const MAX_TABLE: u64 = 256 << 20;

/// Where to attach, as offsets in the file.
pub struct Points {
    pub function: &'static Function,
    pub entry: u64,
    pub returns: Vec<u64>,
}

type Elf<'a> = ElfFile64<'a, Endianness, &'a ReadCache<File>>;

/// Of a library of OpenSSL: those of its functions that it exports.
///
/// # Errors
/// Why nothing is known of it: for people.
pub fn of_openssl(file: File) -> Result<Vec<Points>, String> {
    let cache = ReadCache::new(file);
    let elf = parse(&cache)?;
    let mut found = Vec::new();
    for symbol in elf.dynamic_symbols().filter(ObjectSymbol::is_definition) {
        let function =
            symbol.name().ok().and_then(|name| OPENSSL.iter().find(|one| one.entry.symbol == name));
        if let Some(function) = function {
            found.push(points(&elf, function, symbol.address(), symbol.size())?);
        }
    }
    complete(found, "it exports none of OpenSSL's functions")
}

/// Of a C library: this function, if it exports it.
///
/// # Errors
/// As above.
pub fn exported(file: File, function: &'static Function) -> Result<Points, String> {
    let cache = ReadCache::new(file);
    let elf = parse(&cache)?;
    let name = function.entry.symbol;
    let mut symbols = elf.dynamic_symbols().filter(ObjectSymbol::is_definition);
    let symbol = symbols.find(|symbol| symbol.name() == Ok(name));
    let symbol = symbol.ok_or_else(|| format!("it does not export {name}"))?;
    points(&elf, function, symbol.address(), symbol.size())
}

/// Of a Go program: `None`, if it is none.
///
/// # Errors
/// As above.
pub fn of_go(file: File) -> Result<Option<Vec<Points>>, String> {
    let cache = ReadCache::new(file);
    let elf = parse(&cache)?;
    let section = [".gopclntab", ".data.rel.ro.gopclntab"].iter().find_map(|name| elf.section_by_name(name));
    let Some(section) = section else { return Ok(None) };
    if section.size() > MAX_TABLE {
        return Err("its table of functions is larger than any that is known".to_owned());
    }
    let text = elf.section_by_name(".text").map_or(0, |text| text.address());
    let table = section.data().map_err(|error| error.to_string())?;
    let table = Table::read(table, text).map_err(|error| error.to_string())?;
    if table.layout < Layout::Go118 {
        // 1.16 passes arguments on the stack, and looks the same as 1.17, which does not.
        return Err("it was made by a Go before 1.18".to_owned());
    }
    let extents = table.find([GO[0].entry.symbol, GO[1].entry.symbol]);
    let mut found = Vec::new();
    for (function, extent) in GO.iter().zip(extents) {
        if let Some(extent) = extent {
            found.push(points(&elf, function, extent.begin, extent.end - extent.begin)?);
        }
    }
    if found.len() < GO.len() {
        return Err("it does not use Go's crypto/tls".to_owned());
    }
    Ok(Some(found))
}

fn parse<'a>(cache: &'a ReadCache<File>) -> Result<Elf<'a>, String> {
    let elf = Elf::parse(cache).map_err(|error| error.to_string())?;
    let own = match std::env::consts::ARCH {
        "x86_64" => Architecture::X86_64,
        "aarch64" => Architecture::Aarch64,
        other => return Err(format!("calls are not understood on {other}")),
    };
    if elf.architecture() == own { Ok(elf) } else { Err("it is for another architecture".to_owned()) }
}

fn complete(found: Vec<Points>, otherwise: &str) -> Result<Vec<Points>, String> {
    if found.is_empty() { Err(otherwise.to_owned()) } else { Ok(found) }
}

fn points(elf: &Elf, function: &'static Function, address: u64, size: u64) -> Result<Points, String> {
    let name = function.entry.symbol;
    if size == 0 || size > MAX_FUNCTION {
        return Err(format!("{name} is {size} bytes long"));
    }
    let (offset, code) =
        code_at(elf, address, size).ok_or_else(|| format!("the code of {name} is not in it"))?;
    let returns = match function.returned {
        Some(_) => returns(code),
        None => Vec::new(),
    };
    if function.returned.is_some() && returns.is_empty() {
        return Err(format!("{name} has no RET: it returns where it cannot be seen"));
    }
    Ok(Points { function, entry: offset, returns: returns.iter().map(|at| offset + at).collect() })
}

/// The offset in the file of what is loaded at this address, and its bytes.
fn code_at<'a>(elf: &Elf<'a>, address: u64, size: u64) -> Option<(u64, &'a [u8])> {
    elf.segments().find_map(|segment| {
        let within = address.checked_sub(segment.address())?;
        let (offset, len) = segment.file_range();
        if within.checked_add(size)? > len {
            return None;
        }
        let code = segment.data_range(address, size).ok()??;
        Some((offset.checked_add(within)?, code))
    })
}

/// Where in this code an instruction returns.
#[cfg(target_arch = "x86_64")]
fn returns(code: &[u8]) -> Vec<u64> {
    use iced_x86::{Decoder, DecoderOptions, Mnemonic};
    let decoder = Decoder::with_ip(64, code, 0, DecoderOptions::NONE);
    let returns = decoder.into_iter().filter(|instruction| instruction.mnemonic() == Mnemonic::Ret);
    returns.map(|instruction| instruction.ip()).collect()
}

/// RET and, where return addresses are signed, RETAA and RETAB.
#[cfg(target_arch = "aarch64")]
fn returns(code: &[u8]) -> Vec<u64> {
    let is_return = |word: u32| word & 0xffff_fc1f == 0xd65f_0000 || word & 0xffff_fbff == 0xd65f_0bff;
    let words = code.chunks_exact(4).map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]]));
    words.zip(0..).filter(|(word, _)| is_return(*word)).map(|(_, at)| 4 * at).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn returns_are_instructions_and_no_bytes_that_look_like_one() {
        // mov eax, 0xc3c3; ret; jmp +0; repz ret; ret 8; call rax; int3
        let code = b"\xb8\xc3\xc3\0\0\xc3\xeb\0\xf3\xc3\xc2\x08\0\xff\xd0\xcc";
        assert_eq!(returns(code), [5, 8, 10]);
        assert!(returns(b"\xe9\0\0\0\0").is_empty());
    }

    #[test]
    fn a_file_that_is_no_program_is_refused() {
        let mut file = tempfile::tempfile().unwrap();
        std::io::Write::write_all(&mut file, b"#!/bin/sh\n").unwrap();
        assert!(of_go(file.try_clone().unwrap()).is_err());
        assert!(of_openssl(file).is_err());
    }

    #[test]
    fn a_program_that_is_not_of_go_is_none_and_no_library() {
        let own = || File::open("/proc/self/exe").unwrap();
        assert!(matches!(of_go(own()), Ok(None)));
        let why = of_openssl(own()).err().unwrap_or_default();
        assert!(why.contains("exports none"), "{why}");
    }
}
