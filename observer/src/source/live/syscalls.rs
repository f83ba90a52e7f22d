//! The exits of syscalls that one program sees and hands on: which number is which call, and to which program.

use aya::{
    Btf, Ebpf,
    maps::{MapData, ProgramArray},
    programs::{BtfTracePoint, ProgramError},
};

use super::attach::{Link, explain, load_once, program_mut};

/// The tracepoint of all exits.
pub const EXIT: &str = "sys_exit";
const DISPATCHER: &str = "syscall_exit";

/// Attaches the program that hands exits on, once.
pub fn attach_exits(ebpf: &mut Ebpf, btf: &Btf, links: &mut Vec<Link>) -> Result<(), String> {
    let program: &mut BtfTracePoint = program_mut(ebpf, DISPATCHER)?;
    match program.load(EXIT, btf) {
        Ok(()) => {}
        Err(ProgramError::AlreadyLoaded) => return Ok(()),
        Err(error) => return Err(explain(&error)),
    }
    let id = program.attach().map_err(|error| explain(&error))?;
    let link = program.take_link(id).map_err(|error| explain(&error))?;
    links.push(Link::Raw(link.into()));
    Ok(())
}

/// Loads a program that exits can be given to.
pub fn load(ebpf: &mut Ebpf, btf: &Btf, program: &str) -> Result<(), String> {
    let program: &mut BtfTracePoint = program_mut(ebpf, program)?;
    load_once(|| program.load(EXIT, btf))
}

/// Gives the exits of a syscall to a program.
pub fn hand_over(ebpf: &mut Ebpf, syscall: &str, program: &str) -> Result<(), String> {
    let number = number(syscall).ok_or("this architecture has no such call")?;
    let program: &mut BtfTracePoint = program_mut(ebpf, program)?;
    let program = program.fd().and_then(|fd| Ok(fd.try_clone()?)).map_err(|error| explain(&error))?;
    calls(ebpf)?.set(number, &program, 0).map_err(|error| explain(&error))
}

/// Gives the exits of a syscall to nobody.
pub fn keep(ebpf: &mut Ebpf, syscall: &str) -> Result<(), String> {
    let number = number(syscall).ok_or("this architecture has no such call")?;
    calls(ebpf)?.clear_index(&number).map_err(|error| explain(&error))
}

fn calls(ebpf: &mut Ebpf) -> Result<ProgramArray<&mut MapData>, String> {
    let calls = ebpf.map_mut("CALLS").ok_or("the kernel programs lack CALLS")?;
    ProgramArray::try_from(calls).map_err(|error| explain(&error))
}

/// The number of a call on this architecture, by the name that its tracepoint has.
fn number(syscall: &str) -> Option<u32> {
    let number = match syscall {
        "capset" => libc::SYS_capset,
        "connect" => libc::SYS_connect,
        "chroot" => libc::SYS_chroot,
        "faccessat" => libc::SYS_faccessat,
        "faccessat2" => libc::SYS_faccessat2,
        "fsconfig" => libc::SYS_fsconfig,
        "fsmount" => libc::SYS_fsmount,
        "fsopen" => libc::SYS_fsopen,
        "keyctl" => libc::SYS_keyctl,
        "mmap" => libc::SYS_mmap,
        "mount" => libc::SYS_mount,
        "mount_setattr" => libc::SYS_mount_setattr,
        "mprotect" => libc::SYS_mprotect,
        "move_mount" => libc::SYS_move_mount,
        "newfstatat" => libc::SYS_newfstatat,
        "open_tree" => libc::SYS_open_tree,
        "openat" => libc::SYS_openat,
        "openat2" => libc::SYS_openat2,
        "pivot_root" => libc::SYS_pivot_root,
        "prctl" => libc::SYS_prctl,
        "prlimit64" => libc::SYS_prlimit64,
        "pwritev2" => libc::SYS_pwritev2,
        "read" => libc::SYS_read,
        "readlinkat" => libc::SYS_readlinkat,
        "readv" => libc::SYS_readv,
        "seccomp" => libc::SYS_seccomp,
        "sendfile64" => libc::SYS_sendfile,
        "setgroups" => libc::SYS_setgroups,
        "setresgid" => libc::SYS_setresgid,
        "setresuid" => libc::SYS_setresuid,
        "splice" => libc::SYS_splice,
        "statx" => libc::SYS_statx,
        "tee" => libc::SYS_tee,
        "umount" => libc::SYS_umount2,
        "vmsplice" => libc::SYS_vmsplice,
        "write" => libc::SYS_write,
        "writev" => libc::SYS_writev,
        #[cfg(target_arch = "x86_64")]
        "access" => libc::SYS_access,
        #[cfg(target_arch = "x86_64")]
        "open" => libc::SYS_open,
        #[cfg(target_arch = "x86_64")]
        "readlink" => libc::SYS_readlink,
        _ => number_of_storage(syscall)?,
    };
    u32::try_from(number).ok()
}

/// Those that only `storage` asks for.
fn number_of_storage(syscall: &str) -> Option<libc::c_long> {
    Some(match syscall {
        "add_key" => libc::SYS_add_key,
        "copy_file_range" => libc::SYS_copy_file_range,
        "fallocate" => libc::SYS_fallocate,
        "fdatasync" => libc::SYS_fdatasync,
        "fsync" => libc::SYS_fsync,
        "ftruncate" => libc::SYS_ftruncate,
        "inotify_add_watch" => libc::SYS_inotify_add_watch,
        "linkat" => libc::SYS_linkat,
        "mkdirat" => libc::SYS_mkdirat,
        "pwrite64" => libc::SYS_pwrite64,
        "renameat" => libc::SYS_renameat,
        "renameat2" => libc::SYS_renameat2,
        "symlinkat" => libc::SYS_symlinkat,
        #[cfg(target_arch = "x86_64")]
        "link" => libc::SYS_link,
        #[cfg(target_arch = "x86_64")]
        "mkdir" => libc::SYS_mkdir,
        #[cfg(target_arch = "x86_64")]
        "rename" => libc::SYS_rename,
        #[cfg(target_arch = "x86_64")]
        "symlink" => libc::SYS_symlink,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use observer_ebpf::control::MAX_SYSCALLS;

    use super::number;
    use crate::probes::{SPECS, spec::Rung};

    #[test]
    fn every_exit_of_the_specs_has_a_number() {
        let hooks = SPECS.iter().flat_map(|spec| spec.hooks);
        for hook in hooks.filter(|hook| hook.required) {
            for rung in hook.rungs {
                if let Rung::SyscallExit { syscall, .. } = rung {
                    assert!(number(syscall).is_some_and(|number| number < MAX_SYSCALLS), "{syscall}");
                }
            }
        }
    }
}
