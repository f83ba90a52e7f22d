//! The function table of a hostile Go program.
#![no_main]

use libfuzzer_sys::fuzz_target;
use observer::probes::tls::{GO, pclntab::Table};

fuzz_target!(|bytes: &[u8]| {
    let Ok(table) = Table::read(bytes, 0x40_1000) else { return };
    for extent in table.find([GO[0].entry.symbol, GO[1].entry.symbol]).into_iter().flatten() {
        assert!(extent.begin < extent.end);
    }
});
