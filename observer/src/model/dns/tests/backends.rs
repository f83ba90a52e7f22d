//! Where the node sent what containers look up.

use super::*;
use crate::{
    input::{LookupError, Route},
    output::Want,
};

fn route_to(server: &str) -> Route {
    Route { transport: Transport::Udp, from: address("10.0.0.2:4000"), to: address(server) }
}

fn behind(told: &Dns) -> Option<SocketAddr> {
    told.decided.backend.as_ref().map(|backend| backend.address)
}

/// A container's look-up at `server`, told again as one that is over at `time`: what is told and wanted of it.
fn over(watched: &mut Watched, server: &'static str, time: u64, rcode: u8) -> (Vec<Dns>, Vec<Route>) {
    watched.query(Ask { at: time, server, ..ASK });
    watched.answer(Ask { at: time + MS, server, ..ASK }, rcode, u16::from(rcode == 0));
    watched.step(&Input::Tick(Time(time + SECOND)));
    let mut event = watched.told.pop().expect("a look-up");
    event.container = Some(crate::output::Container::default());
    let route = route_to(server);
    let (mut told, mut wanted) = (Vec::new(), Vec::new());
    let times = (Time(time), Time(time + SECOND));
    watched.model.tell_with_backend(Box::new(event), Some(route), times, &mut |made| match made {
        Made::Event(event) => told.push(lookup(*event)),
        Made::Want(Want::Backend { route }) => wanted.push(route),
        _ => panic!("neither a look-up nor a question"),
    });
    (told, wanted)
}

#[test]
fn the_node_is_asked_where_it_sent_what_failed_from_another_network() {
    let mut watched = Watched::new();
    let (told, wanted) = over(&mut watched, "10.96.0.10:53", SECOND, 2);
    assert_eq!((told.len(), wanted.len()), (0, 1));
    let backend = address("10.1.0.5:5353");
    watched.fact(FactKind::Backend { route: wanted[0], result: Ok(Some(backend)) });
    let told = watched.at(3 * SECOND);
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!((told[0].outcome, behind(&told[0])), (Outcome::Servfail, Some(backend)));
    // An answer that comes twice, or to nobody.
    watched.fact(FactKind::Backend { route: wanted[0], result: Ok(Some(backend)) });
    assert_eq!(watched.at(3 * SECOND), []);

    // It sends it nowhere else, cannot say, or takes too long.
    let error = LookupError { what: "table".to_owned(), why: "not shown".to_owned() };
    for (at, result) in [(10, Some(Ok(None))), (20, Some(Err(error))), (30, None)] {
        let (told, wanted) = over(&mut watched, "10.96.0.10:53", at * SECOND, 2);
        assert_eq!((told.len(), wanted.len()), (0, 1));
        if let Some(result) = result {
            watched.fact(FactKind::Backend { route: wanted[0], result });
        }
        let told = watched.at((at + 4) * SECOND);
        assert_eq!((told.len(), behind(&told[0])), (1, None), "{told:?}");
    }
    // What never leaves its network.
    let (told, wanted) = over(&mut watched, "127.0.0.11:53", 40 * SECOND, 2);
    assert_eq!((told.len(), wanted.len()), (1, 0));
}

#[test]
fn the_node_is_not_asked_without_end() {
    const SERVICE: &str = "10.96.0.10:53";
    let mut watched = Watched::new();
    let (_, wanted) = over(&mut watched, SERVICE, SECOND, 2);
    let found = FactKind::Backend { route: wanted[0], result: Ok(Some(address("10.1.0.5:5353"))) };
    watched.fact(found);
    // Nothing is answered: those that fail leave room for what is answered all the same.
    let asked = |watched: &mut Watched, rcode| {
        let wanted = (0..1_000).map(|_| over(watched, SERVICE, 3 * SECOND, rcode).1.len());
        wanted.sum::<usize>()
    };
    assert_eq!((asked(&mut watched, 2), asked(&mut watched, 0)), (384, 128));
    // Who answered further ones is not known.
    let error = LookupError { what: "table".to_owned(), why: "not shown".to_owned() };
    for _ in 0..512 {
        watched.fact(FactKind::Backend { route: route_to(SERVICE), result: Err(error.clone()) });
    }
    assert_eq!(over(&mut watched, SERVICE, 5 * SECOND, 2).1, []);
}

#[test]
fn answers_from_where_others_failed_are_asked_about_too() {
    const SERVICE: &str = "10.96.0.10:53";
    let mut watched = Watched::new();
    let (told, wanted) = over(&mut watched, SERVICE, SECOND, 0);
    assert_eq!((told.len(), wanted.len()), (1, 0), "nothing has failed there");
    let (_, wanted) = over(&mut watched, SERVICE, 3 * SECOND, 2);
    watched.fact(FactKind::Backend { route: wanted[0], result: Ok(Some(address("10.1.0.5:5353"))) });
    watched.told.clear();
    let (told, wanted) = over(&mut watched, SERVICE, 5 * SECOND, 0);
    assert_eq!((told.len(), wanted.len()), (0, 1));
    watched.fact(FactKind::Backend { route: wanted[0], result: Ok(Some(address("10.1.0.6:5353"))) });
    let told = watched.at(6 * SECOND);
    assert_eq!((told[0].outcome, behind(&told[0])), (Outcome::Answered, Some(address("10.1.0.6:5353"))));
    let (told, wanted) = over(&mut watched, "10.96.0.11:53", 8 * SECOND, 0);
    assert_eq!((told.len(), wanted.len()), (1, 0), "another one");
    let (told, wanted) = over(&mut watched, SERVICE, 400 * SECOND, 0);
    assert_eq!((told.len(), wanted.len()), (1, 0), "long ago");
}

#[test]
fn a_service_that_answers_unseen_has_no_silent_backend() {
    const SERVICE: &str = "10.96.0.10:53";
    let found = |watched: &mut Watched, wanted: &[Route], backend: &str| {
        watched.fact(FactKind::Backend { route: wanted[0], result: Ok(Some(address(backend))) });
        behind(&watched.told.pop().map(lookup).expect("a look-up"))
    };
    let mut watched = Watched::new();
    let (_, wanted) = over(&mut watched, SERVICE, SECOND, 2);
    assert_eq!(found(&mut watched, &wanted, "10.1.0.5:5353"), Some(address("10.1.0.5:5353")));
    // The node cannot say who answered: perhaps the one that had failed.
    let (_, wanted) = over(&mut watched, SERVICE, 3 * SECOND, 0);
    watched.fact(FactKind::Backend { route: wanted[0], result: Ok(None) });
    let (told, wanted) = over(&mut watched, SERVICE, 5 * SECOND, 2);
    assert_eq!((told.len(), behind(&told[0]), wanted.len()), (1, None, 0));
    // As long as rules look back.
    let (_, wanted) = over(&mut watched, SERVICE, 310 * SECOND, 2);
    assert_eq!(found(&mut watched, &wanted, "10.1.0.5:5353"), Some(address("10.1.0.5:5353")));
}
