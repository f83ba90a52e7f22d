//! Bodies that are larger than they look, and those that are none.

use std::io::Write;

use super::*;

fn pool() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(MAX_HELD))
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
}

#[test]
fn what_was_compressed_is_what_it_was() {
    let text = b"spans ".repeat(100_000);
    let mut held = Held::of(&pool());
    assert_eq!(decompress("gzip", gzip(&text), &mut held).unwrap(), text);
    assert_eq!(decompress("zstd", zstd(&text), &mut held).unwrap(), text);
    assert_eq!(decompress("identity", text.clone(), &mut held).unwrap(), text);
}

#[test]
fn what_grows_beyond_the_limit_is_refused_for_good() {
    let zeros = vec![0; MAX_BODY + 1];
    for (name, bytes) in [("gzip", gzip(&zeros)), ("zstd", zstd(&zeros))] {
        assert!(bytes.len() < MAX_BODY / 100, "{name}: {}", bytes.len());
        let refused = decompress(name, bytes, &mut Held::of(&pool()));
        assert!(matches!(refused, Err(Refusal::TooLarge(_))), "{name}: {:?}", refused.map(|body| body.len()));
    }
}

#[test]
fn what_cannot_be_decompressed_is_malformed() {
    let cut = |bytes: Vec<u8>| bytes[..bytes.len() / 2].to_vec();
    let text = b"spans ".repeat(1_000);
    for (name, bytes) in [
        ("gzip", cut(gzip(&text))),
        ("zstd", cut(zstd(&text))),
        ("gzip", b"not gzip".to_vec()),
        ("zstd", b"not zstd".to_vec()),
        ("zstd", Vec::new()),
        // A window of 2 GiB.
        ("zstd", vec![0x28, 0xb5, 0x2f, 0xfd, 0, 21 << 3, 1, 0, 0]),
        ("br", text.clone()),
    ] {
        let refused = decompress(name, bytes, &mut Held::of(&pool()));
        assert!(matches!(refused, Err(Refusal::Malformed(_))), "{name}: {refused:?}");
    }
}

#[test]
fn all_requests_together_take_no_more_than_is_granted() {
    let pool = Arc::new(Semaphore::new(1_000_000));
    let text = vec![b' '; 600_000];
    let mut first = Held::of(&pool);
    decompress("gzip", gzip(&text), &mut first).unwrap();
    let mut second = Held::of(&pool);
    assert!(matches!(decompress("gzip", gzip(&text), &mut second), Err(Refusal::Busy(_))));
    drop((first, second));
    decompress("gzip", gzip(&text), &mut Held::of(&pool)).unwrap();
}
