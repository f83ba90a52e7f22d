//! The Huffman code of HPACK (RFC 7541, appendix B). It is canonical: the lengths of the codes tell the codes.

/// How many bits the code of each byte has.
#[rustfmt::skip]
const LENGTHS: [u8; 256] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
];

const LONGEST: usize = 30;

/// By the length of codes: how many there are, and the first of them.
const COUNTS: [u32; LONGEST + 1] = counts();
const FIRSTS: [u32; LONGEST + 1] = firsts();
/// The bytes in the order of their codes.
const BYTES: [u8; 256] = bytes();

const fn counts() -> [u32; LONGEST + 1] {
    let mut counts = [0; LONGEST + 1];
    let mut byte = 0;
    while byte < 256 {
        counts[LENGTHS[byte] as usize] += 1;
        byte += 1;
    }
    counts
}

const fn firsts() -> [u32; LONGEST + 1] {
    let mut firsts = [0; LONGEST + 1];
    let (mut code, mut length) = (0, 1);
    while length <= LONGEST {
        code <<= 1;
        firsts[length] = code;
        code += COUNTS[length];
        length += 1;
    }
    firsts
}

const fn bytes() -> [u8; 256] {
    let mut bytes = [0; 256];
    let (mut at, mut length) = (0, 1);
    while length <= LONGEST {
        let mut byte = 0;
        while byte < 256 {
            if LENGTHS[byte] as usize == length {
                bytes[at] = byte as u8;
                at += 1;
            }
            byte += 1;
        }
        length += 1;
    }
    bytes
}

/// Unpacks text. `None`: it is none.
pub fn unpack(packed: &[u8], mut push: impl FnMut(u8)) -> Option<()> {
    let (mut code, mut length, mut before) = (0_u32, 0_usize, 0_u32);
    for bit in packed.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1)) {
        code = code << 1 | u32::from(bit);
        length += 1;
        if length > LONGEST {
            return None;
        }
        let place = code.wrapping_sub(FIRSTS[length]);
        if place < COUNTS[length] {
            push(BYTES[(before + place) as usize]);
            (code, length, before) = (0, 0, 0);
        } else {
            before += COUNTS[length];
        }
    }
    // What fills up the last byte are ones, fewer than eight.
    (length < 8 && code == (1 << length) - 1).then_some(())
}

/// For tests of what is unpacked.
#[cfg(test)]
pub fn pack(text: &[u8]) -> Vec<u8> {
    let (mut packed, mut held, mut bits) = (Vec::new(), 0_u64, 0);
    for byte in text {
        let length = LENGTHS[usize::from(*byte)] as usize;
        let (before, _) = BYTES.split_at(BYTES.iter().position(|one| one == byte).expect("a byte"));
        let place = before.iter().filter(|one| LENGTHS[usize::from(**one)] as usize == length).count() as u32;
        held = held << length | u64::from(FIRSTS[length] + place);
        bits += length;
        while bits >= 8 {
            bits -= 8;
            packed.push((held >> bits) as u8);
        }
        held &= (1 << bits) - 1;
    }
    if bits > 0 {
        packed.push(((held << (8 - bits)) | ((1 << (8 - bits)) - 1)) as u8);
    }
    packed
}
