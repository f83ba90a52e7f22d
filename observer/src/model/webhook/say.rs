//! A call as an event: whose it is, between whom, what it is called.

use observer_ebpf::wire::webhook::known;

use super::{
    super::{Made, Model},
    Ended,
    call::{Call, Followed},
    verdict::Verdict,
};
use crate::{
    output::{CallSeen, Event, Peer, Process, Side, Since, Webhook, What},
    time::Time,
};

impl Model {
    pub(super) fn tell_call(&self, ended: &Ended, make: &mut impl FnMut(Made)) {
        let Ended { followed, call, verdict, at, others, title, deadline_ns, .. } = ended;
        let owner = followed.owner.as_ref();
        let own = owner.map(|owner| self.process_of(owner));
        let theirs = others.as_ref().map(|owner| self.process_of(owner));
        let is_client = followed.seen.is_clients();
        let (container, _, unknown) = owner.map_or((None, Since::Attach, None), |owner| self.whose(owner));
        let began = call.as_ref().map(|call| call.began);
        let what = Webhook {
            deadline_ns: *deadline_ns,
            server_time: self.server_time(ended),
            ..describe(
                followed,
                call.as_ref(),
                verdict,
                title,
                if is_client { (own.clone(), theirs) } else { (theirs, own.clone()) },
            )
        };
        let unknown = match owner {
            None => Some("whose socket it is, is not known: it is older than the observer, or was accepted"),
            Some(_) => unknown,
        };
        let why: Vec<&str> = verdict.why.as_deref().into_iter().chain(unknown).collect();
        make(Made::Event(Box::new(Event {
            time: self.clock.wall(*at),
            began: began.or(followed.seen.syn).or(followed.seen.hello).map(|time| self.clock.wall(time)),
            container,
            process: own,
            since: if followed.is_fresh() { Since::Start } else { Since::Attach },
            why: (!why.is_empty()).then(|| why.join("; ")),
            what: What::Webhook(Box::new(what)),
        })));
    }
}

fn describe(
    followed: &Followed,
    call: Option<&Call>,
    verdict: &Verdict,
    title: &str,
    (client, server): (Option<Process>, Option<Process>),
) -> Webhook {
    let seen = &followed.seen;
    let (from, to) = seen.ends();
    let said = call.and_then(|call| call.said.as_ref());
    let head = call.and_then(|call| call.head.as_ref());
    let method = said.and_then(|said| said.method.clone()).or(head.map(|head| head.method.clone()));
    let path = said.and_then(|said| said.path.clone()).or(head.and_then(|head| head.path.clone()));
    let host = followed.hello.as_ref().and_then(|hello| hello.server_name.clone());
    let peer = |at: std::net::SocketAddr, host, process| Peer {
        address: Some(at.ip()),
        port: Some(at.port()),
        host,
        pod: None,
        process,
    };
    let age = |call: &Call| Some(call.began.since(seen.syn.or(seen.hello)?));
    let request = call.map_or(&seen.request, |call| &call.request);
    Webhook {
        name: title.to_owned(),
        client: peer(from, None, client),
        server: peer(to, host, server),
        side: if seen.is_clients() { Side::Client } else { Side::Server },
        method,
        path,
        deadline_ns: None,
        latency_ns: verdict.latency_ns,
        phases: verdict.phases,
        server_time: None,
        connection_age_ns: call.and_then(age),
        status: said.and_then(|said| said.status).or(call.and_then(|call| call.status)),
        allowed: said.and_then(|said| said.allowed),
        message: said.and_then(|said| said.message.clone()),
        outcome: verdict.outcome,
        seen: match said {
            Some(_) => CallSeen::TlsLibrary,
            None if seen.is(known::PLAIN) => CallSeen::Plain,
            None => CallSeen::Socket,
        },
        overlapping: call.is_some_and(|call| call.overlapping),
        retransmits: request.again,
        connects: seen.syns,
        parent: said.and_then(|said| said.parent),
        unacknowledged_bytes: call
            .filter(|call| is_farewell(followed, call))
            .map_or(request.unacknowledged, |_| Some(0)),
    }
}

/// What is not acknowledged at the end is what a client says when it closes, by TLS: the server was heard of after the
/// request, and nothing of it had to be sent again.
fn is_farewell(followed: &Followed, call: &Call) -> bool {
    call.request.again == 0 && followed.seen.answer.seen.is_some_and(|heard| heard >= call.began)
}

/// When a call was over, as far as its packets say.
pub(super) fn end_of(call: Option<&Call>, at: Time) -> Time {
    call.and_then(|call| call.answer.as_ref()?.last).unwrap_or(at)
}
