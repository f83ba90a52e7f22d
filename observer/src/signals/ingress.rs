//! Signals of the ports by which a cluster is entered: whether the node serves them, who does, and who is refused since
//! nobody does any more.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

use super::{About, Label, Observation, Signal};
use crate::{
    input::Listening,
    output::{Container, Event, Instance, Net, NetAction, NetOutcome, RuntimeAction, Since, What},
    time::{Time, Wall},
};

/// Who answers a challenge listens for seconds: a port that is listened at for less has not been served. The one that is
/// listened at when watching begins has been.
const LEAST_SERVED_NS: u64 = 60_000_000_000;
/// Containers that are known to serve; of more it is not known.
const MAX: usize = 4_096;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Entrances {
    /// `None`: it was not looked at yet.
    node: Option<Listening>,
    /// Since when a port is listened at, of the node; `None`: since before it was looked at.
    served: BTreeMap<u16, Option<Time>>,
    /// Those that were served, and since when nobody listens there.
    gone: BTreeMap<u16, Time>,
    by: BTreeMap<Instance, BTreeSet<u16>>,
}

impl Entrances {
    pub fn of_node(&mut self, at: &Listening, now: Time, wall: Wall, mut see: impl FnMut(Observation)) {
        let since = self.node.is_some().then_some(now);
        self.served.retain(|port, served| {
            let is_gone = !at.ports.contains(port);
            if is_gone && served.is_none_or(|since| now.since(since) >= LEAST_SERVED_NS) {
                self.gone.insert(*port, now);
            }
            !is_gone
        });
        for port in &at.ports {
            let was_gone = self.gone.remove(port).is_some();
            // What was served before is served again at once.
            self.served.entry(*port).or_insert(since.filter(|_| !was_gone));
            if was_gone {
                see(served(*port, now, wall));
            }
        }
        self.node = Some(at.clone());
    }

    pub fn of_container(&mut self, container: &Container, at: &Listening) {
        let Some(instance) = container.instance else { return };
        if at.ports.is_empty() {
            self.by.remove(&instance);
        } else if self.by.len() < MAX || self.by.contains_key(&instance) {
            self.by.insert(instance, at.ports.clone());
        }
    }

    pub fn note(&mut self, event: &Event) {
        if let (What::Runtime(runtime), Some(container)) = (&event.what, &event.container)
            && runtime.action == RuntimeAction::Exit
            && let Some(instance) = container.instance
        {
            self.by.remove(&instance);
        }
    }

    /// Whether a container listens where a cluster is entered.
    pub fn has(&self, container: &Container) -> bool {
        container.instance.is_some_and(|instance| self.by.contains_key(&instance))
    }

    /// Of a connection to such a port of the node: not of who else has the same port, or where the node sends it.
    pub fn of_connection(&self, net: &Net, event: &Event, now: Time) -> Option<Observation<'static>> {
        let server = net.server.filter(|server| self.is_of_node(server))?;
        let port = server.port();
        let since = self.gone.get(&port).filter(|_| net.action == NetAction::Connect)?;
        if net.outcome == NetOutcome::Connected {
            return Some(served(port, now, event.time));
        }
        let has_no_socket = net.drop.as_ref().is_some_and(|drop| drop.reason == "NO_SOCKET");
        (net.outcome == NetOutcome::Refused && has_no_socket && net.backend.is_none()).then(|| {
            let seconds = now.since(*since) / 1_000_000_000;
            let text = format!(
                "connecting to {server}: refused; for {seconds} s no socket of this node has listened at port {port}"
            );
            of_node(Signal::IngressRefused, port, now, event.time).saying(text)
        })
    }

    fn is_of_node(&self, server: &SocketAddr) -> bool {
        let address = server.ip().to_canonical();
        self.node.as_ref().is_some_and(|node| node.addresses.contains(&address))
    }
}

fn served(port: u16, now: Time, at: Wall) -> Observation<'static> {
    of_node(Signal::IngressServed, port, now, at)
}

fn of_node(signal: Signal, port: u16, now: Time, at: Wall) -> Observation<'static> {
    let about = About {
        probe: "net",
        container: None,
        process: None,
        since: Since::Attach,
        in_teardown: false,
        is_young: false,
    };
    Observation::new(now, at, signal, 1.0, about).with(Label::Port, port.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::{Backend, Drop};

    const SERVER: &str = "10.0.0.7:80";

    fn at(ports: &[u16]) -> Listening {
        Listening { ports: ports.iter().copied().collect(), addresses: vec!["10.0.0.7".parse().unwrap()] }
    }

    fn seconds(number: u64) -> Time {
        Time(number * 1_000_000_000)
    }

    fn net(server: &str, outcome: NetOutcome, drop: &str) -> Net {
        Net {
            server: Some(server.parse().unwrap()),
            drop: Some(Drop { reason: drop.to_owned(), netns: None, of_answer: false }),
            ..Net::of(NetAction::Connect, outcome)
        }
    }

    fn seen(entrances: &Entrances, net: &Net) -> Option<Signal> {
        let event = Event {
            time: Wall(0),
            began: None,
            container: None,
            process: None,
            since: Since::Start,
            why: None,
            what: What::Net(net.clone()),
        };
        entrances.of_connection(net, &event, seconds(500)).map(|seen| seen.signal)
    }

    /// Looks at the node at these times, at each of which these are its ports; what is told of the last.
    fn looked_at(looks: &[(u64, &[u16])]) -> (Entrances, Vec<Signal>) {
        let (mut entrances, mut told) = (Entrances::default(), Vec::new());
        for (time, ports) in looks {
            told.clear();
            entrances.of_node(&at(ports), seconds(*time), Wall(0), |seen| told.push(seen.signal));
        }
        (entrances, told)
    }

    #[test]
    fn only_who_was_served_there_before_is_refused_at_an_entrance() {
        let refused = net(SERVER, NetOutcome::Refused, "NO_SOCKET");
        let (gone, _) = looked_at(&[(1, &[80]), (9, &[])]);
        assert_eq!(seen(&gone, &refused), Some(Signal::IngressRefused));
        assert_eq!(seen(&gone, &net(SERVER, NetOutcome::Connected, "")), Some(Signal::IngressServed));
        for other in [
            net("10.0.0.8:80", NetOutcome::Refused, "NO_SOCKET"),
            net("10.0.0.7:443", NetOutcome::Refused, "NO_SOCKET"),
            net(SERVER, NetOutcome::Refused, "NETFILTER_DROP"),
            net(SERVER, NetOutcome::Timeout, "NO_SOCKET"),
            // Somebody else was to answer.
            Net { backend: Some(Backend::at("10.42.0.9:8000".parse().unwrap())), ..refused.clone() },
        ] {
            assert_eq!(seen(&gone, &other), None, "{other:?}");
        }
        let (there, _) = looked_at(&[(1, &[80])]);
        assert_eq!(seen(&there, &refused), None, "somebody listens");
        let (never, _) = looked_at(&[(1, &[]), (100, &[])]);
        assert_eq!(seen(&never, &refused), None, "nobody ever did");
        let (short, _) = looked_at(&[(1, &[]), (100, &[80]), (105, &[])]);
        assert_eq!(seen(&short, &refused), None, "somebody did for a moment");
        let (long, _) = looked_at(&[(1, &[]), (100, &[80]), (160, &[])]);
        assert_eq!(seen(&long, &refused), Some(Signal::IngressRefused));
    }

    #[test]
    fn who_comes_back_serves_again() {
        let (back, told) = looked_at(&[(1, &[80]), (9, &[]), (14, &[80])]);
        assert_eq!(told, [Signal::IngressServed]);
        let refused = net(SERVER, NetOutcome::Refused, "NO_SOCKET");
        assert_eq!(seen(&back, &refused), None);
        let (gone, _) = looked_at(&[(1, &[80]), (9, &[]), (14, &[80]), (19, &[])]);
        assert_eq!(seen(&gone, &refused), Some(Signal::IngressRefused), "it was an entrance before");
    }
}
