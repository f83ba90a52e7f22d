//! Look-ups by the C library that failed although nobody was asked. Told is what can be a fault of the container: a
//! caller that wants no name looked up, or asks for what there cannot be, gets what it asked for.

use crate::{
    model::{Made, Model},
    output::{Dns, DnsOutcome, DnsQuestion, DnsTransport, Event, What},
    probes::{Record, dns::Unresolved},
};

/// Numbers of glibc and musl alike.
const EAI_NONAME: i32 = -2;
const EAI_AGAIN: i32 = -3;
const EAI_FAIL: i32 = -4;
const EAI_SERVICE: i32 = -8;
const EAI_MEMORY: i32 = -10;
const EAI_SYSTEM: i32 = -11;

const AI_NUMERICHOST: u32 = 1 << 2;
/// Only such addresses are wanted as the host has some of itself.
const AI_ADDRCONFIG: u32 = 1 << 5;
const AF_UNSPEC: u32 = 0;
const AF_INET6: u32 = 10;

/// What the library calls its own result, if a look-up can have failed with that.
const fn said(result: i32) -> Option<&'static str> {
    Some(match result {
        EAI_NONAME => "EAI_NONAME",
        EAI_AGAIN => "EAI_AGAIN",
        EAI_FAIL => "EAI_FAIL",
        EAI_SERVICE => "EAI_SERVICE",
        EAI_MEMORY => "EAI_MEMORY",
        EAI_SYSTEM => "EAI_SYSTEM",
        // The name is known without addresses of that kind, or the call itself is wrong.
        _ => return None,
    })
}

/// What the call came to; nothing if it is no failure of a look-up.
fn failure(call: &Unresolved) -> Option<Dns> {
    let (said, name) = (said(call.result)?, call.name.as_ref()?);
    let is_of_one_kind = call.family != AF_UNSPEC;
    let is_without_addresses = call.flags & AI_ADDRCONFIG != 0 && is_of_one_kind && call.result == EAI_NONAME;
    if call.flags & AI_NUMERICHOST != 0 || is_without_addresses {
        return None;
    }
    let (server, errno) = call.refused.unzip();
    let outcome = if errno.is_some() { DnsOutcome::Error } else { DnsOutcome::NoPacket };
    let question = |qtype: &str| DnsQuestion {
        name: name.clone(),
        qtype: qtype.to_owned(),
        outcome,
        server,
        backend: None,
        transport: server.map(|_| DnsTransport::Udp),
        rcode: None,
        errno,
        latency_ns: None,
        attempts: 0,
    };
    let questions = match call.family {
        AF_UNSPEC => vec![question("A"), question("AAAA")],
        AF_INET6 => vec![question("AAAA")],
        _ => vec![question("A")],
    };
    Some(Dns {
        decided: questions[0].clone(),
        outcome,
        latency_ns: None,
        resolver_error: Some(said),
        drop: None,
        attempts: 0,
        questions,
        questions_left_out: 0,
    })
}

impl Model {
    pub(super) fn tell_unasked(&self, record: &Record, call: &Unresolved, make: &mut impl FnMut(Made)) {
        // Of hints that could not be read it is not known what they ask for.
        let Some(told) = failure(call).filter(|_| !record.unreadable) else { return };
        let (container, since, lack) = self.whose(&call.owner);
        make(Made::Event(Box::new(Event {
            time: self.clock.wall(record.time),
            began: Some(self.clock.wall(call.began)),
            container,
            process: Some(self.process_of(&call.owner)),
            since,
            why: lack.map(ToOwned::to_owned),
            what: What::Dns(told),
        })));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        probes::{packet::Owner, process::CgroupIds},
        time::Time,
    };

    fn call(result: i32) -> Unresolved {
        Unresolved {
            owner: Owner {
                tgid: 7,
                tid: 8,
                start: Time(1),
                init: None,
                role: 16,
                cgroup: CgroupIds { memory: 0, unified: 0 },
                comm: "app".into(),
            },
            began: Time(5),
            name: Some("db.test".into()),
            result,
            flags: 0,
            family: AF_UNSPEC,
            refused: None,
        }
    }

    #[test]
    fn what_fails_without_a_query_is_told_with_what_the_library_said() {
        for (result, name) in
            [(-2, "EAI_NONAME"), (-3, "EAI_AGAIN"), (-8, "EAI_SERVICE"), (-11, "EAI_SYSTEM")]
        {
            let told = failure(&call(result)).expect(name);
            assert_eq!((told.outcome, told.resolver_error), (DnsOutcome::NoPacket, Some(name)));
            let types: Vec<&str> = told.questions.iter().map(|one| one.qtype.as_str()).collect();
            assert_eq!((types, told.attempts, told.decided.server), (vec!["A", "AAAA"], 0, None));
        }
        let only = failure(&Unresolved { family: AF_INET6, ..call(EAI_AGAIN) }).expect("told");
        assert_eq!((only.decided.qtype.as_str(), only.questions.len()), ("AAAA", 1));
    }

    #[test]
    fn whom_it_could_not_reach_is_an_error() {
        let server = "10.96.0.10:53".parse().unwrap();
        let told = failure(&Unresolved { refused: Some((server, 101)), ..call(EAI_AGAIN) }).expect("told");
        assert_eq!((told.outcome, told.decided.server), (DnsOutcome::Error, Some(server)));
        assert_eq!((told.decided.errno, told.decided.transport), (Some(101), Some(DnsTransport::Udp)));
    }

    #[test]
    fn who_gets_what_it_asked_for_has_not_failed() {
        let none = |call: Unresolved| assert_eq!(failure(&call), None, "{call:?}");
        none(Unresolved { flags: AI_NUMERICHOST, ..call(EAI_NONAME) });
        none(Unresolved { name: None, ..call(EAI_NONAME) });
        none(Unresolved { flags: AI_ADDRCONFIG, family: AF_INET6, ..call(EAI_NONAME) });
        // Hints that contradict themselves, and names that have addresses of the other kind only.
        for result in [-1, -5, -6, -7, -9] {
            none(call(result));
        }
        assert!(
            failure(&Unresolved { flags: AI_ADDRCONFIG, ..call(EAI_NONAME) }).is_some(),
            "of either kind"
        );
    }
}
