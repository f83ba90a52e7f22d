//! Addresses, and where packets between them are dropped.

use std::net::SocketAddr;

use serde::Serialize;

use crate::output::{Backend, Drop};

#[derive(Serialize)]
pub(super) struct AddressJson {
    address: String,
    port: u16,
}

impl AddressJson {
    pub(super) fn of(address: SocketAddr) -> Self {
        AddressJson { address: address.ip().to_string(), port: address.port() }
    }
}

#[derive(Serialize)]
pub(super) struct BackendJson<'a> {
    #[serde(flatten)]
    address: AddressJson,
    pod: Option<&'a str>,
}

impl<'a> BackendJson<'a> {
    pub(super) fn of(backend: &'a Backend) -> Self {
        BackendJson { address: AddressJson::of(backend.address), pod: backend.pod.as_deref() }
    }
}

#[derive(Serialize)]
pub(super) struct DropJson<'a> {
    reason: &'a str,
    r#where: PlaceJson,
    of_answer: bool,
}

#[derive(Serialize)]
struct PlaceJson {
    netns: Option<u32>,
}

impl<'a> DropJson<'a> {
    pub(super) fn of(drop: &'a Drop) -> Self {
        DropJson { reason: &drop.reason, r#where: PlaceJson { netns: drop.netns }, of_answer: drop.of_answer }
    }
}
