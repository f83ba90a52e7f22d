//! `event` of probe `file`: an operation that failed for want of room, or as its device failed.

use serde::Serialize;

use crate::{input::Filesystem, output::File, sink::errno};

#[derive(Serialize)]
pub(super) struct FileJson<'a> {
    outcome: &'static str,
    component: bool,
    call: &'static str,
    errno: i32,
    errno_name: Option<&'static str>,
    path: Option<&'a str>,
    name: Option<&'a str>,
    /// What kind it is.
    filesystem: Option<&'a str>,
    device: Option<String>,
    source: Option<&'a str>,
    mount: Option<&'a str>,
    available_bytes: Option<u64>,
    total_bytes: Option<u64>,
    free_inodes: Option<u64>,
    total_inodes: Option<u64>,
    asked_bytes: Option<u64>,
    count: u64,
}

impl<'a> FileJson<'a> {
    pub(super) fn of(file: &'a File) -> Self {
        let of = file.filesystem.as_ref();
        let room = of.map(|of| of.room);
        // Some kinds have no inodes to count.
        let inodes = room.filter(|room| room.total_inodes > 0);
        let number = |of: &Filesystem| format!("{}:{}", of.device.major, of.device.minor);
        FileJson {
            outcome: file.outcome.name(),
            component: file.component,
            call: file.call,
            errno: file.errno,
            errno_name: errno::name(file.errno),
            path: file.path.as_deref(),
            name: file.name.as_deref(),
            filesystem: of.map(|of| of.kind.as_str()).or(file.filesystem_kind.as_deref()),
            device: of.map(number),
            source: of.map(|of| of.source.as_str()),
            mount: of.map(|of| of.mount.as_str()),
            available_bytes: room.map(|room| room.available_bytes),
            total_bytes: room.map(|room| room.total_bytes),
            free_inodes: inodes.map(|room| room.free_inodes),
            total_inodes: inodes.map(|room| room.total_inodes),
            asked_bytes: file.asked_bytes,
            count: file.count,
        }
    }
}
