//! Signals of storage: calls that failed for want of room, and how much room the node has left.

use super::{About, Label, Observation, Signal, yes_no};
use crate::{
    input::NodeFilesystem,
    output::{File, FileOutcome, Since, errno},
    time::{Time, Wall},
};

pub(super) fn signals<'a>(
    file: &'a File,
    of: impl Fn(Signal, f64) -> Observation<'a>,
    see: &mut impl FnMut(Observation<'a>),
) {
    let name = file.path.as_deref().or(file.name.as_deref());
    let at = name.map(|name| format!(" of {name}")).unwrap_or_default();
    let error = errno::name(file.errno).unwrap_or("an error");
    let observation = |signal| {
        of(signal, file.count.max(1) as f64)
            .with_some(Label::Errno, errno::name(file.errno))
            .with(Label::Call, file.call)
            .with(Label::Component, yes_no(file.component))
            .with_some(Label::Path, name)
            .with_some(Label::Filesystem, file.place())
    };
    match file.outcome {
        // Whoever asks for more than there is is told so, and nothing is wrong.
        FileOutcome::TooLarge => return,
        // Nor is it with who may not: what follows from it says that.
        FileOutcome::ReadOnly | FileOutcome::Denied => {
            let denied = observation(Signal::FileDenied);
            let kind = denied.about.container.map(|container| container.kind.name());
            let text = format!("{}{at} was refused with {error}", file.call);
            return see(denied.with_some(Label::Kind, kind).saying(text));
        }
        _ => {}
    }
    let mut text = format!("{}{at} failed with {error}", file.call);
    if let (Some(filesystem), Some(place)) = (&file.filesystem, file.place()) {
        let room = filesystem.room;
        text.push_str(&match file.outcome {
            FileOutcome::Inodes => format!("; {place} has {} inodes left", room.free_inodes),
            _ => format!("; {place} has {} of {} bytes left", room.available_bytes, room.total_bytes),
        });
    }
    see(observation(Signal::FileFailed).with(Label::Kind, file.outcome.name()).saying(text));
}

pub(super) fn of_node(all: &[NodeFilesystem], now: Time, at: Wall, mut see: impl FnMut(Observation)) {
    let about = About {
        probe: "file",
        container: None,
        process: None,
        since: Since::Attach,
        in_teardown: false,
        is_young: false,
    };
    for one in all {
        let of = &one.filesystem;
        let place = if of.source.starts_with('/') { &of.source } else { &of.mount };
        let values = [
            (Signal::FilesystemFree, "room", of.room.available_percent()),
            (Signal::InodesFree, "inodes", of.room.free_inodes_percent()),
        ];
        for (signal, what, percent) in values {
            let Some(percent) = percent else { continue };
            see(Observation::new(now, at, signal, percent, about)
                .with(Label::Kind, one.purpose.name())
                .with(Label::Filesystem, place.as_str())
                .saying(format!("{percent:.1} % of the {what} of {place} ({}) is left", of.mount)));
        }
    }
}
