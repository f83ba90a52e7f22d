//! Calls that failed for want of room, in words.

use crate::{
    output::{File, FileOutcome, Process},
    sink::{
        errno,
        units::{bytes_text, count, process_text},
    },
};

/// `dd (812): write to /data/x failed with ENOSPC: no room for bytes on /dev/sda1 (ext4, 0 B of 7.8 MiB left), 3 times`.
pub(super) fn file(file: &File, process: Option<&Process>) -> String {
    let who = process.map(|process| format!("{}: ", process_text(process))).unwrap_or_default();
    let name = file.path.as_deref().or(file.name.as_deref());
    let of = name.map(|name| format!(" of {name}")).unwrap_or_default();
    let errno = errno::name(file.errno).map_or_else(|| file.errno.to_string(), str::to_owned);
    let mut text = format!("{who}{}{of} failed with {errno}: {}", file.call, what(file));
    if file.count > 1 {
        text.push_str(&format!(", {}", count(file.count, "time")));
    }
    text
}

fn what(file: &File) -> String {
    let place = match (&file.filesystem, file.place()) {
        (Some(of), Some(place)) => {
            let room = of.room;
            let left = match file.outcome {
                FileOutcome::Inodes => format!("{} of {} inodes left", room.free_inodes, room.total_inodes),
                _ => format!("{} of {} left", bytes_text(room.available_bytes), bytes_text(room.total_bytes)),
            };
            format!(" on {place} ({}, {left})", of.kind)
        }
        _ => file.filesystem_kind.as_ref().map(|kind| format!(" on a {kind}")).unwrap_or_default(),
    };
    let asked = file.asked_bytes.map(|bytes| format!("{} were asked for", bytes_text(bytes)));
    match file.outcome {
        FileOutcome::Bytes => format!("no room for bytes{place}"),
        FileOutcome::Inodes => format!("no room for files{place}"),
        FileOutcome::Quota => format!("a quota is used up{place}"),
        FileOutcome::TmpfsSize => format!("it has the size that it was given{place}"),
        FileOutcome::TooLarge => format!("{}{place}", asked.as_deref().unwrap_or("too much was asked for")),
        FileOutcome::InotifyWatches => "no more inotify watches for this user".to_owned(),
        FileOutcome::KeyQuota => "no more kernel keys for this user".to_owned(),
        FileOutcome::IoError => format!("the device failed{place}"),
        FileOutcome::ReadOnly => format!("it is read-only{place}"),
        FileOutcome::Denied => "it may not".to_owned(),
        FileOutcome::Unknown => format!("for want of room{place}"),
    }
}
