//! Standard streams of followed containers: what was counted of them, and what their pipes hold now.

use std::io::Read;

use aya::{
    Ebpf,
    maps::{Array, HashMap, MapData},
    programs::{Iter, RawTracePoint, RawTracePointRunOptions, TestRun},
};
use observer_ebpf::wire::stdio::{Pipe, PipeState as WireState, Stream, StreamKey};
use zerocopy::{FromBytes, IntoBytes};

use super::{
    LoadError,
    attach::{explain, program_mut},
    maps::take,
};
use crate::probes::stdio::{PipeState, Written, pipe_state, waiter, written};

/// The wire's types as aya wants keys and values: plain words.
type KeyWords = [u64; size_of::<StreamKey>() / 8];
type StreamWords = [u64; size_of::<Stream>() / 8];
type PipeWords = [u64; size_of::<Pipe>() / 8];
type StateWords = [u64; size_of::<WireState>() / 8];

/// Maps of the kernel's counters.
pub struct Streams {
    streams: HashMap<MapData, KeyWords, StreamWords>,
    pipes: HashMap<MapData, u64, PipeWords>,
    sampled: Array<MapData, StateWords>,
    waiter: Array<MapData, u64>,
    pipes_hooked: Array<MapData, u32>,
}

impl Streams {
    pub fn take(ebpf: &mut Ebpf) -> Result<Self, LoadError> {
        Ok(Self {
            streams: HashMap::try_from(take(ebpf, "STREAMS")?)?,
            pipes: HashMap::try_from(take(ebpf, "PIPES")?)?,
            sampled: Array::try_from(take(ebpf, "SAMPLED")?)?,
            waiter: Array::try_from(take(ebpf, "SAMPLED_WAITER")?)?,
            pipes_hooked: Array::try_from(take(ebpf, "PIPES_HOOKED")?)?,
        })
    }

    /// The pipe functions themselves are hooked: syscalls count nothing of pipes from here on.
    pub fn pipes_are_hooked(&mut self) {
        let _ = self.pipes_hooked.set(0, 1, 0);
    }

    /// What the container with this init wrote to an object. `None`: it is not followed (any more).
    pub fn written(&self, init: u32, ino: u64) -> Option<Written> {
        let key = StreamKey { ino, init, pad: 0 };
        let words = self.streams.get(&KeyWords::read_from_bytes(key.as_bytes()).ok()?, 0).ok()?;
        Some(written(&Stream::read_from_bytes(words.as_bytes()).ok()?.written))
    }

    /// The state of a followed pipe.
    ///
    /// # Errors
    /// When the kernel refuses to run the program: for people.
    pub fn sample(&self, ebpf: &mut Ebpf, ino: u64) -> Result<PipeState, String> {
        let program: &mut RawTracePoint = program_mut(ebpf, "sample_pipe")?;
        let mut options = RawTracePointRunOptions::new();
        options.args[0] = ino;
        program.test_run(options).map_err(|error| explain(&error))?;
        let words = self.sampled.get(&0, 0).map_err(|error| explain(&error))?;
        let state = WireState::read_from_bytes(words.as_bytes()).map_err(|_| "of another size".to_owned())?;
        let state = pipe_state(&state);
        let thread = self.waiter.get(&0, 0).map_err(|error| explain(&error))?;
        Ok(PipeState { waiter: waiter(thread).filter(|_| state.waiting), ..state })
    }

    /// Nobody is interested in this pipe any more.
    pub fn forget(&mut self, ino: u64) {
        let _ = self.pipes.remove(&ino);
    }
}

/// Lets the kernel go through all open files of the node: it reports the readers of followed pipes, and the
/// streams of containers that were there before.
///
/// # Errors
/// When the kernel refuses: for people.
pub fn look_through_open_files(ebpf: &mut Ebpf) -> Result<(), String> {
    let program: &mut Iter = program_mut(ebpf, "open_files")?;
    let id = program.attach().map_err(|error| explain(&error))?;
    let link = program.take_link(id).map_err(|error| explain(&error))?;
    let mut file = link.into_file().map_err(|error| explain(&error))?;
    let mut nothing = [0; 64];
    loop {
        match file.read(&mut nothing) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            // The kernel breaks off after a million files without output, and goes on from there.
            Err(error) if error.raw_os_error() == Some(libc::EAGAIN) => {}
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.to_string()),
        }
    }
}

/// Whether the kernel's pipe functions were hooked, by the plans made at attachment.
pub fn by_functions(plans: &[crate::health::ProbePlan]) -> bool {
    let hooks = plans.iter().flat_map(|plan| &plan.hooks);
    hooks.into_iter().any(|hook| hook.name == crate::probes::stdio::PIPE_FUNCTIONS && hook.rung.is_some())
}
