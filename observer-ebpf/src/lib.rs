//! The wire: every record that crosses from the kernel programs to user space, and the few values that
//! user space hands to them. Used by both sides, so it owns no behaviour beyond layout.
#![no_std]

pub mod control;
pub mod wire;

/// The list of probes: one line a probe family. Ids are frozen; a retired id is never used again.
///
/// Everything that must name each family (decoding, specs, health, docs) is generated from this list.
#[macro_export]
macro_rules! for_each_probe {
    ($each:ident) => {
        $each! {
            1 process Process
            2 cgroup Cgroup
            3 namespace Namespace
            4 mount Mount
            5 security Security
            6 file File
            7 memory Memory
            8 output Output
            9 socket Socket
            10 stdio Stdio
            11 fault Fault
            12 dns Dns
            13 webhook Webhook
            14 tls Tls
            15 net Net
            16 cpu Cpu
            17 text Text
            18 storage Storage
            19 hardware Hardware
            20 context Context
        }
    };
}

macro_rules! define_family {
    ($($id:literal $module:ident $name:ident)*) => {
        /// A probe family: one file on each side of the wire.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Family { $($name = $id),* }

        impl Family {
            pub const ALL: &'static [Family] = &[$(Family::$name),*];

            /// The name used everywhere: file, `--probes`, health, docs.
            pub const fn name(self) -> &'static str {
                match self { $(Family::$name => stringify!($module)),* }
            }

            /// The family a record kind belongs to, if any.
            pub const fn of(kind: u16) -> Option<Family> {
                match kind >> 8 { $($id => Some(Family::$name),)* _ => None }
            }
        }
    };
}
for_each_probe!(define_family);

/// One more than the highest family id: the length of per-family arrays.
pub const FAMILIES: usize = Family::ALL[Family::ALL.len() - 1] as usize + 1;
