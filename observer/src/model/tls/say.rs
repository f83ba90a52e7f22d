//! Calls of webhooks that were seen in a TLS library only: told by themselves.

use std::net::SocketAddr;

use super::{Call, How, Wire};
use crate::{
    model::{Made, Model, webhook::Webhooks},
    output::{CallOutcome, CallPhases, CallSeen, Container, Event, Peer, Process, Since, Webhook, What},
    probes::tls::{Connection, Ending, Response},
    time::Time,
};

/// How long whoever follows a call's connection is given to take it, once it is answered.
const TAKEN_NS: u64 = 1_000_000_000;
/// How long after its deadline an answer may still come, and how long a call without one may wait.
const GRACE_NS: u64 = 1_000_000_000;
const LONGEST_NS: u64 = 30_000_000_000;
/// A call on a connection that is followed, and that was not taken: it is not told of that connection either.
const FORGOTTEN_NS: u64 = 60_000_000_000;
/// Who waited for this share of a deadline has waited for all of it.
const WHOLE_PERCENT: u64 = 95;
/// Of the codes with which streams end.
const REFUSED_STREAM: u32 = 7;
/// How often it is looked for calls that nobody has taken.
const LOOK_NS: u64 = 100_000_000;

impl Model {
    /// Tells what is over by this time and was taken by nobody.
    pub(in crate::model) fn calls_tick(&mut self, time: Time, make: &mut impl FnMut(Made)) {
        if time.since(self.calls.looked) >= LOOK_NS {
            self.calls.looked = time;
            let webhooks = &self.webhooks;
            let over = self.calls.take_over(|call, is_claimed| {
                let over = over_at(call, deadline(webhooks, call));
                time >= if is_claimed || is_followed(webhooks, call) { over.plus(FORGOTTEN_NS) } else { over }
            });
            self.tell_calls(over, time, make);
        }
    }

    /// At the end of a run: those that were answered, and nothing of the others.
    pub(in crate::model) fn end_of_calls(&mut self, time: Time, make: &mut impl FnMut(Made)) {
        let over = self.calls.take_over(|call, _| call.response.is_some() || call.over.is_some());
        self.tell_calls(over, time, make);
    }

    fn tell_calls(&self, over: Vec<(Call, bool)>, time: Time, make: &mut impl FnMut(Made)) {
        for (call, is_claimed) in over {
            if !is_claimed && !is_followed(&self.webhooks, &call) {
                make(Made::Event(Box::new(self.event_of_call(&call, time))));
            }
        }
    }

    fn event_of_call(&self, call: &Call, time: Time) -> Event {
        let connection = call.connection();
        let process = self.process_in(call, connection);
        let deadline_ns = deadline(&self.webhooks, call);
        let (outcome, why) = outcome(call, deadline_ns);
        let waited = call.over.filter(|over| over.how != How::Said(Ending::Missed)).map(|over| over.at);
        let heard = call.response.as_ref().map(|response| response.began).or(waited);
        let latency = heard.map(|heard| heard.since(call.request.began));
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
            name: title(&self.webhooks, call),
            client: peer(ends.0, connection.is_client),
            server,
            side: call.side(),
            method: call.request.method.clone(),
            path: call.request.path.clone(),
            deadline_ns,
            latency_ns: latency,
            phases: CallPhases::default(),
            connection_age_ns: None,
            status: response.and_then(|response| response.status),
            allowed: response.and_then(|response| response.allowed),
            message: response.and_then(|response| response.message.clone()),
            outcome,
            seen: CallSeen::TlsLibrary,
            overlapping: false,
            retransmits: 0,
            connects: 0,
            unacknowledged_bytes: None,
            parent: call.request.parent,
            server_time: None,
        };
        Event {
            time: self.clock.wall(heard.unwrap_or(time)),
            began: Some(self.clock.wall(call.request.began)),
            container: self.container_of_process(call.tgid),
            process: Some(process),
            since: Since::Attach,
            why: Some(why),
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
fn over_at(call: &Call, deadline_ns: Option<u64>) -> Time {
    match (&call.response, &call.over) {
        (Some(response), _) => response.began.plus(TAKEN_NS),
        (None, Some(over)) => over.at.plus(TAKEN_NS),
        (None, None) => call.request.began.plus(deadline_ns.unwrap_or(LONGEST_NS)).plus(GRACE_NS),
    }
}

/// Whether it is told with its connection, or not at all. Packets of HTTP/2 do not tell calls.
fn is_followed(webhooks: &Webhooks, call: &Call) -> bool {
    let wire = wire_of(call);
    if call.is_stream() {
        webhooks.is_unasked(&wire, call.request.path.as_deref())
    } else {
        webhooks.follows(&wire)
    }
}

/// What it says, or else what its callers have, as the user says.
fn deadline(webhooks: &Webhooks, call: &Call) -> Option<u64> {
    let path = call.request.path.as_deref();
    let configured = || webhooks.named(&wire_of(call), path).and_then(|target| target.timeout_ns);
    call.request.deadline_ns.or_else(|| call.is_stream().then(configured).flatten())
}

pub(super) fn outcome(call: &Call, deadline_ns: Option<u64>) -> (CallOutcome, String) {
    let (outcome, mut why) = match (&call.response, call.over) {
        (Some(response), _) => answered(response),
        (None, Some(over)) => over_without(over.how, over.at.since(call.request.began), deadline_ns),
        (None, None) => unanswered(deadline_ns),
    };
    why.push_str(if call.is_stream() {
        "; it shares a connection with others: where the time went is not known"
    } else {
        "; its connection was not watched: where the time went is not known"
    });
    if call.request.is_unresolved {
        why.push_str("; some of its headers were said before the observer listened: what is not known may have been among them");
    }
    (outcome, why.trim_start_matches("; ").to_owned())
}

fn answered(response: &Response) -> (CallOutcome, String) {
    let outcome = match (response.status, response.allowed) {
        (Some(status), _) if !(200..300).contains(&status) => CallOutcome::HttpError,
        (_, Some(false)) => CallOutcome::Denied,
        // No AdmissionReview either: it may be an error.
        (None, None) => CallOutcome::Unknown,
        _ => CallOutcome::Answered,
    };
    let why = match response.allowed {
        None if response.is_cut => "more of the answer was there than is looked at, or it was packed",
        None if response.status.is_none() => "the status of the answer was said before the observer listened",
        _ => "",
    };
    (outcome, why.to_owned())
}

fn unanswered(deadline_ns: Option<u64>) -> (CallOutcome, String) {
    match deadline_ns {
        Some(_) => (CallOutcome::Timeout, "no answer was read within its deadline".to_owned()),
        None => (CallOutcome::Unknown, "no answer was read, and its deadline is not known".to_owned()),
    }
}

/// `waited`: nanoseconds from the request until it was over.
fn over_without(how: How, waited: u64, deadline_ns: Option<u64>) -> (CallOutcome, String) {
    let ms = waited / 1_000_000;
    let given_up = |how: &str| match deadline_ns {
        Some(most) if waited >= most / 100 * WHOLE_PERCENT => {
            (CallOutcome::Timeout, format!("the client {how} after {ms} ms without an answer"))
        }
        Some(_) => (CallOutcome::Unknown, format!("the client {how} after {ms} ms, before its deadline")),
        None => {
            (CallOutcome::Unknown, format!("the client {how} after {ms} ms, and its deadline is not known"))
        }
    };
    match how {
        How::Said(Ending::Reset { by_client: true, code }) => {
            given_up(&format!("reset the stream ({})", name(code)))
        }
        How::Said(Ending::Reset { code: REFUSED_STREAM, .. }) => {
            (CallOutcome::Refused, "the server refused the stream".to_owned())
        }
        How::Said(Ending::Reset { code, .. }) => (
            CallOutcome::Reset,
            format!("the server reset the stream in place of an answer ({})", name(code)),
        ),
        How::Said(Ending::GoneAway { code }) => {
            (CallOutcome::Refused, format!("the server went away and did not look at it ({})", name(code)))
        }
        How::Said(Ending::Missed) => {
            (CallOutcome::Unknown, "a part of what passed its connection was not seen".to_owned())
        }
        How::Closed { by_client: true } => given_up("closed the connection"),
        How::Closed { by_client: false } => {
            (CallOutcome::Reset, "the server closed the connection in place of an answer".to_owned())
        }
    }
}

/// Codes of errors (RFC 9113, section 7).
fn name(code: u32) -> String {
    const NAMES: [&str; 14] = [
        "NO_ERROR",
        "PROTOCOL_ERROR",
        "INTERNAL_ERROR",
        "FLOW_CONTROL_ERROR",
        "SETTINGS_TIMEOUT",
        "STREAM_CLOSED",
        "FRAME_SIZE_ERROR",
        "REFUSED_STREAM",
        "CANCEL",
        "COMPRESSION_ERROR",
        "CONNECT_ERROR",
        "ENHANCE_YOUR_CALM",
        "INADEQUATE_SECURITY",
        "HTTP_1_1_REQUIRED",
    ];
    NAMES.get(code as usize).map_or_else(|| format!("error {code}"), |name| (*name).to_owned())
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

/// What the user calls it, or else where it is.
fn title(webhooks: &Webhooks, call: &Call) -> String {
    let path = call.request.path.as_deref();
    if let Some(target) = webhooks.named(&wire_of(call), path).filter(|_| call.is_stream()) {
        return target.title();
    }
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
