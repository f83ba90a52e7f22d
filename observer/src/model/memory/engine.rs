//! What the result codes of engines mean. Of WasmEdge, whose numbers are part of its interface (`enum.inc`, the same
//! from 0.11 to 0.17).

/// The lower 24 bits are the code, above them is its category.
const CODE: u32 = 0x00ff_ffff;

/// Whether the module itself did what it may not, rather than being unfit to run.
pub const fn is_trap(code: u32) -> bool {
    code & CODE >= 0x400 && code & CODE < 0x500
}

/// Why a module ended, in words.
pub fn reason(code: u32) -> String {
    let text = match code & CODE {
        0x100 => "invalid path",
        0x102 => "unexpected end",
        0x103 => "magic header not detected",
        0x105 => "malformed section",
        0x302 => "unknown import",
        0x303 => "data segment does not fit",
        0x404 => "integer divide by zero",
        0x405 => "integer overflow",
        0x407 => "out of bounds table access",
        0x408 => "out of bounds memory access",
        0x40a => "unreachable",
        0x40b | 0x40c => "undefined or uninitialized element",
        0x40d => "indirect call type mismatch",
        0x410 => "unaligned atomic",
        0x419 => "uncaught exception",
        other => match other >> 8 {
            1 => "the module cannot be loaded",
            2 => "the module is not valid",
            3 => "the module cannot be instantiated",
            _ => "the module failed",
        },
    };
    format!("WasmEdge: {text} ({code:#x})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_names() {
        assert_eq!(reason(0x408), "WasmEdge: out of bounds memory access (0x408)");
        assert_eq!(reason(0x2ff), "WasmEdge: the module is not valid (0x2ff)");
        assert_eq!(reason(u32::MAX), "WasmEdge: the module failed (0xffffffff)");
        assert_eq!((is_trap(0x40a), is_trap(0x302), is_trap(0x0100_0408)), (true, false, true));
    }
}
