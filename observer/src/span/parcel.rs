//! A request of any signal as what it is made of. All three have one shape: groups of one resource, in them groups of
//! one scope, in them records. Rewriting copies bytes: what is kept is the same to the last unknown field.

use super::wire::{Fields, Malformed, put_bytes};

/// Field of a request that holds a group of one resource.
pub(super) const RESOURCE_GROUP: u32 = 1;
/// Fields of such a group, and of those inside it.
pub(super) const SUBJECT: u32 = 1;
pub(super) const MEMBER: u32 = 2;

/// A record, with what it is of.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    pub resource: &'a [u8],
    pub scope: &'a [u8],
    pub record: &'a [u8],
}

impl Record<'_> {
    /// The name of its scope, as far as it is one.
    pub fn scope_name(&self) -> &[u8] {
        let name = Fields::of(self.scope).flatten().filter(|field| field.number == 1).last();
        name.and_then(|field| field.bytes().ok()).unwrap_or_default()
    }
}

/// Calls `see` with each record, in order.
///
/// # Errors
/// The request is no message of that shape. Records seen before are seen.
pub fn each<'a>(request: &'a [u8], mut see: impl FnMut(Record<'a>)) -> Result<(), Malformed> {
    for group in Fields::of(request) {
        let group = group?;
        if group.number != RESOURCE_GROUP {
            continue;
        }
        let group = group.bytes()?;
        let resource = subject(group)?;
        for inner in Fields::of(group) {
            let inner = inner?;
            if inner.number != MEMBER {
                continue;
            }
            let inner = inner.bytes()?;
            let scope = subject(inner)?;
            for member in Fields::of(inner) {
                let member = member?;
                if member.number == MEMBER {
                    see(Record { resource, scope, record: member.bytes()? });
                }
            }
        }
    }
    Ok(())
}

fn subject(group: &[u8]) -> Result<&[u8], Malformed> {
    let mut subject: &[u8] = &[];
    for field in Fields::of(group) {
        let field = field?;
        if field.number == SUBJECT {
            subject = field.bytes()?;
        }
    }
    Ok(subject)
}

/// A request of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    pub request: Vec<u8>,
    pub records: u32,
}

/// The records for which `keep` says so, in order, in requests of about `limit` bytes: a receiver refuses what is too
/// long. One record is never cut.
///
/// # Errors
/// As [`each`].
pub fn select(
    request: &[u8],
    limit: usize,
    mut keep: impl FnMut(Record) -> bool,
) -> Result<Vec<Part>, Malformed> {
    let mut parts = Vec::new();
    let mut part = Part { request: Vec::new(), records: 0 };
    for group in Fields::of(request) {
        let group = group?;
        if group.number != RESOURCE_GROUP {
            continue;
        }
        let group = group.bytes()?;
        let resource = subject(group)?;
        let mut outer = Open::begin(group)?;
        for inner in Fields::of(group) {
            let inner = inner?;
            if inner.number != MEMBER {
                continue;
            }
            let inner = inner.bytes()?;
            let scope = subject(inner)?;
            let mut open = Open::begin(inner)?;
            for member in Fields::of(inner) {
                let member = member?;
                if member.number != MEMBER || !keep(Record { resource, scope, record: member.bytes()? }) {
                    continue;
                }
                if part.records > 0
                    && part.request.len() + outer.bytes.len() + open.bytes.len() + member.raw.len() > limit
                {
                    open.end_into(&mut outer);
                    outer.end_as(RESOURCE_GROUP, &mut part.request);
                    parts.push(std::mem::replace(&mut part, Part { request: Vec::new(), records: 0 }));
                }
                open.bytes.extend_from_slice(member.raw);
                open.holds = true;
                part.records += 1;
            }
            open.end_into(&mut outer);
        }
        outer.end_as(RESOURCE_GROUP, &mut part.request);
    }
    parts.extend((part.records > 0).then_some(part));
    Ok(parts)
}

/// A group under construction: what it says of itself, then its members.
struct Open<'a> {
    group: &'a [u8],
    bytes: Vec<u8>,
    holds: bool,
}

impl<'a> Open<'a> {
    fn begin(group: &'a [u8]) -> Result<Self, Malformed> {
        let mut open = Open { group, bytes: Vec::new(), holds: false };
        open.head()?;
        Ok(open)
    }

    fn head(&mut self) -> Result<(), Malformed> {
        self.bytes.clear();
        self.holds = false;
        for field in Fields::of(self.group) {
            let field = field?;
            if field.number != MEMBER {
                self.bytes.extend_from_slice(field.raw);
            }
        }
        Ok(())
    }

    /// Closed as `number`, if it holds anything; what follows is of a group that says the same of itself.
    fn end_as(&mut self, number: u32, to: &mut Vec<u8>) {
        if self.holds {
            put_bytes(to, number, &self.bytes);
        }
        // It was read once without fault.
        let _ = self.head();
    }

    fn end_into(&mut self, outer: &mut Open) {
        outer.holds |= self.holds;
        self.end_as(MEMBER, &mut outer.bytes);
    }
}
