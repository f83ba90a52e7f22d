//! Why this kernel drops packets: its own numbers for the reasons that are of interest.

use aya::{
    Ebpf,
    maps::{Array, MapData},
};
use observer_ebpf::wire::net::{MAX_REASONS, reason};

use super::{LoadError, btf::KernelTypes, maps::take};
use crate::probes::net::{OF_A_RULE, REASONS};

/// What the kernel's names of reasons begin with.
const PREFIX: &str = "SKB_DROP_REASON_";

/// Reasons by number.
pub struct DropReasons {
    named: Vec<(u32, String)>,
    // The program refers to it by its descriptor until it is loaded.
    _wanted: Array<MapData, u32>,
}

impl DropReasons {
    /// Tells the program which reasons are wanted, before anything is attached.
    pub fn take(ebpf: &mut Ebpf, types: Option<&KernelTypes>) -> Result<Self, LoadError> {
        let mut wanted: Array<MapData, u32> = Array::try_from(take(ebpf, "REASONS")?)?;
        let all = types.map(|types| types.enumerators("skb_drop_reason")).unwrap_or_default();
        let named = all.into_iter().filter_map(|(number, name)| {
            let name = name.strip_prefix(PREFIX)?;
            (number < MAX_REASONS && REASONS.contains(&name)).then(|| (number, name.to_owned()))
        });
        let named: Vec<(u32, String)> = named.collect();
        for (number, name) in &named {
            let value = if name == OF_A_RULE { reason::OF_A_RULE } else { reason::WANTED };
            wanted.set(*number, value, 0)?;
        }
        Ok(Self { named, _wanted: wanted })
    }

    pub fn named(&self) -> &[(u32, String)] {
        &self.named
    }
}
