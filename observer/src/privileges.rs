//! Rights that the observer has no use for any more once it has attached, given up for good: of a root that was let in,
//! what is left can look, and little else. Rights belong to threads: each one that is made sees to its own.
//!
//! Never more than there was: rights are only taken away here.

use std::{
    fs, io,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
};

pub use rustix::thread::CapabilitySet;
use rustix::thread::{
    CapabilitySets, capabilities, clear_ambient_capability_set, remove_capability_from_bounding_set,
    set_capabilities, set_no_new_privs,
};

/// No right at all: for threads that only compute, and talk to others.
pub const NONE: CapabilitySet = CapabilitySet::empty();

/// Leaves this thread, and whatever it starts from now on, none but the `wanted` ones of its rights.
///
/// # Errors
/// What the kernel refused. It refuses nobody to have less, unless system calls are filtered.
pub fn keep(wanted: CapabilitySet) -> io::Result<()> {
    let held = capabilities(None)?;
    // A program that is executed gets none back either: by its owner, its mode or its file's rights.
    set_no_new_privs(true)?;
    clear_ambient_capability_set()?;
    if held.effective.contains(CapabilitySet::SETPCAP) {
        for one in CapabilitySet::all().iter().filter(|one| !wanted.contains(*one)) {
            // Those that this kernel does not know cannot be taken away.
            let _ = remove_capability_from_bounding_set(one);
        }
    }
    let permitted = held.permitted & wanted;
    let sets = CapabilitySets { effective: permitted, permitted, inheritable: NONE };
    Ok(set_capabilities(None, sets)?)
}

/// The same where there is nobody to tell that it was refused: such a thread goes on as it is.
pub fn keep_only(wanted: CapabilitySet) {
    let _ = keep(wanted);
}

/// What is kept to attach to libraries that are found later, and to read on of processes of others. `chroots`: runtimes
/// are asked for their version inside another root.
#[cfg(feature = "edges")]
pub fn to_watch(chroots: bool) -> CapabilitySet {
    let mut wanted = CapabilitySet::BPF
        | CapabilitySet::PERFMON
        | CapabilitySet::SYS_PTRACE
        | CapabilitySet::DAC_READ_SEARCH;
    if chroots {
        wanted |= CapabilitySet::SYS_CHROOT;
    }
    let held = capabilities(None).map_or(NONE, |held| held.permitted);
    let stands_for_both = !held.contains(CapabilitySet::BPF | CapabilitySet::PERFMON);
    if stands_for_both || !may_attach_to_libraries(held - CapabilitySet::SYS_ADMIN) {
        wanted |= CapabilitySet::SYS_ADMIN;
    }
    wanted
}

/// Whether uprobes may be made with these of our rights. CAP_PERFMON was enough from Linux 5.8 on; 6.16, and what is
/// maintained of the versions before it, ask for CAP_SYS_ADMIN again: only trying tells.
#[cfg(feature = "edges")]
pub fn may_attach_to_libraries(rights: CapabilitySet) -> bool {
    let kind = fs::read_to_string("/sys/bus/event_source/devices/uprobe/type").ok();
    let Some(kind) = kind.and_then(|kind| kind.trim().parse::<u32>().ok()) else { return false };
    let tried = std::thread::spawn(move || {
        keep_only(rights);
        // An event of that type at no place in no file: refused at any rate, and by what for tells who may.
        let mut attributes = [0_u8; 112];
        attributes[..4].copy_from_slice(&kind.to_ne_bytes());
        attributes[4..8].copy_from_slice(&112_u32.to_ne_bytes());
        // SAFETY: the kernel reads as many bytes as they say that they are; nothing is made of them.
        let made = unsafe { libc::syscall(libc::SYS_perf_event_open, attributes.as_ptr(), -1, 0, -1, 0) };
        made == -1 && io::Error::last_os_error().raw_os_error() == Some(libc::EINVAL)
    });
    tried.join().unwrap_or(false)
}

/// What is kept to write to these paths later: nothing, unless one lies where only this right lets root write.
pub fn to_write<'a>(paths: impl IntoIterator<Item = &'a Path>) -> CapabilitySet {
    if paths.into_iter().all(is_ours) {
        NONE
    } else {
        CapabilitySet::DAC_OVERRIDE | CapabilitySet::DAC_READ_SEARCH
    }
}

/// Whether its owner's rights are enough for what is there of a path, and for the folder that it is made in.
fn is_ours(path: &Path) -> bool {
    let of = |path: &Path| fs::metadata(if path.as_os_str().is_empty() { Path::new(".") } else { path });
    let may_write = |found: &fs::Metadata| {
        let owner = if found.is_dir() { 0o300 } else { 0o200 };
        found.uid() == rustix::process::geteuid().as_raw() && found.permissions().mode() & owner == owner
    };
    let itself = of(path).ok();
    let folder = path.ancestors().skip(1).find_map(|path| of(path).ok());
    itself.iter().chain(&folder).all(may_write)
}

#[cfg(all(test, feature = "edges"))]
mod tests {
    use std::{fs::Permissions, thread};

    use super::*;

    #[test]
    fn a_thread_has_what_it_kept_and_others_have_what_they_had() {
        let before = capabilities(None).unwrap();
        thread::spawn(move || {
            keep(CapabilitySet::SYS_PTRACE).unwrap();
            let after = capabilities(None).unwrap();
            let left = before.permitted & CapabilitySet::SYS_PTRACE;
            assert_eq!((after.effective, after.permitted, after.inheritable), (left, left, NONE));
            assert!(rustix::thread::no_new_privs().unwrap());
            // What was given up does not come back.
            keep(CapabilitySet::all()).unwrap();
            assert_eq!(capabilities(None).unwrap().permitted, left);
        })
        .join()
        .unwrap();
        assert_eq!(capabilities(None).unwrap(), before);
    }

    #[test]
    fn without_a_right_no_library_can_be_attached_to() {
        assert!(!may_attach_to_libraries(NONE));
        let held = capabilities(None).unwrap().permitted;
        // What is enough without CAP_SYS_ADMIN is enough with it.
        assert!(may_attach_to_libraries(held) || !may_attach_to_libraries(held - CapabilitySet::SYS_ADMIN));
    }

    #[test]
    fn what_is_our_own_is_written_without_a_right() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("page.html");
        assert_eq!(to_write([file.as_path(), &folder.path().join("not/there/yet")]), NONE);
        fs::write(&file, "").unwrap();
        assert_eq!(to_write([file.as_path()]), NONE);
        fs::set_permissions(&file, Permissions::from_mode(0o400)).unwrap();
        assert!(to_write([file.as_path()]).contains(CapabilitySet::DAC_OVERRIDE));
    }

    #[test]
    fn where_others_own_the_folder_the_right_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let nobody = Some(rustix::fs::Uid::from_raw(65_534));
        if rustix::fs::chown(folder.path(), nobody, None).is_err() {
            return crate::skips::skip("where_others_own_the_folder_the_right_is_kept", "needs root");
        }
        let recording = folder.path().join("recording/");
        assert!(to_write([recording.as_path()]).contains(CapabilitySet::DAC_OVERRIDE));
    }
}
