//! A request's body: read to a limit, and decompressed to the same.

use std::{io::Read, sync::Arc};

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::intake::Refusal;

/// Longest request, as it came and as it is when decompressed; bytes.
pub(super) const MAX_BODY: usize = 16 << 20;
/// All that is held of all requests at once; bytes.
pub(super) const MAX_HELD: usize = 64 << 20;
/// What a zstd frame may ask to remember; 8 MiB is what every decoder has to grant.
const MAX_ZSTD_WINDOW: u64 = 8 << 20;

/// Memory that requests under way take, of what all may take.
pub(super) struct Held {
    pool: Arc<Semaphore>,
    permit: Option<OwnedSemaphorePermit>,
}

impl Held {
    pub(super) fn of(pool: &Arc<Semaphore>) -> Self {
        Held { pool: Arc::clone(pool), permit: None }
    }

    fn grow(&mut self, bytes: usize) -> Result<(), Refusal> {
        const FULL: Refusal = Refusal::Busy("too much is being received at once");
        let bytes = u32::try_from(bytes).map_err(|_| FULL)?;
        let more = Arc::clone(&self.pool).try_acquire_many_owned(bytes).map_err(|_| FULL)?;
        match &mut self.permit {
            Some(permit) => permit.merge(more),
            None => self.permit = Some(more),
        }
        Ok(())
    }
}

fn too_large() -> Refusal {
    Refusal::TooLarge(format!("a request has at most {} MiB; send smaller batches", MAX_BODY >> 20))
}

/// All of the body, as it came. One that is too long is heard to its end, and forgotten: who is hung up on before has
/// no answer, and tries again.
pub(super) async fn read(mut body: Incoming, held: &mut Held) -> Result<Vec<u8>, Refusal> {
    let mut bytes = Ok(Vec::new());
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|why| Refusal::Malformed(format!("the body ended early: {why}")))?;
        let Ok(data) = frame.into_data() else { continue };
        if let Ok(before) = &mut bytes
            && let Err(refusal) = append(before, &data, held)
        {
            bytes = Err(refusal);
            held.permit = None;
        }
    }
    bytes
}

/// A body that nobody wants, to its end.
pub(super) async fn pass_over(mut body: Incoming) {
    while let Some(Ok(_)) = body.frame().await {}
}

fn append(bytes: &mut Vec<u8>, data: &Bytes, held: &mut Held) -> Result<(), Refusal> {
    if bytes.len() + data.len() > MAX_BODY {
        return Err(too_large());
    }
    held.grow(data.len())?;
    bytes.extend_from_slice(data);
    Ok(())
}

/// What the bytes are without their compression, by its name.
pub(super) fn decompress(encoding: &str, bytes: Vec<u8>, held: &mut Held) -> Result<Vec<u8>, Refusal> {
    match encoding {
        "" | "identity" => Ok(bytes),
        "gzip" => read_all(flate2::read::MultiGzDecoder::new(bytes.as_slice()), held),
        "zstd" => {
            if zstd_window(&bytes).is_none_or(|window| window > MAX_ZSTD_WINDOW) {
                return Err(Refusal::Malformed(
                    "the body is no zstd frame of a window that is granted".to_owned(),
                ));
            }
            let decoder = ruzstd::decoding::StreamingDecoder::new(bytes.as_slice());
            read_all(decoder.map_err(|_| Refusal::Malformed("the body is not zstd".to_owned()))?, held)
        }
        _ => Err(Refusal::Malformed("compressions known are gzip and zstd".to_owned())),
    }
}

fn read_all(mut from: impl Read, held: &mut Held) -> Result<Vec<u8>, Refusal> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 64 << 10];
    loop {
        match from.read(&mut chunk) {
            Ok(0) => return Ok(bytes),
            Ok(len) => {
                if bytes.len() + len > MAX_BODY {
                    return Err(too_large());
                }
                held.grow(len)?;
                bytes.extend_from_slice(&chunk[..len]);
            }
            Err(_) => return Err(Refusal::Malformed("the body cannot be decompressed".to_owned())),
        }
    }
}

/// How much a frame asks its reader to remember (RFC 8878, 3.1.1.1).
fn zstd_window(frame: &[u8]) -> Option<u64> {
    let rest = frame.strip_prefix(&[0x28, 0xb5, 0x2f, 0xfd])?;
    let (descriptor, rest) = rest.split_first()?;
    if descriptor & 0x20 == 0 {
        let window = *rest.first()?;
        let base = 1u64 << (10 + (window >> 3));
        return Some(base + base / 8 * u64::from(window & 7));
    }
    // A single segment: all of the content is remembered.
    let dictionary = [0, 1, 2, 4][usize::from(descriptor & 3)];
    let len = [1, 2, 4, 8][usize::from(descriptor >> 6)];
    let size = rest.get(dictionary..dictionary + len)?;
    let size = size.iter().rev().fold(0u64, |size, byte| size << 8 | u64::from(*byte));
    // Two bytes begin to count at 256; what is larger than any body is found out as it is read.
    Some((if len == 2 { size + 256 } else { size }).min(if size <= MAX_BODY as u64 {
        MAX_ZSTD_WINDOW
    } else {
        size
    }))
}

#[cfg(test)]
mod tests;
