//! What was said on a connection, as the TLS library of one of its ends has it.

use super::{
    Webhooks,
    answer::Answer,
    call::{Call, End, Followed, Said},
};
use crate::{
    model::{
        Made, Model,
        tls::{self, Wire},
    },
    output::Side,
    probes::{
        tls::{Event, Request},
        webhook::Target,
    },
    time::Time,
};

impl Webhooks {
    /// Whether what is said there is told with its connection, or not at all.
    pub(in crate::model) fn follows(&self, wire: &Wire) -> bool {
        self.on_port(wire).next().is_some()
    }

    /// What the user calls what is asked there, and the deadline that he says its callers have.
    pub(in crate::model) fn named(&self, wire: &Wire, path: Option<&str>) -> Option<&Target> {
        let mut named = self.on_port(wire).filter(|target| target.takes(path));
        named.next().filter(|_| named.next().is_none())
    }

    /// Whether the user has named what is asked on this port, and this is none of it.
    pub(in crate::model) fn is_unasked(&self, wire: &Wire, path: Option<&str>) -> bool {
        self.follows(wire) && !self.on_port(wire).any(|target| target.takes(path))
    }

    fn on_port(&self, wire: &Wire) -> impl Iterator<Item = &Target> {
        let port = wire.server.port();
        self.places.watched().filter(move |target| target.port == port)
    }

    /// The connection by the sockets of its ends: this one and the other. Of one that is told of its other end, none.
    fn wires(&self, cookie: u64) -> [Option<Wire>; 2] {
        let Some(followed) = self.connections.get(cookie) else { return [None, None] };
        let other = self.connections.other_end(followed);
        if other.is_some() && !followed.seen.is_clients() {
            return [None, None];
        }
        [Some(wire(followed)), other.map(wire)]
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
    /// Of connections whose streams are read, calls are told, not the connection.
    pub(in crate::model) fn followed_streams(&mut self, event: &Event) {
        match event {
            Event::Request(Request { connection, .. }) if connection.stream.is_some() => {
                let cookie = connection.socket.and_then(|socket| socket.cookie);
                if let Some(followed) = cookie.and_then(|cookie| self.webhooks.connections.get_mut(cookie)) {
                    followed.is_read = true;
                    followed.shared.get_or_insert("its library speaks HTTP/2 on it, whose requests share it");
                }
            }
            Event::Several(events) => events.iter().for_each(|event| self.followed_streams(event)),
            _ => {}
        }
    }

    /// A connection is closed, and with it its streams.
    pub(super) fn close_streams(&mut self, cookie: u64, end: End, at: Time) {
        let (End::Closed { by_client, .. }, Some(followed)) = (end, self.webhooks.connections.get(cookie))
        else {
            return;
        };
        self.calls.close(&wire(followed), at, by_client);
    }

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
            let followed = self.webhooks.connections.get(cookie);
            let Some(mut call) = followed.and_then(|followed| followed.call.clone()) else { continue };
            self.hear(cookie, &mut call, time);
            if let Some(followed) = self.webhooks.connections.get_mut(cookie) {
                followed.call = Some(call);
            }
        }
    }

    /// Adds to a call what was said of it by `at`.
    pub(super) fn hear(&mut self, cookie: u64, call: &mut Call, at: Time) {
        let until = self.webhooks.connections.get(cookie).map(|of| said_until(of, call, at));
        let Some(until) = until else { return };
        for (heard, wire) in call.heard.iter_mut().zip(self.webhooks.wires(cookie)) {
            if let (None, Some(wire)) = (&heard, wire) {
                *heard = self.calls.claim(&wire, call.began, until);
            }
        }
        self.hear_on(call);
        if call.said.is_some()
            && let Some(followed) = self.webhooks.connections.get_mut(cookie)
        {
            followed.speaks_http1();
        }
    }

    /// The same of a call that is known to its libraries. Says whether more is to come: an answer that was sent, and is
    /// not yet said to be.
    pub(super) fn hear_on(&self, call: &mut Call) -> bool {
        let heard = call.heard.iter().flatten().filter_map(|number| self.calls.get(*number));
        for heard in heard {
            call.said.get_or_insert_default().add(said(heard));
            call.answered = call.answered.or(heard.response.as_ref().map(|response| response.began));
        }
        call.said.as_ref().is_some_and(|said| said.status.is_none())
    }

    /// Nothing more is to be heard of a call.
    pub(super) fn heard_out(&mut self, call: &Call) {
        call.heard.iter().flatten().for_each(|number| self.calls.forget(*number));
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
        method: call.request.method.clone(),
        path: call.request.path.clone(),
        deadline_ns: call.request.deadline_ns,
        status: response.and_then(|response| response.status),
        allowed: response.and_then(|response| response.allowed),
        message: response.and_then(|response| response.message.clone()),
        parent: call.request.parent,
    }
}
