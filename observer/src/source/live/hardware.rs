//! What the kernel side has counted of block devices, waiting components, network devices and machine checks.

use std::collections::BTreeMap;

use aya::{
    Ebpf,
    maps::{HashMap, MapData},
};
use observer_ebpf::{
    Family,
    wire::hardware::{Block, Check, MAX_LINK, Syncing},
};
use zerocopy::{FromBytes, IntoBytes};

use super::{Live, LoadError, maps::take};
use crate::probes::hardware::{BLOCK, MACHINE_CHECK, SYNC, TRANSMIT};

/// As aya wants them: plain words.
type BlockWords = [u64; size_of::<Block>() / 8];
type SyncingWords = [u64; size_of::<Syncing>() / 8];
type CheckWords = [u32; size_of::<Check>() / 4];

pub struct Hardware {
    block: HashMap<MapData, u32, BlockWords>,
    syncing: HashMap<MapData, u32, SyncingWords>,
    timed_out: HashMap<MapData, [u8; MAX_LINK], u64>,
    checked: HashMap<MapData, CheckWords, u64>,
}

/// Counts since the programs were attached. `None`: what counts them is not attached.
#[derive(Clone, Debug, Default)]
pub struct Counted {
    /// By the device's number.
    pub block: Option<BTreeMap<u32, Block>>,
    /// By process.
    pub syncing: Option<BTreeMap<u32, Syncing>>,
    pub timed_out: Option<BTreeMap<String, u64>>,
    /// By CPU, bank, and whether it was not corrected.
    pub checked: Option<BTreeMap<(u32, u16, bool), u64>>,
}

impl Hardware {
    pub fn take(ebpf: &mut Ebpf) -> Result<Self, LoadError> {
        Ok(Self {
            block: HashMap::try_from(take(ebpf, "BLOCK")?)?,
            syncing: HashMap::try_from(take(ebpf, "SYNCING")?)?,
            timed_out: HashMap::try_from(take(ebpf, "TIMED_OUT")?)?,
            checked: HashMap::try_from(take(ebpf, "CHECKED")?)?,
        })
    }
}

impl Live {
    pub fn hardware(&self) -> Counted {
        let plan = self.plans.iter().find(|plan| plan.family == Family::Hardware);
        let hooks = plan.map(|plan| plan.hooks.as_slice()).unwrap_or_default();
        let counts = |name: &str| hooks.iter().any(|hook| hook.name == name && hook.rung.is_some());
        let of = &self.hardware;
        Counted {
            block: counts(BLOCK).then(|| {
                let all = of.block.iter().filter_map(Result::ok);
                all.filter_map(|(device, words)| {
                    Some((device, Block::read_from_bytes(words.as_bytes()).ok()?))
                })
                .collect()
            }),
            syncing: SYNC.into_iter().all(counts).then(|| {
                let all = of.syncing.iter().filter_map(Result::ok);
                all.filter_map(|(tgid, words)| Some((tgid, Syncing::read_from_bytes(words.as_bytes()).ok()?)))
                    .collect()
            }),
            timed_out: counts(TRANSMIT).then(|| {
                of.timed_out.iter().filter_map(Result::ok).map(|(name, count)| (text(&name), count)).collect()
            }),
            checked: counts(MACHINE_CHECK).then(|| {
                let all = of.checked.iter().filter_map(Result::ok);
                all.filter_map(|(words, count)| {
                    let Check { cpu, bank, uncorrected } = Check::read_from_bytes(words.as_bytes()).ok()?;
                    Some(((cpu, bank, uncorrected != 0), count))
                })
                .collect()
            }),
        }
    }

    /// Counts nothing more of a process that has not waited for long, or is not there any more.
    pub fn forget_syncing(&mut self, tgid: u32) {
        let _ = self.hardware.syncing.remove(&tgid);
    }
}

/// A name in the kernel's structures.
pub fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}
