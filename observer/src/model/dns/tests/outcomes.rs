//! What becomes of a look-up.

use super::*;

/// Nobody is there: ECONNREFUSED.
fn refused() -> Failed {
    Failed {
        cookie: 1,
        local: address("127.0.0.1:4000"),
        remote: address("127.0.0.1:53"),
        errno: 111,
        owner: None,
    }
}

#[test]
fn each_code_has_its_outcome() {
    for (rcode, answers, outcome) in [
        (0, 1, Outcome::Answered),
        (0, 0, Outcome::Nodata),
        (1, 0, Outcome::Error),
        (2, 0, Outcome::Servfail),
        (3, 0, Outcome::Nxdomain),
        (5, 0, Outcome::Refused),
    ] {
        let mut watched = Watched::new();
        watched.query(ASK);
        watched.answer(Ask { at: SECOND + MS, ..ASK }, rcode, answers);
        let told = watched.one_at(2 * SECOND);
        assert_eq!((told.outcome, told.decided.rcode), (outcome, Some(rcode)));
        assert_eq!(told.latency_ns, Some(MS));
    }
}

#[test]
fn an_alias_without_an_address_is_no_answer() {
    let mut watched = Watched::new();
    watched.query(ASK);
    let reply = Message { is_reply: true, answers: 1, matching: Some(0), ..plain(ASK) };
    watched.message(Ask { at: SECOND + MS, ..ASK }, false, reply);
    assert_eq!(watched.one_at(2 * SECOND).outcome, Outcome::Nodata);
}

#[test]
fn a_second_server_answers_what_the_first_did_not() {
    for first in [None, Some(2), Some(5)] {
        let mut watched = Watched::new();
        watched.query(ASK);
        let mut later = SECOND + 5 * SECOND;
        if let Some(rcode) = first {
            later = SECOND + 2 * MS;
            watched.answer(Ask { at: SECOND + MS, ..ASK }, rcode, 0);
        }
        assert_eq!(watched.at(later - 1), [], "resolvers send again after 5 s");
        let second = Ask { at: later, cookie: 2, server: "10.0.0.11:53", ..ASK };
        watched.query(second);
        watched.answer(Ask { at: later + MS, ..second }, 0, 1);
        let told = watched.one_at(later + SECOND);
        assert_eq!((told.outcome, told.attempts), (Outcome::Answered, 2));
        assert_eq!(told.decided.server, Some(address("10.0.0.11:53")));
        assert_eq!(told.latency_ns, Some(later + MS - SECOND));
    }
}

#[test]
fn nobody_answering_is_a_timeout_once_resolvers_would_have_sent_again() {
    let mut watched = Watched::new();
    watched.query(ASK);
    watched.query(Ask { at: 6 * SECOND, ..ASK });
    assert_eq!(watched.at(6 * SECOND + lookup::NO_ANSWER_NS - 1), []);
    let told = watched.one_at(6 * SECOND + lookup::NO_ANSWER_NS);
    assert_eq!((told.outcome, told.attempts, told.latency_ns), (Outcome::Timeout, 2, None));
    assert_eq!((told.decided.rcode, told.decided.latency_ns), (None, None));
    // What comes later than that changes nothing.
    watched.answer(Ask { at: 20 * SECOND, ..ASK }, 0, 1);
    assert_eq!(watched.at(60 * SECOND), []);
}

#[test]
fn a_slow_answer_is_an_answer() {
    let mut watched = Watched::new();
    watched.query(ASK);
    watched.answer(Ask { at: SECOND + 4_500 * MS, ..ASK }, 0, 1);
    let told = watched.one_at(10 * SECOND);
    assert_eq!((told.outcome, told.latency_ns), (Outcome::Answered, Some(4_500 * MS)));
}

#[test]
fn what_was_cut_short_is_asked_for_by_tcp() {
    let mut watched = Watched::new();
    watched.query(ASK);
    let cut = Message { is_reply: true, is_truncated: true, ..plain(ASK) };
    watched.message(Ask { at: SECOND + MS, ..ASK }, false, cut.clone());
    let whole = Ask { at: SECOND + 2 * MS, cookie: 2, transport: Transport::Tcp, ..ASK };
    watched.query(whole);
    watched.answer(Ask { at: SECOND + 5 * MS, ..whole }, 0, 40);
    let told = watched.one_at(2 * SECOND);
    assert_eq!((told.outcome, told.attempts), (Outcome::Answered, 2));
    assert_eq!(told.decided.transport, Some(DnsTransport::Tcp));

    watched.query(Ask { at: 3 * SECOND, ..ASK });
    watched.message(Ask { at: 3 * SECOND + MS, ..ASK }, false, cut);
    assert_eq!(watched.one_at(4 * SECOND).outcome, Outcome::Truncated, "where nobody asks further");
}

#[test]
fn an_error_of_the_socket_is_the_answer_to_all_it_waits_for() {
    let mut watched = Watched::new();
    watched.query(ASK);
    watched.query(Ask { id: 101, qtype: AAAA, ..ASK });
    let failed = refused();
    watched.record(SECOND + MS, 0, dns::Event::Failed(Failed { cookie: 2, errno: 113, ..failed.clone() }));
    watched.record(SECOND + MS, 0, dns::Event::Failed(failed));
    let told = watched.one_at(2 * SECOND);
    assert_eq!((told.outcome, told.decided.errno, told.attempts), (Outcome::Error, Some(111), 2));
}

/// As busybox's nslookup does, after 2.5 s.
#[test]
fn the_same_message_sent_again_after_an_error_is_no_other_look_up() {
    let failed = refused();
    let refuse = |watched: &mut Watched, ask: Ask| {
        watched.query(ask);
        watched.record(ask.at + MS, 0, dns::Event::Failed(Failed { cookie: ask.cookie, ..failed.clone() }));
    };
    let mut watched = Watched::new();
    refuse(&mut watched, ASK);
    assert_eq!(watched.one_at(2 * SECOND).outcome, Outcome::Error);
    refuse(&mut watched, Ask { at: 3 * SECOND, ..ASK });
    assert_eq!(watched.at(5 * SECOND), []);
    // Another message, or one that is answered after all, is told.
    refuse(&mut watched, Ask { at: 6 * SECOND, cookie: 2, ..ASK });
    assert_eq!(watched.one_at(8 * SECOND).outcome, Outcome::Error);
    watched.query(Ask { at: 9 * SECOND, cookie: 2, ..ASK });
    watched.answer(Ask { at: 9 * SECOND + MS, cookie: 2, ..ASK }, 0, 1);
    assert_eq!(watched.one_at(12 * SECOND).outcome, Outcome::Answered);
}
