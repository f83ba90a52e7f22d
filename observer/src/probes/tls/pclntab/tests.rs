//! Tables made as Go's linker makes them, and tables that no linker makes.

use super::*;

const NAMES: [&str; 4] = ["runtime.text", "crypto/tls.(*Conn).Read", "crypto/tls.(*Conn).Write", "main.main"];
const READ_WRITE: [&str; 2] = ["crypto/tls.(*Conn).Read", "crypto/tls.(*Conn).Write"];
const TEXT: u64 = 0x40_1000;

struct Writer {
    layout: Layout,
    is_little: bool,
    bytes: Vec<u8>,
}

impl Writer {
    fn word(&mut self, value: u64) {
        self.bytes.extend(if self.is_little { value.to_le_bytes() } else { value.to_be_bytes() });
    }

    fn half(&mut self, value: u32) {
        self.bytes.extend(if self.is_little { value.to_le_bytes() } else { value.to_be_bytes() });
    }

    fn either(&mut self, value: u64) {
        if self.layout == Layout::Go116 { self.word(value) } else { self.half(value as u32) }
    }
}

/// A table whose functions are 0x100 bytes long each. `base`: where its header says that the text begins.
fn table(layout: Layout, is_little: bool, base: u64) -> Vec<u8> {
    let magic: u32 = match layout {
        Layout::Go116 => 0xffff_fffa,
        Layout::Go118 => 0xffff_fff0,
        Layout::Go120 => 0xffff_fff1,
    };
    let words = if layout == Layout::Go116 { 7 } else { 8 };
    let names: Vec<u8> = NAMES.iter().flat_map(|name| [name.as_bytes(), &[0]].concat()).collect();
    let (names_at, functions_at) = (8 + 8 * words, 8 + 8 * words + names.len() as u64);
    let mut to = Writer { layout, is_little, bytes: Vec::new() };
    to.half(magic);
    to.bytes.extend([0, 0, 1, 8]);
    to.word(NAMES.len() as u64);
    to.word(1);
    if layout != Layout::Go116 {
        to.word(base);
    }
    to.word(names_at);
    (0..3).for_each(|_| to.word(0));
    to.word(functions_at);
    to.bytes.extend(names);
    let (width, absolute) = if layout == Layout::Go116 { (8, TEXT) } else { (4, 0) };
    let described = 2 * width * NAMES.len() as u64 + width;
    for at in 0..NAMES.len() as u64 {
        to.either(absolute + 0x100 * at);
        to.either(described + (width + 4) * at);
    }
    to.either(absolute + 0x100 * NAMES.len() as u64);
    let mut name_at = 0;
    for (at, name) in NAMES.iter().enumerate() {
        to.either(0x100 * at as u64);
        to.half(name_at);
        name_at += name.len() as u32 + 1;
    }
    to.bytes
}

fn found(bytes: &[u8]) -> [Option<Extent>; 2] {
    Table::read(bytes, TEXT).unwrap().find(READ_WRITE)
}

fn extent(at: u64) -> Option<Extent> {
    Some(Extent { begin: TEXT + 0x100 * at, end: TEXT + 0x100 * (at + 1) })
}

#[test]
fn functions_are_found_in_every_layout() {
    for layout in [Layout::Go116, Layout::Go118, Layout::Go120] {
        for is_little in [true, false] {
            for base in [TEXT, 0] {
                let bytes = table(layout, is_little, base);
                assert_eq!(found(&bytes), [extent(1), extent(2)], "{layout:?} {is_little} {base}");
                let last = Table::read(&bytes, TEXT).unwrap().find(["main.main"]);
                assert_eq!(last, [extent(3)]);
            }
        }
    }
}

#[test]
fn a_name_that_only_begins_like_another_is_another() {
    let bytes = table(Layout::Go120, true, TEXT);
    let table = Table::read(&bytes, TEXT).unwrap();
    assert_eq!(table.find(["crypto/tls.(*Conn)", "main.mainly"]), [None, None]);
}

#[test]
fn other_versions_and_sizes_are_refused() {
    let good = table(Layout::Go118, true, TEXT);
    let with = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        Table::read(&bytes, TEXT).err()
    };
    assert_eq!(with(0, 0xfb), Some(Unreadable::Version), "Go 1.2");
    assert_eq!(with(4, 1), Some(Unreadable::Version));
    assert_eq!(with(7, 4), Some(Unreadable::Version), "32 bits");
    assert_eq!(with(8, 0xff), Some(Unreadable::Damaged), "more functions than fit");
    assert_eq!(with(15, 0xff), Some(Unreadable::Damaged));
    assert_eq!(Table::read(b"", TEXT).err(), Some(Unreadable::Damaged));
}

/// Cut or flipped anywhere: refused, or read without harm.
#[test]
fn damage_does_no_harm() {
    for layout in [Layout::Go116, Layout::Go118] {
        let good = table(layout, true, TEXT);
        for end in 0..good.len() {
            if let Ok(table) = Table::read(&good[..end], TEXT) {
                table.find(READ_WRITE);
            }
        }
        for at in 0..good.len() {
            for flip in [0x01, 0x80, 0xff] {
                let mut bytes = good.clone();
                bytes[at] ^= flip;
                if let Ok(table) = Table::read(&bytes, TEXT) {
                    table.find(READ_WRITE);
                }
            }
        }
    }
}
