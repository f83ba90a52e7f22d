//! Kernel types by name: struct offsets for the programs, and prototypes of tracepoints. Names are looked
//! up, never assumed: both move between kernels.

use std::{fs, path::Path};

use btf_rs::{Btf, BtfType, Member, Type};
use observer_ebpf::control::{NO_OFFSET, Offsets};
use zerocopy::FromBytes;

#[derive(Debug, thiserror::Error)]
#[error("kernel type information: {0}")]
pub struct BtfError(String);

impl BtfError {
    pub fn of(path: &Path, why: &dyn std::fmt::Display) -> BtfError {
        BtfError(format!("{}: {why}", path.display()))
    }
}

/// The kernel's types.
pub struct KernelTypes {
    btf: Btf,
}

impl KernelTypes {
    /// # Errors
    /// When the file is missing or is no BTF.
    pub fn read(path: &Path) -> Result<Self, BtfError> {
        Self::parse(path, &fs::read(path).map_err(|error| BtfError::of(path, &error))?)
    }

    /// The same, of a file that somebody has named. Where the kernel has types of its own (`own`), those of another one
    /// would be read as plausible nonsense.
    ///
    /// # Errors
    /// When the file is missing, is no BTF, or is another kernel's.
    pub fn read_of_this_kernel(path: &Path, own: &Path) -> Result<Self, BtfError> {
        let bytes = fs::read(path).map_err(|error| BtfError::of(path, &error))?;
        if fs::read(own).is_ok_and(|own| own != bytes) {
            return Err(BtfError::of(path, &"not the types of the running kernel, which has its own"));
        }
        Self::parse(path, &bytes)
    }

    fn parse(path: &Path, bytes: &[u8]) -> Result<Self, BtfError> {
        // At once: read where it lies, each of its types would be sought by itself.
        let btf = Btf::from_bytes(bytes).map_err(|error| BtfError::of(path, &error))?;
        Ok(Self { btf })
    }

    /// All offsets, and the paths of those that this kernel does not have.
    pub fn offsets(&self) -> (Offsets, Vec<&'static str>) {
        let mut values = Vec::new();
        let mut missing = Vec::new();
        for path in Offsets::PATHS {
            let value = self.value(path);
            if value.is_none() {
                missing.push(*path);
            }
            values.extend(value.unwrap_or(NO_OFFSET).to_ne_bytes());
        }
        let offsets = Offsets::read_from_bytes(&values).unwrap_or(Offsets::UNKNOWN);
        (offsets, missing)
    }

    /// Whether the tracepoint exists and its leading arguments are of the expected types (see [`crate::probes::spec::Rung`]).
    ///
    /// # Errors
    /// What differs, for people.
    pub fn check_tracepoint(&self, tracepoint: &str, arguments: &[&str]) -> Result<(), String> {
        let name = format!("btf_trace_{tracepoint}");
        let types = self.btf.resolve_types_by_name(&name).map_err(|_| "not in this kernel".to_owned())?;
        if types.is_empty() {
            return Err("not in this kernel".to_owned());
        }
        let proto = types
            .into_iter()
            .find_map(|found| self.prototype(found))
            .ok_or_else(|| format!("{name} is not a function type"))?;
        // The first parameter is the tracepoint's private data.
        self.check_parameters(proto.parameters.get(1..).unwrap_or_default(), arguments)
    }

    /// Whether the kernel has this function, with leading arguments of these types.
    ///
    /// # Errors
    /// What differs, for people.
    pub fn check_function(&self, function: &str, arguments: &[&str]) -> Result<(), String> {
        let types =
            self.btf.resolve_types_by_name(function).map_err(|_| format!("no function {function}"))?;
        let found = types.into_iter().find_map(|found| match found {
            Type::Func(found) => Some(found),
            _ => None,
        });
        let found = found.ok_or_else(|| format!("no function {function}"))?;
        match self.btf.resolve_chained_type(&found) {
            Ok(Type::FuncProto(proto)) => self.check_parameters(&proto.parameters, arguments),
            _ => Err(format!("{function} has no prototype")),
        }
    }

    fn check_parameters(&self, parameters: &[btf_rs::Parameter], arguments: &[&str]) -> Result<(), String> {
        for (n, expected) in arguments.iter().enumerate() {
            let found =
                parameters.get(n).ok_or_else(|| format!("has only {} arguments", parameters.len()))?;
            if !self.is(found, expected) {
                return Err(format!("argument {n} is not of type {expected} on this kernel"));
            }
        }
        Ok(())
    }

    fn prototype(&self, found: Type) -> Option<btf_rs::FuncProto> {
        let Type::Typedef(typedef) = found else { return None };
        let Ok(Type::Ptr(pointer)) = self.btf.resolve_chained_type(&typedef) else { return None };
        match self.btf.resolve_chained_type(&pointer) {
            Ok(Type::FuncProto(proto)) => Some(proto),
            _ => None,
        }
    }

    fn is(&self, parameter: &btf_rs::Parameter, expected: &str) -> bool {
        match expected {
            "" => true,
            "int" => matches!(
                self.btf.resolve_chained_type(parameter).map(|found| self.plain(found)),
                Ok(Some(Type::Int(_)))
            ),
            structure => self.pointee(parameter).as_deref() == Some(structure),
        }
    }

    /// The name of the structure that a parameter points to.
    fn pointee(&self, parameter: &btf_rs::Parameter) -> Option<String> {
        let Ok(Type::Ptr(pointer)) = self.btf.resolve_chained_type(parameter) else { return None };
        match self.plain(self.btf.resolve_chained_type(&pointer).ok()?)? {
            Type::Struct(found) => self.btf.resolve_name(&found).ok(),
            _ => None,
        }
    }

    /// `struct.member.member[2]`: a byte offset; `enum name.value`: the value; `sizeof struct`: bytes. The first of several, separated
    /// by `|`, that this kernel has.
    fn value(&self, paths: &str) -> Option<u32> {
        paths.split('|').find_map(|path| self.single(path))
    }

    fn single(&self, path: &str) -> Option<u32> {
        if let Some(path) = path.strip_prefix("enum ") {
            return self.enumerator(path);
        }
        if let Some(name) = path.strip_prefix("sizeof ") {
            return match self.structure(name)? {
                Type::Struct(found) => Some(found.size() as u32),
                _ => None,
            };
        }
        let mut parts = path.split('.');
        let mut current = self.structure(parts.next()?)?;
        let mut bits = 0;
        for part in parts {
            let (name, element) = element_of(part)?;
            let (offset, found) = self.member(&current, name)?;
            bits += offset;
            current = match element {
                Some(element) => {
                    let found = self.element(&found)?;
                    bits += element * 8 * u32::try_from(size(&found)?).ok()?;
                    found
                }
                None => found,
            };
        }
        Some(bits / 8)
    }

    fn enumerator(&self, path: &str) -> Option<u32> {
        let (name, wanted) = path.split_once('.')?;
        self.btf.resolve_types_by_name(name).ok()?.into_iter().find_map(|found| match found {
            Type::Enum(found) => found
                .members
                .iter()
                .find(|member| self.btf.resolve_name(*member).is_ok_and(|name| name == wanted))
                .map(btf_rs::EnumMember::val),
            _ => None,
        })
    }

    /// The values of an enumeration, with their names.
    pub fn enumerators(&self, name: &str) -> Vec<(u32, String)> {
        let types = self.btf.resolve_types_by_name(name).unwrap_or_default();
        let found = types.into_iter().find_map(|found| match found {
            Type::Enum(found) => Some(found),
            _ => None,
        });
        let members = found.iter().flat_map(|found| &found.members);
        members.filter_map(|member| Some((member.val(), self.btf.resolve_name(member).ok()?))).collect()
    }

    fn structure(&self, name: &str) -> Option<Type> {
        let found = self.btf.resolve_types_by_name(name).ok()?;
        found.into_iter().find(|found| matches!(found, Type::Struct(_)))
    }

    /// A member by name, looked for inside anonymous structures and unions, too.
    fn member(&self, of: &Type, name: &str) -> Option<(u32, Type)> {
        for member in members(of)? {
            let found_name = self.btf.resolve_name(member).unwrap_or_default();
            let found = self.plain(self.btf.resolve_chained_type(member).ok()?)?;
            if found_name == name {
                return Some((member.bit_offset(), found));
            }
            if found_name.is_empty()
                && let Some((offset, inner)) = self.member(&found, name)
            {
                return Some((member.bit_offset() + offset, inner));
            }
        }
        None
    }

    /// What an array is made of.
    fn element(&self, of: &Type) -> Option<Type> {
        let Type::Array(array) = of else { return None };
        self.plain(self.btf.resolve_chained_type(array).ok()?)
    }

    /// The type behind typedefs and qualifiers.
    fn plain(&self, mut found: Type) -> Option<Type> {
        for _ in 0..16 {
            let next: &dyn BtfType = match &found {
                Type::Typedef(inner) => inner,
                Type::Const(inner) => inner,
                Type::Volatile(inner) => inner,
                Type::TypeTag(inner) => inner,
                _ => return Some(found),
            };
            found = self.btf.resolve_chained_type(next).ok()?;
        }
        None
    }
}

/// `name[2]` is the name and 2, `name` the name alone.
fn element_of(part: &str) -> Option<(&str, Option<u32>)> {
    match part.strip_suffix(']') {
        Some(indexed) => {
            let (name, index) = indexed.split_once('[')?;
            Some((name, Some(index.parse().ok()?)))
        }
        None => Some((part, None)),
    }
}

/// Bytes of what an array may be made of, where its elements are looked at.
fn size(of: &Type) -> Option<usize> {
    match of {
        Type::Int(found) => Some(found.size()),
        Type::Struct(found) | Type::Union(found) => Some(found.size()),
        _ => None,
    }
}

fn members(of: &Type) -> Option<&[Member]> {
    match of {
        Type::Struct(found) | Type::Union(found) => Some(&found.members),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &str = "/sys/kernel/btf/vmlinux";

    fn refusal(bytes: &[u8], own: &Path) -> String {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), bytes).unwrap();
        let read = KernelTypes::read_of_this_kernel(file.path(), own);
        let said = read.err().map(|error| error.to_string()).unwrap_or_default();
        said.replace(&file.path().display().to_string(), "FILE")
    }

    #[test]
    fn a_file_with_this_kernels_types_is_as_good_as_its_own_and_no_other_is() {
        let nowhere = Path::new("/nowhere");
        let Ok(own) = fs::read(OWN) else {
            eprintln!("SKIPPED: this kernel keeps no types");
            return;
        };
        assert_eq!(refusal(&own, Path::new(OWN)), "");
        assert_eq!(refusal(&own, nowhere), "", "a kernel without its own");
        let (ours, its) = tempfile::tempdir()
            .map(|folder| {
                let copy = folder.path().join("vmlinux");
                fs::write(&copy, &own).unwrap();
                (
                    KernelTypes::read_of_this_kernel(&copy, nowhere).unwrap().offsets(),
                    KernelTypes::read(Path::new(OWN)),
                )
            })
            .unwrap();
        assert_eq!(ours, its.unwrap().offsets());
        let mut other = own.clone();
        other.truncate(own.len() / 2);
        assert!(refusal(&other, Path::new(OWN)).contains("FILE: not the types of the running kernel"));
        for broken in [&other[..], b"", b"\x7fELF not types"] {
            assert!(refusal(broken, nowhere).starts_with("kernel type information: FILE: "), "{broken:?}");
        }
        let missing = KernelTypes::read_of_this_kernel(Path::new("/nowhere/vmlinux"), nowhere);
        assert!(missing.is_err_and(|error| error.to_string().contains("No such file")));
    }
}
