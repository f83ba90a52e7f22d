//! What user space hands to the kernel programs: struct offsets, names to watch, watch flags.
//!
//! All values are native-endian and live in this machine's memory only.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Length of `task->comm`, terminator included.
pub const COMM_LEN: usize = 16;

/// An offset that this kernel does not have. Reading through it sets [`crate::wire::flag::UNREADABLE`].
pub const NO_OFFSET: u32 = u32::MAX;

macro_rules! offsets {
    ($($(#[$doc:meta])* $field:ident: $path:literal,)*) => {
        /// Byte offsets inside kernel structures, resolved by name from BTF when the programs are loaded.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
        #[repr(C)]
        pub struct Offsets { $($(#[$doc])* pub $field: u32,)* }

        impl Offsets {
            /// `struct.member[.member]` of every field, in field order; `member[2]` is an element, and after
            /// `|` is what another architecture calls the same.
            pub const PATHS: &'static [&'static str] = &[$($path),*];
            pub const UNKNOWN: Offsets = Offsets { $($field: NO_OFFSET,)* };
        }
    };
}

offsets! {
    task_pid: "task_struct.pid",
    task_tgid: "task_struct.tgid",
    task_real_parent: "task_struct.real_parent",
    task_comm: "task_struct.comm",
    task_start_boottime: "task_struct.start_boottime",
    task_exit_code: "task_struct.exit_code",
    task_maj_flt: "task_struct.maj_flt",
    task_read_bytes: "task_struct.ioac.read_bytes",
    task_signal: "task_struct.signal",
    task_cgroups: "task_struct.cgroups",
    task_mm: "task_struct.mm",
    /// Since Linux 6.18.
    task_throttled: "task_struct.throttled",
    signal_live: "signal_struct.live",
    signal_maj_flt: "signal_struct.maj_flt",
    signal_read_bytes: "signal_struct.ioac.read_bytes",
    mm_task_size: "mm_struct.task_size",
    mm_arg_start: "mm_struct.arg_start",
    mm_arg_end: "mm_struct.arg_end",
    mm_env_start: "mm_struct.env_start",
    mm_env_end: "mm_struct.env_end",
    bprm_filename: "linux_binprm.filename",
    css_set_subsys: "css_set.subsys",
    css_set_dfl_cgrp: "css_set.dfl_cgrp",
    css_cgroup: "cgroup_subsys_state.cgroup",
    cgroup_kn: "cgroup.kn",
    cgroup_root: "cgroup.root",
    cgroup_root_hierarchy_id: "cgroup_root.hierarchy_id",
    kernfs_node_id: "kernfs_node.id",
    /// The number of the syscall that a thread is in.
    regs_syscall: "pt_regs.orig_ax|pt_regs.syscallno",
    /// The word that tells a 32-bit call from others, by the bits of [`IS_32_BIT`].
    task_abi: "task_struct.thread_info.status|task_struct.thread_info.flags",
    /// Where a syscall's arguments are kept until it returns: x86-64, else arm64.
    regs_arg0: "pt_regs.di|pt_regs.orig_x0",
    regs_arg1: "pt_regs.si|pt_regs.regs[1]",
    regs_arg2: "pt_regs.dx|pt_regs.regs[2]",
    regs_arg3: "pt_regs.r10|pt_regs.regs[3]",
    task_files: "task_struct.files",
    files_fdt: "files_struct.fdt",
    fdtable_fd: "fdtable.fd",
    fdtable_max_fds: "fdtable.max_fds",
    file_inode: "file.f_inode",
    file_mode: "file.f_mode",
    file_private: "file.private_data",
    socket_sk: "socket.sk",
    sock_protocol: "sock.sk_protocol",
    inode_mode: "inode.i_mode",
    inode_sb: "inode.i_sb",
    /// Of a descriptor's file; its name's last part.
    file_dentry: "file.f_path.dentry",
    dentry_name: "dentry.d_name.name",
    dentry_sb: "dentry.d_sb",
    sb_device: "super_block.s_dev",
    sb_kind: "super_block.s_type",
    sb_kind_name: "file_system_type.name",
    task_fs: "task_struct.fs",
    fs_working: "fs_struct.pwd.dentry",
    inode_ino: "inode.i_ino",
    inode_rdev: "inode.i_rdev",
    inode_pipe: "inode.i_pipe",
    pipe_head: "pipe_inode_info.head",
    pipe_tail: "pipe_inode_info.tail",
    pipe_max_usage: "pipe_inode_info.max_usage",
    pipe_ring_size: "pipe_inode_info.ring_size",
    pipe_readers: "pipe_inode_info.readers",
    pipe_bufs: "pipe_inode_info.bufs",
    pipe_wr_wait: "pipe_inode_info.wr_wait.head.next",
    pipe_buffer_len: "pipe_buffer.len",
    /// Not an offset: how long one is.
    pipe_buffer_size: "sizeof pipe_buffer",
    /// Whoever waits, by its place in the list of those who do.
    waiter_entry: "wait_queue_entry.entry",
    waiter_flags: "wait_queue_entry.flags",
    waiter_task: "wait_queue_entry.private",
    kiocb_file: "kiocb.ki_filp",
    regs_sp: "pt_regs.sp",
    task_group_leader: "task_struct.group_leader",
    siginfo_code: "kernel_siginfo.si_code",
    siginfo_addr: "kernel_siginfo._sifields._sigfault._addr",
    sigaction_handler: "k_sigaction.sa.sa_handler",
    css_parent: "cgroup_subsys_state.parent",
    memcg_css: "mem_cgroup.css",
    memcg_usage: "mem_cgroup.memory.usage",
    memcg_max: "mem_cgroup.memory.max",
    /// Pages by kind (`MM_FILEPAGES`, `MM_ANONPAGES`, `MM_SHMEMPAGES`): one counter each, per-CPU ones from 6.2 on,
    /// of which the common part is read.
    mm_file_pages: "mm_struct.rss_stat[0].count|mm_struct.rss_stat.count[0]",
    mm_anon_pages: "mm_struct.rss_stat[1].count|mm_struct.rss_stat.count[1]",
    mm_shmem_pages: "mm_struct.rss_stat[3].count|mm_struct.rss_stat.count[3]",
    sock_family: "sock.__sk_common.skc_family",
    sock_state: "sock.__sk_common.skc_state",
    sock_cookie: "sock.__sk_common.skc_cookie",
    /// In the network's order.
    sock_remote_port: "sock.__sk_common.skc_dport",
    /// In the host's.
    sock_local_port: "sock.__sk_common.skc_num",
    /// In the network's order; it stays when the socket is closed.
    sock_source_port: "inet_sock.inet_sport",
    sock_local4: "sock.__sk_common.skc_rcv_saddr",
    sock_remote4: "sock.__sk_common.skc_daddr",
    sock_local6: "sock.__sk_common.skc_v6_rcv_saddr",
    sock_remote6: "sock.__sk_common.skc_v6_daddr",
    sock_error: "sock.sk_err",
    sock_net: "sock.__sk_common.skc_net.net",
    sock_timeouts: "inet_connection_sock.icsk_retransmits",
    sock_rtt: "tcp_sock.srtt_us",
    sock_bytes_acked: "tcp_sock.bytes_acked",
    sock_bytes_received: "tcp_sock.bytes_received",
    net_inum: "net.ns.inum",
    skb_head: "sk_buff.head",
    skb_network_header: "sk_buff.network_header",
    skb_device: "sk_buff.dev",
    skb_sock: "sk_buff.sk",
    /// How much of it is in pages of their own.
    skb_data_len: "sk_buff.data_len",
    device_net: "net_device.nd_net.net",
    device_name: "net_device.name",
    request_flags: "request.cmd_flags",
    request_bytes: "request.__data_len",
    /// When it was made; CLOCK_MONOTONIC. 0 where the device counts nothing.
    request_began: "request.start_time_ns",
    request_queue: "request.q",
    queue_disk: "request_queue.disk",
    disk_major: "gendisk.major",
    disk_minor: "gendisk.first_minor",
    disk_name: "gendisk.disk_name",
    /// Since Linux 6.13 one structure deeper.
    mce_status: "mce_hw_err.m.status|mce.status",
    mce_bank: "mce_hw_err.m.bank|mce.bank",
    mce_cpu: "mce_hw_err.m.extcpu|mce.extcpu",
    /// Not an offset: the bit of `request_flags` that says that somebody waits.
    request_sync: "enum req_flag_bits.__REQ_SYNC",
    /// Not an offset: the value of `memory_cgrp_id` in `enum cgroup_subsys_id`.
    memory_cgrp_id: "enum cgroup_subsys_id.memory_cgrp_id",
}

/// Bits of `Offsets::task_abi`'s word while a thread is in a 32-bit call: `TS_COMPAT` of x86-64, `TIF_32BIT` of
/// arm64.
#[cfg(any(bpf_target_arch = "x86_64", target_arch = "x86_64"))]
pub const IS_32_BIT: u32 = 1 << 1;
#[cfg(any(bpf_target_arch = "aarch64", target_arch = "aarch64"))]
pub const IS_32_BIT: u32 = 1 << 22;

/// The addresses of a 32-bit program end here at the latest, by `Offsets::mm_task_size`. The flag of its threads
/// that says so has had more than one number: `TIF_ADDR32` is bit 29 up to Linux 6.17, bit 28 of 6.18.
pub const END_OF_32_BIT: u64 = 1 << 32;

/// Syscall numbers below this can be hooked.
pub const MAX_SYSCALLS: u32 = 1024;

/// What a watched process is. Bits of [`Watch::flags`].
pub mod role {
    /// containerd, cri-o, dockerd, k3s, podman: its children and its network namespaces are of interest.
    pub const ENGINE: u32 = 1 << 0;
    /// containerd-shim-*, conmon: starts runtimes.
    pub const SHIM: u32 = 1 << 1;
    /// crun, runc, youki, ... and everything it forks until a payload is exec'd.
    pub const RUNTIME: u32 = 1 << 2;
    /// Has changed its root (pivot_root, chroot): an exec from here on is the payload's.
    pub const ROOTFS: u32 = 1 << 3;
    /// Runs the payload: only first output, listen and its end are of interest.
    pub const PAYLOAD: u32 = 1 << 4;
    /// Nothing more is wanted from it but its end.
    pub const QUIET: u32 = 1 << 5;
    /// A child of an engine or shim that has no role of its own: CNI plugins, helpers.
    pub const HELPER: u32 = 1 << 6;
    /// Holds the reading end of a followed container's pipe.
    pub const READER: u32 = 1 << 7;
    /// Was there before the observer: its streams are yet to be found.
    pub const OLDER: u32 = 1 << 8;
    /// Of an init: something in its container writes in a way that syscall hooks do not see (io_uring, a 32-bit
    /// program).
    pub const UNCOUNTED: u32 = 1 << 9;
    /// Of a runtime at its exec: who reads its pipes is not known.
    pub const EXPECTS: u32 = 1 << 10;
    /// kube-apiserver, kubelet: calls other components, and webhooks. What it starts is of no interest.
    pub const CALLER: u32 = 1 << 11;
    /// A component of the node that is watched for what it says and how it ends: kubelet, etcd, kine, opa, cosign. What
    /// it starts is of no interest.
    pub const SPEAKER: u32 = 1 << 12;
    /// A shim that is its own runtime (runwasi): treated as SHIM and RUNTIME.
    pub const SELF_RUNTIME: u32 = SHIM | RUNTIME;
}

/// What may be given up for a while because observing costs too much. Bits of the kernel's map `SHED`.
pub mod shed {
    /// What is written is not read.
    pub const TEXT: u32 = 1 << 0;
    /// Calls that fail for want of room are not counted.
    pub const STORAGE: u32 = 1 << 1;
    /// Writes and reads of streams are not counted; their pipes can still be looked at.
    pub const STDIO: u32 = 1 << 2;
    /// Messages of look-ups are not handed over.
    pub const DNS: u32 = 1 << 3;
}

/// Processes whose ids are alike modulo this share a slot of the map that is asked before the kernel's watch map.
pub const SLOT_COUNT: u32 = 1 << 16;

/// In a slot: more than one of its processes is, or was, watched. No process has this id.
pub const SEVERAL: u32 = u32::MAX;

/// One watched process: the value of the kernel's watch map, keyed by tgid.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Watch {
    /// Bits of [`role`].
    pub flags: u32,
    /// The process that became the container's init (the one that changed its root), else 0.
    pub init: u32,
    /// Outputs reported so far by this init and its descendants.
    pub outputs: u32,
    pub pad: u32,
}

/// How a name in the name map is compared with `task->comm`: exact, or by its first bytes.
pub const NAME_PREFIX_LENS: [usize; 2] = [4, 5];

/// Handled signals reported per container within [`BUDGET_NS`]; all of them are counted. A Java program takes them
/// by the thousand, and they mean nothing.
pub const MAX_SIGNALS: u32 = 32;

/// Reservations reported per container within [`BUDGET_NS`].
pub const MAX_RESERVATIONS: u32 = 256;

/// Results of Wasm engines reported per container within [`BUDGET_NS`].
pub const MAX_RESULTS: u32 = 256;

/// Writes of one process of a container whose text is handed over within [`BUDGET_NS`]; the others are counted.
pub const MAX_TEXTS: u32 = 256;

/// The same of a component of the node.
pub const MAX_COMPONENT_TEXTS: u32 = 2_048;

/// Requests of one process that are handed over within [`BUDGET_NS`]; the others are counted.
pub const MAX_REQUESTS: u32 = 1_024;

pub const BUDGET_NS: u64 = 10_000_000_000;

/// Outputs reported per container before the kernel stops reporting them.
pub const MAX_OUTPUTS: u32 = 16;

/// Packets that may be looked at at the same moment, on all CPUs, interrupted ones included.
pub const PACKET_SLOTS: u32 = 64;
