//! What was said on a connection, as the TLS library of one of its ends has it.

use super::{
    Webhooks,
    answer::Answer,
    call::{Call, Followed, Said},
};
use crate::{
    model::{
        Made, Model,
        tls::{self, Wire},
    },
    output::Side,
    time::Time,
};

impl Webhooks {
    /// Whether what is said there is told with its connection, or not at all.
    pub(in crate::model) fn follows(&self, wire: &Wire) -> bool {
        self.targets.iter().any(|target| target.port == wire.server.port())
    }

    /// The connection by the sockets of its ends. Of one that is told of its other end, none.
    fn wires(&self, cookie: u64) -> Vec<Wire> {
        let Some(followed) = self.connections.get(cookie) else { return Vec::new() };
        let other = self.connections.other_end(followed);
        if other.is_some() && !followed.seen.is_clients() {
            return Vec::new();
        }
        [Some(followed), other].into_iter().flatten().map(wire).collect()
    }
}

fn wire(followed: &Followed) -> Wire {
    let (client, server) = followed.seen.ends();
    Wire {
        cookie: followed.cookie,
        tgid: followed.owner.as_ref().map(|owner| owner.tgid),
        side: if followed.seen.is_clients() { Side::Client } else { Side::Server },
        client,
        server,
    }
}

impl Model {
    /// Whose socket it is, may say more.
    pub(super) fn ask_owner(&mut self, cookie: u64, make: &mut impl FnMut(Made)) {
        let Some(followed) = self.webhooks.connections.get(cookie) else { return };
        let Wire { tgid, side, .. } = wire(followed);
        if let Some(tgid) = tgid {
            self.ask_tls(tgid, side, make);
        }
    }

    /// Adds to calls under way what was said so far: their deadlines, and that they are answered.
    pub(super) fn listen(&mut self, time: Time) {
        let is_deaf =
            |followed: &&Followed| followed.call.as_ref().is_some_and(|call| call.answered.is_none());
        let deaf: Vec<u64> =
            self.webhooks.connections.pending().filter(is_deaf).map(|followed| followed.cookie).collect();
        for cookie in deaf {
            let wires = self.webhooks.wires(cookie);
            let Some(followed) = self.webhooks.connections.get_mut(cookie) else { continue };
            let Some(until) = followed.call.as_ref().map(|call| said_until(followed, call, time)) else {
                continue;
            };
            let Some(call) = &mut followed.call else { continue };
            if let Some(heard) = wires.iter().find_map(|wire| self.calls.on(wire, call.began, until)) {
                call.said = Some(said(heard));
                call.answered = heard.response.as_ref().map(|response| response.began);
                followed.speaks_http1();
            }
        }
    }

    /// Adds to a call that is over by `at` all that was said of it.
    pub(super) fn hear(&mut self, cookie: u64, call: &mut Call, at: Time) {
        let Some(until) = self.webhooks.connections.get(cookie).map(|of| said_until(of, call, at)) else {
            return;
        };
        for wire in self.webhooks.wires(cookie) {
            let Some(heard) = self.calls.take(&wire, call.began, until) else { continue };
            call.said.get_or_insert_default().add(said(&heard));
            call.answered = call.answered.or(heard.response.as_ref().map(|response| response.began));
            if let Some(followed) = self.webhooks.connections.get_mut(cookie) {
                followed.speaks_http1();
            }
        }
    }
}

/// A request was said before it was answered; what was said later is the next one.
fn said_until(followed: &Followed, call: &Call, at: Time) -> Time {
    match followed.answer(call) {
        Answer::Began(answered) => answered,
        _ => at,
    }
}

fn said(call: &tls::Call) -> Said {
    let response = call.response.as_ref();
    Said {
        method: Some(call.request.method.clone()),
        path: Some(call.request.path.clone()),
        deadline_ns: call.request.deadline_ns,
        status: response.map(|response| response.status),
        allowed: response.and_then(|response| response.allowed),
        message: response.and_then(|response| response.message.clone()),
    }
}
