//! The sockets of a container.

use serde::Serialize;

use crate::{
    input::Tracked,
    output::{Connections, Listening, NetworkLook},
};

#[derive(Serialize)]
pub(super) struct NetworkJson {
    /// It has no network of its own.
    of_node: bool,
    listening: Vec<ListeningJson>,
    connections: Vec<ConnectionsJson>,
    left_out: u64,
    /// Since its network is there.
    conntrack: Option<TrackedJson>,
}

#[derive(Serialize)]
struct ListeningJson {
    transport: &'static str,
    address: String,
    waiting: Option<u64>,
}

#[derive(Serialize)]
struct ConnectionsJson {
    direction: &'static str,
    transport: &'static str,
    address: String,
    state: &'static str,
    count: u64,
    unsent_bytes: u64,
    unread_bytes: u64,
}

#[derive(Serialize)]
struct TrackedJson {
    entries: u64,
    max: u64,
    insert_failed: u64,
    full_dropped: u64,
    early_drop: u64,
}

impl NetworkJson {
    pub(super) fn of(look: &NetworkLook) -> Self {
        NetworkJson {
            of_node: look.is_nodes,
            listening: look.listening.iter().map(listening).collect(),
            connections: look.connections.iter().map(connections).collect(),
            left_out: look.left_out,
            conntrack: look.tracked.map(tracked),
        }
    }
}

fn listening(it: &Listening) -> ListeningJson {
    ListeningJson { transport: it.transport.name(), address: it.at.to_string(), waiting: it.waiting }
}

fn connections(it: &Connections) -> ConnectionsJson {
    ConnectionsJson {
        direction: it.direction.name(),
        transport: it.transport.name(),
        address: it.at.to_string(),
        state: it.state,
        count: it.count,
        unsent_bytes: it.unsent_bytes,
        unread_bytes: it.unread_bytes,
    }
}

fn tracked(it: Tracked) -> TrackedJson {
    TrackedJson {
        entries: it.entries,
        max: it.max,
        insert_failed: it.collided,
        full_dropped: it.refused,
        early_drop: it.evicted,
    }
}
