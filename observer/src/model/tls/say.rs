//! Calls of webhooks that were seen in a TLS library only: told by themselves.

use std::net::SocketAddr;

use super::{Call, Wire};
use crate::{
    model::{Made, Model},
    output::{CallOutcome, CallPhases, CallSeen, Container, Event, Peer, Process, Since, Webhook, What},
    probes::tls::Connection,
    time::Time,
};

/// How long whoever follows a call's connection is given to take it, once it is answered.
const TAKEN_NS: u64 = 1_000_000_000;
/// How long after its deadline an answer may still come, and how long a call without one may wait.
const GRACE_NS: u64 = 1_000_000_000;
const LONGEST_NS: u64 = 30_000_000_000;
/// A call on a connection that is followed, and that was not taken: it is not told of that connection either.
const FORGOTTEN_NS: u64 = 60_000_000_000;
/// How often it is looked for calls that nobody has taken.
const LOOK_NS: u64 = 100_000_000;

impl Model {
    /// Tells what is over by this time and was taken by nobody.
    pub(in crate::model) fn calls_tick(&mut self, time: Time, make: &mut impl FnMut(Made)) {
        if time.since(self.calls.looked) >= LOOK_NS {
            self.calls.looked = time;
            let webhooks = &self.webhooks;
            let over = self.calls.take_over(|call, is_claimed| {
                let over = over_at(call);
                let is_followed = is_claimed || webhooks.follows(&wire_of(call));
                time >= if is_followed { over.plus(FORGOTTEN_NS) } else { over }
            });
            self.tell_calls(over, time, make);
        }
    }

    /// At the end of a run: those that were answered, and nothing of the others.
    pub(in crate::model) fn end_of_calls(&mut self, time: Time, make: &mut impl FnMut(Made)) {
        let over = self.calls.take_over(|call, _| call.response.is_some());
        self.tell_calls(over, time, make);
    }

    fn tell_calls(&self, over: Vec<(Call, bool)>, time: Time, make: &mut impl FnMut(Made)) {
        for (call, is_claimed) in over {
            if !is_claimed && !self.webhooks.follows(&wire_of(&call)) {
                make(Made::Event(Box::new(self.event_of_call(&call, time))));
            }
        }
    }

    fn event_of_call(&self, call: &Call, time: Time) -> Event {
        let connection = call.connection();
        let process = self.process_in(call, connection);
        let (outcome, why) = outcome(call);
        let latency = call.response.as_ref().map(|response| response.began.since(call.request.began));
        let ends = ends(connection);
        let peer = |at: Option<SocketAddr>, is_own: bool| Peer {
            address: at.map(|at| at.ip()),
            port: at.map(|at| at.port()),
            host: None,
            pod: None,
            process: is_own.then(|| process.clone()),
        };
        let server = Peer { host: call.request.host.clone(), ..peer(ends.1, !connection.is_client) };
        let response = call.response.as_ref();
        let what = Webhook {
            name: title(call),
            client: peer(ends.0, connection.is_client),
            server,
            side: call.side(),
            method: Some(call.request.method.clone()),
            path: Some(call.request.path.clone()),
            deadline_ns: call.request.deadline_ns,
            latency_ns: latency,
            phases: CallPhases::default(),
            connection_age_ns: None,
            status: response.map(|response| response.status),
            allowed: response.and_then(|response| response.allowed),
            message: response.and_then(|response| response.message.clone()),
            outcome,
            seen: CallSeen::TlsLibrary,
            overlapping: false,
            retransmits: 0,
            connects: 0,
            unacknowledged_bytes: None,
            server_time: None,
        };
        Event {
            time: self.clock.wall(response.map_or(time, |response| response.began)),
            began: Some(self.clock.wall(call.request.began)),
            container: self.container_of_process(call.tgid),
            process: Some(process),
            since: Since::Attach,
            why: Some(why.to_owned()),
            what: What::Webhook(Box::new(what)),
        }
    }

    fn process_in(&self, call: &Call, connection: &Connection) -> Process {
        let known = self.processes.get(call.tgid).filter(|info| info.start == connection.start);
        Process {
            pid: call.tgid,
            tid: call.tid,
            ppid: known.map(|info| info.ppid),
            comm: connection.comm.clone(),
            exe: known.and_then(|info| info.exe.clone()),
            start: Some(self.clock.wall(connection.start)),
        }
    }

    /// The container that a process is the init of.
    fn container_of_process(&self, tgid: u32) -> Option<Container> {
        let life = self.lives.as_ref()?.get(tgid)?;
        self.container_of(life)
    }
}

/// From when on a call is told by itself, if nobody takes it.
fn over_at(call: &Call) -> Time {
    match &call.response {
        Some(response) => response.began.plus(TAKEN_NS),
        None => call.request.began.plus(call.request.deadline_ns.unwrap_or(LONGEST_NS)).plus(GRACE_NS),
    }
}

/// Of the connection only what was said on it is known, and no packet.
fn outcome(call: &Call) -> (CallOutcome, &'static str) {
    let Some(response) = &call.response else {
        return match call.request.deadline_ns {
            Some(_) => (
                CallOutcome::Timeout,
                "no answer was read within its deadline; its connection was not watched",
            ),
            None => (
                CallOutcome::Unknown,
                "no answer was read, and its deadline is not known; its connection was not watched",
            ),
        };
    };
    let outcome = match response.allowed {
        _ if !(200..300).contains(&response.status) => CallOutcome::HttpError,
        Some(false) => CallOutcome::Denied,
        _ => CallOutcome::Answered,
    };
    let why = match response.allowed {
        None if response.is_cut => "more of the answer was there than is looked at, or it was packed",
        _ => "its connection was not watched: where the time went is not known",
    };
    (outcome, why)
}

/// Client and server, as far as they are known.
fn ends(connection: &Connection) -> (Option<SocketAddr>, Option<SocketAddr>) {
    let tunnel = connection.tunnel.as_ref().and_then(|end| end.parse().ok());
    match connection.socket {
        Some(socket) if connection.is_client => (Some(socket.local), Some(socket.remote)),
        Some(socket) => (Some(socket.remote), Some(socket.local)),
        None => (None, tunnel),
    }
}

/// Nobody has given it a name: where it is.
fn title(call: &Call) -> String {
    let by_address = || ends(call.connection()).1.map(|server| server.to_string());
    let tunnel = || call.connection().tunnel.clone();
    call.request.host.clone().or_else(by_address).or_else(tunnel).unwrap_or_else(|| "unknown".to_owned())
}

/// The connection, as far as its packets would show it.
fn wire_of(call: &Call) -> Wire {
    let connection = call.connection();
    let nowhere = || SocketAddr::from(([0, 0, 0, 0], 0));
    let (client, server) = ends(connection);
    Wire {
        cookie: connection.socket.and_then(|socket| socket.cookie).unwrap_or(0),
        tgid: Some(call.tgid),
        side: call.side(),
        client: client.unwrap_or_else(nowhere),
        server: server.unwrap_or_else(nowhere),
    }
}
