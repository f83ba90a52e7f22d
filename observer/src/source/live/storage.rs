//! What the kernel side has counted of calls that failed, as far as no record has told it.

use aya::{
    Ebpf,
    maps::{HashMap, MapData},
};
use observer_ebpf::wire::storage::{Alike as WireAlike, Counted};
use zerocopy::{FromBytes, IntoBytes};

use super::{Live, LoadError, maps::take};
use crate::{
    input::{Alike, Device},
    probes::storage::Op,
    time::Time,
};

/// Key and value as aya wants them: plain words.
type AlikeWords = [u32; size_of::<WireAlike>() / 4];
type CountedWords = [u64; size_of::<Counted>() / 8];

pub struct Failures {
    counted: HashMap<MapData, AlikeWords, CountedWords>,
}

impl Failures {
    pub fn take(ebpf: &mut Ebpf) -> Result<Self, LoadError> {
        Ok(Self { counted: HashMap::try_from(take(ebpf, "FAILED")?)? })
    }
}

impl Live {
    /// What has failed since it was last told, of kinds that have not failed for as long as this. They are counted anew
    /// from now on: what fails at this very moment may be missed.
    pub fn untold_failures(&mut self, now: Time, idle_ns: u64) -> Vec<(Alike, u64)> {
        let counted = &mut self.failures.counted;
        let all: Vec<(AlikeWords, CountedWords)> = counted.iter().filter_map(Result::ok).collect();
        let mut untold = Vec::new();
        for (key, words) in all {
            let Ok(value) = Counted::read_from_bytes(words.as_bytes()) else { continue };
            if now.0.saturating_sub(value.last_ns) < idle_ns || counted.remove(&key).is_err() {
                continue;
            }
            let more = value.count.saturating_sub(value.told);
            untold.extend(alike(&key).filter(|_| more > 0).map(|alike| (alike, more)));
        }
        untold
    }
}

fn alike(words: &AlikeWords) -> Option<Alike> {
    let WireAlike { who, op, errno, device } = WireAlike::read_from_bytes(words.as_bytes()).ok()?;
    let op = Op::of(u32::from(op)).ok()?;
    Some(Alike { who, op, errno: i32::from(errno), device: Device::of(device) })
}
