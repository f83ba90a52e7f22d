//! Records: `#[repr(C)]`, without padding, each beginning with a [`Header`].
//!
//! A record is emitted with its used length: a record with text ends where the text ends. A changed record
//! gets a new kind; kinds are never reused.

pub mod cgroup;
pub mod context;
pub mod cpu;
pub mod dns;
pub mod fault;
pub mod file;
pub mod hardware;
pub mod memory;
pub mod mount;
pub mod namespace;
pub mod net;
pub mod output;
pub mod packet;
pub mod process;
pub mod security;
pub mod socket;
pub mod stdio;
pub mod storage;
pub mod text;
pub mod tls;
pub mod webhook;

use crate::Family;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Flags of [`Header::flags`].
pub mod flag {
    /// A field could not be read; it holds zero and means nothing.
    pub const UNREADABLE: u16 = 1 << 0;
    /// Text was longer than the record's space and was cut.
    pub const TRUNCATED: u16 = 1 << 1;
}

/// Common to all records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Header {
    /// Family id in the high byte, number within the family in the low byte.
    pub kind: u16,
    /// Bits of [`flag`].
    pub flags: u16,
    /// Bytes of the whole record.
    pub len: u32,
    /// CLOCK_BOOTTIME, nanoseconds, taken directly before the record was handed over.
    pub time_ns: u64,
    /// Process and thread in the initial pid namespace.
    pub tgid: u32,
    pub tid: u32,
    /// Records of this family lost so far on the CPU that this record comes from.
    pub lost: u64,
}

/// A record's fixed part.
pub trait Record: FromBytes + IntoBytes + Immutable + KnownLayout + Copy {
    const KIND: u16;
    /// Bytes of text that may follow the fixed part.
    const MAX_TEXT: usize;

    fn set_header(&mut self, header: Header);
}

pub const fn kind(family: Family, number: u8) -> u16 {
    (family as u16) << 8 | number as u16
}

/// A syscall as seen from its exit, which is the record's time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Syscall {
    /// CLOCK_BOOTTIME at entry; 0 where only the exit was hooked.
    pub entered_ns: u64,
    /// The return value: negative errno on failure.
    pub ret: i64,
}

/// Largest record, fixed part and text: what the kernel side reserves as scratch space.
pub const MAX_RECORD: usize = 8192;

macro_rules! records {
    ($family:ident { $($(#[$doc:meta])* $number:literal $name:ident text $text:tt { $($(#[$fdoc:meta])* $field:ident: $ty:ty,)* })* }) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy, Debug, PartialEq, Eq,
                zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout)]
            #[repr(C)]
            pub struct $name {
                pub header: $crate::wire::Header,
                $($(#[$fdoc])* pub $field: $ty,)*
            }

            impl $crate::wire::Record for $name {
                const KIND: u16 = $crate::wire::kind($crate::Family::$family, $number);
                const MAX_TEXT: usize = $text;

                #[inline(always)]
                fn set_header(&mut self, header: $crate::wire::Header) {
                    self.header = header;
                }
            }

            const _: () = assert!(core::mem::size_of::<$name>() + $text <= $crate::wire::MAX_RECORD);
        )*
    };
}
pub(crate) use records;
