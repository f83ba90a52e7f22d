//! Counters of followed containers: what each wrote to its streams, what was taken out of its pipes. User
//! space reads them; nothing travels per write.

use core::intrinsics::{AtomicOrdering, atomic_xadd};

use aya_ebpf::{
    bindings::BPF_NOEXIST,
    macros::map,
    maps::{Array, HashMap},
};
use observer_ebpf::{
    Family,
    wire::stdio::{Object, Pipe, PipeState, Stream, StreamKey, Written},
};

use crate::{
    emit::{lose, now},
    files,
    kernel::Reader,
};

/// Entries go when the container's init ends.
#[map]
static STREAMS: HashMap<StreamKey, Stream> = HashMap::with_max_entries(32_768, 0);

/// What the descriptors 1 and 2 of an init referred to at its start. Entries go when it ends.
#[map]
static GIVEN: HashMap<u32, [Object; 2]> = HashMap::with_max_entries(16_384, 0);

/// By inode number. Entries go when user space has done with them.
#[map]
static PIPES: HashMap<u64, Pipe> = HashMap::with_max_entries(32_768, 0);

/// Non-zero: the pipe functions themselves are hooked, and syscalls must not count pipes again.
#[map]
static PIPES_HOOKED: Array<u32> = Array::with_max_entries(1, 0);

pub const NOTHING: Written = Written { bytes: 0, first_ns: 0, last_ns: 0, broken: 0 };

#[inline(always)]
pub fn pipes_are_hooked() -> bool {
    PIPES_HOOKED.get(0).copied().unwrap_or(0) != 0
}

/// How a call gets at what is in a pipe.
#[derive(Clone, Copy, PartialEq)]
pub enum By {
    /// By the pipe's own functions, which may be hooked themselves.
    Bytes,
    /// Past them: whole pages change hands (splice, tee, vmsplice; sendfile into a pipe since Linux 5.12).
    Pages,
}

impl By {
    #[inline(always)]
    pub fn is_counted_elsewhere(self) -> bool {
        self == By::Bytes && pipes_are_hooked()
    }
}

/// From now on these are the streams of the container with this init.
#[inline(always)]
pub fn give(init: u32, objects: &[Object; 2], inodes: [u64; 2]) {
    if let Some(before) = GIVEN.get_ptr(init) {
        // SAFETY: map values outlive the program run.
        let before = unsafe { *before };
        for object in before {
            if object.ino != objects[0].ino && object.ino != objects[1].ino {
                let _ = STREAMS.remove(StreamKey { ino: object.ino, init, pad: 0 });
            }
        }
    }
    counted(GIVEN.insert(init, objects, 0).is_ok());
    for n in 0..2 {
        follow(init, objects[n], inodes[n]);
    }
}

#[inline(always)]
fn follow(init: u32, object: Object, inode: u64) {
    if inode == 0 {
        return;
    }
    let key = StreamKey { ino: object.ino, init, pad: 0 };
    let stream = Stream { inode, written: NOTHING };
    // Both descriptors may refer to it, and init is looked at more than once.
    let inserted = STREAMS.insert(key, &stream, u64::from(BPF_NOEXIST)).is_ok();
    counted(inserted || STREAMS.get_ptr(key).is_some());
    let mut reader = Reader::new();
    if files::is_pipe(inode, &mut reader) {
        use_pipe(inode, object.ino, 1);
    }
}

#[inline(always)]
fn use_pipe(inode: u64, ino: u64, users: u32) {
    if let Some(pipe) = PIPES.get_ptr_mut(ino) {
        // SAFETY: map values outlive the program run; whole words only are set.
        unsafe { (*pipe).users += users };
        return;
    }
    let pipe = Pipe { inode, taken: 0, reader: 0, users, told: 0, pad: 0 };
    let inserted = PIPES.insert(ino, &pipe, u64::from(BPF_NOEXIST)).is_ok();
    counted(inserted || PIPES.get_ptr(ino).is_some());
}

/// A runtime has this open: its container may be given it.
#[inline(always)]
pub fn expect(inode: u64, reader: &mut Reader) {
    if files::is_pipe(inode, reader) {
        use_pipe(inode, files::ino(inode, reader), 0);
    }
}

/// A runtime ends: what no container was given is not followed.
#[inline(always)]
pub fn expect_no_more(inode: u64, reader: &mut Reader) {
    let ino = files::ino(inode, reader);
    // SAFETY: map values outlive the program run.
    if PIPES.get_ptr(ino).is_some_and(|pipe| unsafe { (*pipe).users == 0 }) {
        let _ = PIPES.remove(ino);
    }
}

#[inline(always)]
fn counted(kept: bool) {
    if !kept {
        lose(Family::Stdio as u16);
    }
}

/// The objects that an init was given; `None`: it is not followed.
#[inline(always)]
pub fn given(init: u32) -> Option<[Object; 2]> {
    // SAFETY: map values outlive the program run.
    GIVEN.get_ptr(init).map(|given| unsafe { *given })
}

/// What the container wrote to one of its streams; `None`: there was no room to count it.
#[inline(always)]
pub fn written(init: u32, ino: u64) -> Option<Written> {
    let stream = STREAMS.get_ptr(StreamKey { ino, init, pad: 0 });
    // SAFETY: as above.
    stream.map(|stream| unsafe { (*stream).written })
}

/// Nothing of this container is counted any more.
#[inline(always)]
pub fn forget(init: u32, given: &[Object; 2]) {
    for object in given {
        let _ = STREAMS.remove(StreamKey { ino: object.ino, init, pad: 0 });
    }
    let _ = GIVEN.remove(init);
}

/// A process of the container wrote `bytes` to an object, or `None`: nobody reads it. Says whether that is a stream
/// of the container.
#[inline(always)]
pub fn wrote(init: u32, inode: u64, bytes: Option<u64>, reader: &mut Reader) -> bool {
    let ino = files::ino(inode, reader);
    let Some(stream) = STREAMS.get_ptr_mut(StreamKey { ino, init, pad: 0 }) else { return false };
    // SAFETY: map values outlive the program run. Processes of a container count at once: what is added up is
    // added atomically, and times may be those of either.
    unsafe {
        if (*stream).inode != inode {
            return false;
        }
        let written = &raw mut (*stream).written;
        let Some(bytes) = bytes else {
            add(&raw mut (*written).broken, 1);
            return true;
        };
        add(&raw mut (*written).bytes, bytes);
        (*written).last_ns = now();
        if (*written).first_ns == 0 {
            (*written).first_ns = (*written).last_ns;
        }
    }
    true
}

/// Whether an object is a stream of the container.
#[inline(always)]
pub fn is_stream(init: u32, inode: u64, reader: &mut Reader) -> bool {
    let stream = STREAMS.get_ptr(StreamKey { ino: files::ino(inode, reader), init, pad: 0 });
    // SAFETY: as in `wrote`.
    stream.is_some_and(|stream| unsafe { (*stream).inode == inode })
}

/// Process `by` took bytes out of a pipe.
#[inline(always)]
pub fn took(by: u32, inode: u64, bytes: u64, reader: &mut Reader) {
    let ino = files::ino(inode, reader);
    let Some(pipe) = PIPES.get_ptr_mut(ino) else { return };
    // SAFETY: as in `wrote`.
    unsafe {
        if (*pipe).inode == inode {
            add(&raw mut (*pipe).taken, bytes);
            (*pipe).reader = by;
        }
    }
}

/// Whether this is a followed pipe of which `by` was not told; then it is its reader from now on.
#[inline(always)]
pub fn read_by(by: u32, inode: u64, ino: u64) -> bool {
    let Some(pipe) = PIPES.get_ptr_mut(ino) else { return false };
    // SAFETY: as in `wrote`.
    unsafe {
        if (*pipe).inode != inode || (*pipe).told == by {
            return false;
        }
        (*pipe).reader = by;
        (*pipe).told = by;
    }
    true
}

/// A followed pipe as it is now.
#[inline(always)]
pub fn pipe(ino: u64, reader: &mut Reader) -> PipeState {
    let Some(pipe) = PIPES.get_ptr(ino) else { return PipeState::default() };
    // SAFETY: map values outlive the program run.
    let Pipe { inode, taken, reader: by, .. } = unsafe { *pipe };
    PipeState { taken, reader: by, ..files::pipe(inode, ino, reader) }
}

/// Who waits for room in a followed pipe.
#[inline(always)]
pub fn waiter(ino: u64) -> u64 {
    let Some(pipe) = PIPES.get_ptr(ino) else { return 0 };
    // SAFETY: map values outlive the program run.
    files::waiter(unsafe { (*pipe).inode }, ino)
}

#[inline(always)]
unsafe fn add(counter: *mut u64, amount: u64) {
    // SAFETY: left to the caller.
    unsafe { atomic_xadd::<u64, u64, { AtomicOrdering::Relaxed }>(counter, amount) };
}
