//! What an encoder may say, in every way it may say it, is what a library's decoder reads of it; joined late, nothing is
//! read that was not said.

use super::*;

/// Names as they are written: those looked at, and others.
const NAMES: [&str; 11] = [
    ":authority",
    ":method",
    ":path",
    ":status",
    "content-encoding",
    "content-length",
    "host",
    "user-agent",
    "authorization",
    "x-request-id",
    "accept",
];

/// Numbers that look like chance and are the same each time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end as u64) as usize
    }
}

/// An encoder with a table as the document has it, which says each header in one of the ways it may.
struct Encoder {
    table: VecDeque<(String, String)>,
    max: usize,
    numbers: Numbers,
}

impl Encoder {
    fn new(seed: u64) -> Encoder {
        Encoder { table: VecDeque::new(), max: DEFAULT_TABLE, numbers: Numbers(seed) }
    }

    fn size(&self) -> usize {
        self.table.iter().map(|(name, value)| name.len() + value.len() + OVERHEAD).sum()
    }

    fn fit(&mut self) {
        while self.size() > self.max {
            self.table.pop_back();
        }
    }

    fn text(&mut self, text: &str, out: &mut Vec<u8>) {
        if self.numbers.below(2) == 0 {
            let packed = huffman::pack(text.as_bytes());
            number(packed.len(), 7, 0x80, out);
            out.extend(packed);
        } else {
            number(text.len(), 7, 0, out);
            out.extend_from_slice(text.as_bytes());
        }
    }

    fn header(&mut self, name: &str, value: &str, out: &mut Vec<u8>) {
        let whole = self.table.iter().position(|(one, of)| (one.as_str(), of.as_str()) == (name, value));
        if let Some(at) = whole.filter(|_| self.numbers.below(4) > 0) {
            return number(FIXED + 1 + at, 7, 0x80, out);
        }
        let known = self.table.iter().position(|(one, _)| one == name).map(|at| FIXED + 1 + at);
        let fixed = (1..=FIXED).find(|at| match fixed(*at) {
            Some((which @ Which::One(_), _)) => which == named(name.as_bytes()),
            _ => false,
        });
        let index = match self.numbers.below(3) {
            0 => known.or(fixed),
            1 => fixed.or(known),
            _ => None,
        };
        let (bits, first) = [(6, 0x40), (6, 0x40), (4, 0), (4, 0x10)][self.numbers.below(4)];
        number(index.unwrap_or(0), bits, first, out);
        if index.is_none() {
            self.text(name, out);
        }
        self.text(value, out);
        if first == 0x40 {
            self.table.push_front((name.to_owned(), value.to_owned()));
            self.fit();
        }
    }

    /// A block, and what it says.
    fn block(&mut self) -> (Vec<u8>, Vec<(String, String)>) {
        let (mut out, mut said) = (Vec::new(), Vec::new());
        if self.numbers.below(20) == 0 {
            self.max = [0, 100, 1_000, DEFAULT_TABLE][self.numbers.below(4)];
            number(self.max, 5, 0x20, &mut out);
            self.fit();
        }
        for _ in 0..=self.numbers.below(8) {
            let name = NAMES[self.numbers.below(NAMES.len())];
            let len = [3, 3, 20, 300][self.numbers.below(4)];
            // Few values, so that many come again.
            let value = char::from(b' ' + self.numbers.below(12) as u8 * 7).to_string().repeat(len);
            self.header(name, &value, &mut out);
            said.push((name.to_owned(), value));
        }
        (out, said)
    }
}

fn number(value: usize, bits: u32, first: u8, out: &mut Vec<u8>) {
    let most = (1 << bits) - 1;
    if value < most {
        return out.push(first | value as u8);
    }
    out.push(first | most as u8);
    let mut rest = value - most;
    while rest >= 128 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

fn looked_at(said: &[(String, String)]) -> Vec<(Name, Vec<u8>)> {
    let one = |(name, value): &(String, String)| match named(name.as_bytes()) {
        Which::One(name) => Some((name, value.as_bytes().to_vec())),
        _ => None,
    };
    said.iter().filter_map(one).collect()
}

#[test]
fn what_is_said_is_read_as_a_library_reads_it() {
    for seed in 1..40 {
        let (mut encoder, mut decoder) = (Encoder::new(seed), Decoder::default());
        let mut library = loona_hpack::Decoder::new();
        for n in 0..200 {
            let (bytes, said) = encoder.block();
            let by_library = library.decode(&bytes).expect("a block");
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
            let by_library: Vec<_> =
                by_library.iter().map(|(name, value)| (text(name), text(value))).collect();
            assert_eq!(by_library, said, "the encoder is one");
            let block = decoder.block(&bytes).expect("a block");
            assert_eq!((block.fields, block.unresolved), (looked_at(&said), 0), "seed {seed}, block {n}");
        }
    }
}

/// Whatever was missed: each field is the one that was said, or is counted as not resolved.
#[test]
fn joined_late_nothing_is_read_that_was_not_said() {
    let (mut resolved, mut unresolved) = (0, 0);
    for seed in 1..40 {
        let (mut encoder, mut decoder) = (Encoder::new(seed), Decoder::default());
        decoder.forget();
        for n in 0..200 {
            let (bytes, said) = encoder.block();
            // The beginning, and now and then one in between, is not seen.
            if n < 20 || n % 50 == 0 {
                decoder.forget();
                continue;
            }
            let block = decoder.block(&bytes).expect("a block");
            let mut rest = looked_at(&said).into_iter();
            for field in &block.fields {
                assert!(rest.any(|one| one == *field), "seed {seed}, block {n}: {field:?} of {said:?}");
            }
            assert!(block.fields.len() + block.unresolved >= looked_at(&said).len());
            assert!(block.fields.len() + block.unresolved <= said.len());
            resolved += block.fields.len();
            unresolved += block.unresolved;
        }
    }
    assert!(resolved > 10 * unresolved && unresolved > 100, "{resolved} {unresolved}");
}

#[test]
fn every_byte_is_packed_and_unpacked() {
    let all: Vec<u8> = (0..=255).collect();
    for text in [&all[..], b"", b"www.example.com", &[255; 9]] {
        let mut unpacked = Vec::new();
        huffman::unpack(&huffman::pack(text), |byte| unpacked.push(byte)).expect("text");
        assert_eq!(unpacked, text);
    }
    // As the document has it (C.4.1).
    let packed = [0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff];
    assert_eq!(huffman::pack(b"www.example.com"), packed);
    assert_eq!(huffman::unpack(&[0xff; 4], |_| {}), None, "its end is never said");
    assert_eq!(huffman::unpack(&[0xff], |_| {}), None, "too much to fill up a byte");
    assert_eq!(huffman::unpack(&[0], |_| {}), None, "filled up with zeros");
}

#[test]
fn what_is_no_block_is_refused_and_makes_a_late_one() {
    for bytes in [&[0x80][..], &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff], &[0xbe], &[0x40, 5, b'a'], &[0x00]] {
        let mut decoder = Decoder::default();
        assert_eq!(decoder.block(bytes), Err(Broken), "{bytes:?}");
        assert_eq!(decoder.block(&[0xbe]).map(|block| block.unresolved), Ok(1));
    }
}

#[test]
fn a_table_is_bounded_whatever_it_is_said_to_be() {
    let mut decoder = Decoder::default();
    let mut large = Vec::new();
    number(1 << 26, 5, 0x20, &mut large);
    decoder.block(&large).expect("a size");
    let entry = [&[0x40, 10][..], b"user-agent", &[100], &[b'x'; 100]].concat();
    for _ in 0..2_000 {
        decoder.block(&entry).expect("an entry");
    }
    assert!(decoder.size <= MAX_TABLE && decoder.table.len() < 600);
    let long = [&[0x40, 10][..], b"user-agent", &[0x7f, 0x81, 0x3e], &vec![b'x'; 8_064]].concat();
    let block = decoder.block(&long).expect("a long value");
    assert_eq!(block.fields[0].1.len(), MAX_VALUE);
}
