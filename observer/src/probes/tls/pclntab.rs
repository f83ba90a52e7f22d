//! The function table that every Go program carries, stripped or not (`.gopclntab`): where a function begins and ends.
//! Written by whoever made the file: everything is checked, nothing is believed, and the work is bounded.
//!
//! Of Go 1.16 and later; the layout is that of `internal/gosym` and of the header in `runtime/symtab.go`.

/// Functions looked through: the largest programs have some hundred thousand.
const MAX_FUNCTIONS: usize = 2_000_000;

/// Where a function's code lies, as addresses of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    pub begin: u64,
    pub end: u64,
}

/// Why a table cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    #[error("the table of functions is of no known version")]
    Version,
    #[error("the table of functions is damaged")]
    Damaged,
}

/// Layouts by the version of Go that began to write them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Layout {
    Go116,
    Go118,
    Go120,
}

/// A table, its header understood.
#[derive(Clone, Debug)]
pub struct Table<'a> {
    pub layout: Layout,
    is_little: bool,
    count: usize,
    /// What entries are relative to.
    base: u64,
    names: &'a [u8],
    functions: &'a [u8],
}

impl<'a> Table<'a> {
    /// `text`: the address of `.text`, for tables that leave it to the linker to say.
    ///
    /// # Errors
    /// It is none of a known version, or does not fit into itself.
    pub fn read(bytes: &'a [u8], text: u64) -> Result<Self, Unreadable> {
        let magic: [u8; 4] =
            bytes.get(..4).and_then(|magic| magic.try_into().ok()).ok_or(Unreadable::Damaged)?;
        let (layout, is_little) = layout(magic).ok_or(Unreadable::Version)?;
        // Two zeros, the size of an instruction, the size of a pointer.
        let [0, 0, 1 | 2 | 4, 8] = bytes[4..].get(..4).ok_or(Unreadable::Damaged)? else {
            return Err(Unreadable::Version);
        };
        let mut table = Table { layout, is_little, count: 0, base: 0, names: &[], functions: &[] };
        let word = |n: usize| table.word(bytes, 8 + 8 * n).ok_or(Unreadable::Damaged);
        let part = |offset: u64| {
            usize::try_from(offset).ok().and_then(|offset| bytes.get(offset..)).ok_or(Unreadable::Damaged)
        };
        let count = usize::try_from(word(0)?).map_err(|_| Unreadable::Damaged)?;
        // Of newer ones a word more: where the text begins. It may be left to the loader, and is 0 then.
        let (base, names, functions) = match layout {
            Layout::Go116 => (0, part(word(2)?)?, part(word(6)?)?),
            Layout::Go118 | Layout::Go120 => {
                let base = word(2)?;
                (if base == 0 { text } else { base }, part(word(3)?)?, part(word(7)?)?)
            }
        };
        if count > MAX_FUNCTIONS || count > functions.len() / table.entry_size() {
            return Err(Unreadable::Damaged);
        }
        (table.count, table.base, table.names, table.functions) = (count, base, names, functions);
        Ok(table)
    }

    /// The functions of these names, in their order; `None`: it has none of that name.
    pub fn find<const N: usize>(&self, wanted: [&str; N]) -> [Option<Extent>; N] {
        let mut found = [None; N];
        for at in 0..self.count {
            let Some(name) = self.name(at) else { continue };
            if let Some(which) = wanted.iter().position(|wanted| begins_as_text(name, wanted.as_bytes())) {
                found[which] = self.extent(at);
            }
            if found.iter().all(Option::is_some) {
                break;
            }
        }
        found
    }

    /// Two words: where the function begins, and where it is described.
    fn entry_size(&self) -> usize {
        if self.layout == Layout::Go116 { 16 } else { 8 }
    }

    fn entry(&self, at: usize) -> Option<(u64, u64)> {
        let offset = at.checked_mul(self.entry_size())?;
        match self.layout {
            Layout::Go116 => {
                Some((self.word(self.functions, offset)?, self.word(self.functions, offset + 8)?))
            }
            _ => {
                let half = |offset| self.half(self.functions, offset).map(u64::from);
                Some((half(offset)?, half(offset + 4)?))
            }
        }
    }

    /// The bytes from the beginning of a function's name on.
    fn name(&self, at: usize) -> Option<&'a [u8]> {
        let (_, described) = self.entry(at)?;
        let entry = if self.layout == Layout::Go116 { 8 } else { 4 };
        let description = self.functions.get(usize::try_from(described).ok()?..)?;
        let name = self.half(description, entry)?;
        self.names.get(usize::try_from(name).ok()?..)
    }

    /// A function ends where the next one begins; behind the last one there is an entry that is none.
    fn extent(&self, at: usize) -> Option<Extent> {
        let begin = self.base.checked_add(self.entry(at)?.0)?;
        let next = if at + 1 < self.count { self.entry(at + 1)?.0 } else { self.last_end()? };
        let end = self.base.checked_add(next)?;
        (begin < end).then_some(Extent { begin, end })
    }

    fn last_end(&self) -> Option<u64> {
        let offset = self.count.checked_mul(self.entry_size())?;
        match self.layout {
            Layout::Go116 => self.word(self.functions, offset),
            _ => self.half(self.functions, offset).map(u64::from),
        }
    }

    fn half(&self, bytes: &[u8], at: usize) -> Option<u32> {
        let bytes = bytes.get(at..)?.get(..4)?.try_into().ok()?;
        Some(if self.is_little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) })
    }

    fn word(&self, bytes: &[u8], at: usize) -> Option<u64> {
        let bytes = bytes.get(at..)?.get(..8)?.try_into().ok()?;
        Some(if self.is_little { u64::from_le_bytes(bytes) } else { u64::from_be_bytes(bytes) })
    }
}

fn layout(magic: [u8; 4]) -> Option<(Layout, bool)> {
    let known = |value: u32| match value {
        0xffff_fffa => Some(Layout::Go116),
        0xffff_fff0 => Some(Layout::Go118),
        0xffff_fff1 => Some(Layout::Go120),
        _ => None,
    };
    let little = known(u32::from_le_bytes(magic)).map(|layout| (layout, true));
    little.or_else(|| known(u32::from_be_bytes(magic)).map(|layout| (layout, false)))
}

/// Whether a text that ends with a zero is at the beginning of these bytes.
fn begins_as_text(bytes: &[u8], text: &[u8]) -> bool {
    bytes.strip_prefix(text).is_some_and(|rest| rest.first() == Some(&0))
}

#[cfg(test)]
mod tests;
