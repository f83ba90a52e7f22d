//! Calls that failed for want of room.

use super::{Attributes, optional};
use crate::{output::File, sink::errno};

pub(super) fn attributes(to: &mut Attributes, file: &File) -> String {
    to.text("observer.file.outcome", file.outcome.name());
    to.text("observer.file.call", file.call);
    to.text("file.path", file.path.as_deref());
    to.text("file.name", file.name.as_deref().filter(|_| file.path.is_none()));
    to.text("observer.file.filesystem", file.place());
    let of = file.filesystem.as_ref();
    to.text("observer.file.filesystem_type", of.map(|of| of.kind.as_str()));
    optional(to, "observer.file.available_bytes", of.map(|of| of.room.available_bytes));
    optional(to, "observer.file.free_inodes", of.map(|of| of.room.free_inodes));
    optional(to, "observer.file.asked_bytes", file.asked_bytes);
    to.int("observer.file.count", file.count);
    errno::name(file.errno).unwrap_or(file.outcome.name()).to_owned()
}
