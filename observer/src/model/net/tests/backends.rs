//! Where the node sent what containers connect to.

use super::*;
use crate::{input::Route, output::Want};

const BACKEND: &str = "10.42.0.9:8443";
const SECOND: u64 = 1_000 * MS;

/// A container's connections to a service, one after the other.
struct Watched {
    model: Model,
    now: Time,
    told: Vec<Net>,
    wanted: Vec<Route>,
}

impl Watched {
    fn new() -> Self {
        Watched { model: Model::new(0, true), now: Time(0), told: Vec::new(), wanted: Vec::new() }
    }

    fn step(&mut self, input: &Input) {
        let (told, wanted) = (&mut self.told, &mut self.wanted);
        self.model.step(input, &mut |made| match made {
            Made::Event(event) => told.extend(net_of(*event)),
            Made::Want(Want::Backend { route }) => wanted.push(route),
            _ => {}
        });
    }

    /// A container's connection that ended so; what was dropped of it before: whereto.
    fn connects(&mut self, errno: Option<i32>, dropped_to: Option<&str>) {
        self.now = self.now.plus(SECOND);
        let state = if errno.is_some() { State::Failed } else { State::Established };
        let seen = Connection { errno, began: self.now, ..connection(state) };
        if let Some(to) = dropped_to {
            let time = self.now.plus(MS);
            let event = Probed::Net(dropped(LOCAL, to, 3));
            let record = Record { time, tgid: 0, tid: 0, unreadable: false, late: false, event };
            self.step(&Input::Record(record));
        }
        let time = self.now.plus(2 * MS);
        let what = self.model.connection(time, &seen).expect("it is told");
        let mut event = self.model.event_by(&seen.owner, time, None, What::Net(what));
        event.container = Some(crate::output::Container::default());
        let (told, wanted) = (&mut self.told, &mut self.wanted);
        self.model.tell_with_backend(event, Some(route()), (seen.began, time), &mut |made| match made {
            Made::Event(event) => told.extend(net_of(*event)),
            Made::Want(Want::Backend { route }) => wanted.push(route),
            _ => panic!("neither told nor asked about"),
        });
    }

    fn finds(&mut self, backend: Option<&str>) {
        let result = Ok(backend.map(|text| text.parse().unwrap()));
        let what = FactKind::Backend { route: self.wanted.pop().expect("asked"), result };
        self.step(&Input::Fact(Fact { time: self.now, what }));
    }

    /// What was told of the only one since, and whether there is anything left to find.
    fn only(&mut self) -> (NetOutcome, Option<String>, Option<String>) {
        assert_eq!((self.told.len(), self.wanted.len()), (1, 0), "{:?}", self.told);
        let net = self.told.remove(0);
        let backend = net.backend.map(|backend| backend.address.to_string());
        (net.outcome, backend, net.drop.map(|drop| drop.reason))
    }
}

fn net_of(event: Event) -> Option<Net> {
    if let What::Net(net) = event.what { Some(net) } else { None }
}

fn route() -> Route {
    Route { transport: Transport::Tcp, from: LOCAL.parse().unwrap(), to: SERVER.parse().unwrap() }
}

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[test]
fn what_nobody_answered_is_found_by_the_table_and_so_is_what_is_answered_from_then_on() {
    let mut watched = Watched::new();
    watched.connects(None, None);
    assert_eq!(watched.only(), (NetOutcome::Connected, None, None), "nothing has failed there");
    watched.connects(Some(ETIMEDOUT), None);
    assert_eq!(watched.wanted, [route()]);
    watched.finds(Some(BACKEND));
    assert_eq!(watched.only(), (NetOutcome::Timeout, text(BACKEND), None));
    watched.connects(None, None);
    watched.finds(Some("10.42.0.8:8443"));
    assert_eq!(watched.only(), (NetOutcome::Connected, text("10.42.0.8:8443"), None));
    // Once somebody has answered of whom that is not known, nobody is said to be silent.
    watched.connects(None, None);
    watched.finds(None);
    assert_eq!(watched.only(), (NetOutcome::Connected, None, None));
    watched.connects(Some(ETIMEDOUT), None);
    assert_eq!(watched.only(), (NetOutcome::Timeout, None, None));
}

#[test]
fn what_is_refused_is_found_by_the_packet_that_nobody_took() {
    let mut watched = Watched::new();
    watched.connects(Some(ECONNREFUSED), Some(BACKEND));
    assert_eq!(watched.only(), (NetOutcome::Refused, text(BACKEND), text("3")));
    // A server that nobody stands before; one on another node; a packet that was dropped before it began.
    watched.connects(Some(ECONNREFUSED), Some(SERVER));
    assert_eq!(watched.only(), (NetOutcome::Refused, None, text("3")));
    watched.connects(Some(ECONNREFUSED), None);
    assert_eq!(watched.only(), (NetOutcome::Refused, None, None));
}

#[test]
fn nobody_is_behind_what_is_given_up_or_forbidden() {
    let mut watched = Watched::new();
    for errno in [EACCES, ECONNRESET] {
        watched.connects(Some(errno), Some(BACKEND));
        assert_eq!(watched.only().1, None, "{errno}");
    }
}

#[test]
fn a_pod_is_named_where_kubernetes_knows_it() {
    use crate::input::{Kube, KubeKind, KubePod};
    let mut watched = Watched::new();
    let pod = KubePod {
        namespace: "shop".to_owned(),
        name: "db-0".to_owned(),
        ips: vec!["10.42.0.9".parse().unwrap()],
        ..KubePod::default()
    };
    let result = Box::new(Ok(Kube::Pods(vec![pod])));
    let what = FactKind::Kube { kind: KubeKind::Pods, result };
    watched.step(&Input::Fact(Fact { time: Time(0), what }));
    watched.connects(Some(ECONNREFUSED), Some(BACKEND));
    let backend = watched.told[0].backend.take().expect("a backend");
    assert_eq!((backend.address.to_string().as_str(), backend.pod.as_deref()), (BACKEND, Some("shop/db-0")));
}

#[test]
fn what_is_answered_while_the_node_is_asked_about_a_failure_is_asked_about_too() {
    let mut watched = Watched::new();
    watched.connects(Some(ETIMEDOUT), None);
    watched.connects(None, None);
    assert_eq!((watched.told.len(), watched.wanted.len()), (0, 2));
    watched.finds(Some(BACKEND));
    assert_eq!(watched.told.remove(0).outcome, NetOutcome::Timeout);
    // What fails after it is told after it.
    watched.connects(Some(ECONNREFUSED), Some(BACKEND));
    assert!(watched.told.is_empty(), "{:?}", watched.told);
    watched.finds(Some(BACKEND));
    assert_eq!(watched.told.pop().map(|net| net.outcome), Some(NetOutcome::Refused));
    assert_eq!(watched.only(), (NetOutcome::Connected, text(BACKEND), None));
}
