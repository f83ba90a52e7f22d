//! Export requests in protobuf: whatever they are, what is selected of them is what was in them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use observer::{
    span::{parcel, reduce},
    time::Time,
};

/// Of one text, bytes; of one span, pairs.
const MAX_TEXT: usize = 256;
const MAX_PAIRS: usize = 32;

fuzz_target!(|bytes: &[u8]| {
    let mut records = Vec::new();
    let result = parcel::each(bytes, |record| {
        if let Ok(span) = reduce::span(&record, Time(1)) {
            let pairs = [&span.attributes, &span.resource];
            assert!(pairs.iter().all(|pairs| pairs.len() <= MAX_PAIRS));
            let texts = pairs.into_iter().flatten().map(|(_, text)| text);
            assert!(texts.chain([&span.name, &span.scope, &span.state]).all(|text| text.len() <= MAX_TEXT));
            assert!(span.trace != [0; 16] && span.id != [0; 8]);
        }
        records.push(record.record.to_vec());
    });
    for limit in [0, 64, usize::MAX] {
        let parts = parcel::select(bytes, limit, |_| true);
        assert_eq!(parts.is_ok(), result.is_ok());
        let Ok(parts) = parts else { continue };
        let mut again = Vec::new();
        for part in &parts {
            let before = again.len();
            parcel::each(&part.request, |record| again.push(record.record.to_vec())).expect("made by us");
            assert_eq!(again.len() - before, part.records as usize);
        }
        assert_eq!(again, records);
    }
});
