//! The maps through which user space steers the kernel programs, and their counters.

use aya::{
    Ebpf,
    maps::{Array, HashMap, MapData, PerCpuArray, Stack},
};
use observer_ebpf::{
    FAMILIES,
    control::{COMM_LEN, PACKET_SLOTS, SEVERAL, SLOT_COUNT, Watch, role},
};
use zerocopy::{FromBytes, IntoBytes};

use super::LoadError;

/// [`Watch`] as aya wants a map value: plain words.
type WatchWords = [u32; 4];

pub struct Maps {
    watch: HashMap<MapData, u32, WatchWords>,
    slots: Array<MapData, u32>,
    lost: PerCpuArray<MapData, [u64; FAMILIES]>,
    stopped: Array<MapData, u32>,
    shed: Array<MapData, u32>,
    // The programs refer to it by its descriptor until they are loaded.
    _names: HashMap<MapData, [u8; COMM_LEN], u32>,
    _free_slots: Stack<MapData, u32>,
}

impl Maps {
    /// Takes the maps and fills in the names to watch, before anything is attached.
    pub fn take(ebpf: &mut Ebpf, names: &[([u8; COMM_LEN], u32)]) -> Result<Self, LoadError> {
        let mut by_name: HashMap<MapData, [u8; COMM_LEN], u32> = HashMap::try_from(take(ebpf, "NAMES")?)?;
        for (name, role) in names {
            by_name.insert(name, role, 0)?;
        }
        let mut free_slots: Stack<MapData, u32> = Stack::try_from(take(ebpf, "FREE_SLOTS")?)?;
        for slot in 0..PACKET_SLOTS {
            free_slots.push(slot, 0)?;
        }
        Ok(Self {
            watch: HashMap::try_from(take(ebpf, "WATCH")?)?,
            slots: Array::try_from(take(ebpf, "SLOTS")?)?,
            lost: PerCpuArray::try_from(take(ebpf, "LOST")?)?,
            stopped: Array::try_from(take(ebpf, "STOPPED")?)?,
            shed: Array::try_from(take(ebpf, "SHED")?)?,
            _names: by_name,
            _free_slots: free_slots,
        })
    }

    /// Watches a process that was there before the observer. What the kernel programs have seen of it since is
    /// younger than the snapshot, and stays.
    pub fn watch(&mut self, tgid: u32, flags: u32) -> Result<(), LoadError> {
        let watch = Watch { flags, ..Watch::default() };
        self.take_slot(tgid)?;
        match self.watch.insert(tgid, words(&watch), BPF_NOEXIST) {
            Err(_) if self.watch.get(&tgid, 0).is_ok() => Ok(()),
            result => Ok(result?),
        }
    }

    /// The kernel programs may watch another process of the same slot at this moment: it is not asked which.
    fn take_slot(&mut self, tgid: u32) -> Result<(), LoadError> {
        Ok(self.slots.set(tgid % SLOT_COUNT, SEVERAL, 0)?)
    }

    /// Whether the kernel programs have seen to which container a process belongs.
    pub fn is_of_container(&self, tgid: u32) -> bool {
        self.container_of(tgid).is_some()
    }

    /// The init of the container that a process belongs to.
    pub fn container_of(&self, tgid: u32) -> Option<u32> {
        let words = self.watch.get(&tgid, 0).ok()?;
        let watch = Watch::read_from_bytes(words.as_bytes()).ok()?;
        (watch.init != 0).then_some(watch.init)
    }

    /// Watches the init of a container that was there before, and from now on what that forks.
    pub fn watch_older(&mut self, init: u32) -> Result<(), LoadError> {
        let watch = Watch { flags: role::PAYLOAD | role::OLDER, init, ..Watch::default() };
        self.take_slot(init)?;
        Ok(self.watch.insert(init, words(&watch), 0)?)
    }

    /// Watches a process of a container that was there before.
    pub fn watch_member(&mut self, tgid: u32, init: u32) -> Result<(), LoadError> {
        let watch = Watch { flags: role::PAYLOAD, init, ..Watch::default() };
        self.take_slot(tgid)?;
        Ok(self.watch.insert(tgid, words(&watch), 0)?)
    }

    pub fn unwatch(&mut self, tgid: u32) {
        // It may have ended meanwhile, which has removed it already.
        let _ = self.watch.remove(&tgid);
    }

    /// Nothing but the end of this init is of interest from now on.
    pub fn quiet(&mut self, init: u32) {
        let Ok(now) = self.watch.get(&init, 0) else { return };
        let Ok(mut watch) = Watch::read_from_bytes(now.as_bytes()) else { return };
        watch.flags |= role::QUIET;
        watch.init = init;
        let _ = self.watch.insert(init, words(&watch), BPF_EXIST);
    }

    /// Records lost so far, per family id, all CPUs.
    pub fn lost(&self) -> [u64; FAMILIES] {
        let Ok(of_cpus) = self.lost.get(&0, 0) else { return [0; FAMILIES] };
        std::array::from_fn(|family| of_cpus.iter().map(|counters| counters[family]).sum())
    }

    /// Leaves this out from now on, and nothing else. Bits of [`observer_ebpf::control::shed`].
    pub fn shed(&mut self, bits: u32) -> Result<(), LoadError> {
        Ok(self.shed.set(0, bits, 0)?)
    }

    pub fn stop(&mut self) {
        let _ = self.stopped.set(0, 1, 0);
    }
}

/// Only if it is not there yet; only if it is still there.
const BPF_NOEXIST: u64 = 1;
const BPF_EXIST: u64 = 2;

fn words(watch: &Watch) -> WatchWords {
    [watch.flags, watch.init, watch.outputs, watch.pad]
}

pub fn take(ebpf: &mut Ebpf, name: &'static str) -> Result<aya::maps::Map, LoadError> {
    ebpf.take_map(name).ok_or(LoadError::Object(name))
}
