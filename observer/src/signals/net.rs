//! Signals of connections.

use super::{Label, Observation, Signal};
use crate::output::{Net, NetAction, NetOutcome, errno, tls_alert};

/// Whoever tries several addresses gives each of them longer than this.
const AT_ONCE_NS: u64 = 100_000_000;

pub(super) fn signals<'a>(
    net: &'a Net,
    of: impl Fn(Signal, f64) -> Observation<'a>,
    see: &mut impl FnMut(Observation<'a>),
) {
    let signal = match (net.action, net.outcome) {
        (NetAction::Handshake, NetOutcome::TlsFailed) => Signal::TlsFailed,
        (NetAction::Handshake, _) => Signal::TlsOk,
        (NetAction::Connect, NetOutcome::Connected) => Signal::NetOk,
        (NetAction::Connect, NetOutcome::Abandoned) if was_rejected(net) => Signal::NetFailed,
        // Whoever asks for several addresses at once gives up all but one.
        (_, NetOutcome::Abandoned | NetOutcome::Closed) | (NetAction::Close, _) => return,
        (NetAction::Connect, _) => Signal::NetFailed,
        (NetAction::Stall, _) => Signal::NetStalled,
    };
    let server = net.server.map(|server| server.to_string());
    let mut observation = of(signal, 1.0)
        .with_some(Label::Server, server.clone())
        .with_some(Label::Object, server.clone())
        .with(Label::Outcome, if was_rejected(net) { NetOutcome::Refused } else { net.outcome }.name())
        .with_some(Label::Errno, net.errno.and_then(errno::name))
        .with_some(Label::Drop, net.drop.as_ref().map(|drop| drop.reason.as_str()))
        .with(Label::Kind, net.server.map_or("unknown", |server| kind(server.ip())));
    if let Some(backend) = &net.backend {
        observation.set(Label::Backend, backend.address.to_string());
        // The node sends it to one.
        observation.set(Label::Endpoints, "some");
    }
    if net.action == NetAction::Handshake {
        observation.set_some(Label::Client, net.local.map(|local| local.ip().to_string()));
    }
    if let Some(alert) = &net.alert {
        let known = alert.description;
        observation.set(Label::Alert, known.and_then(tls_alert::name).unwrap_or("unknown"));
        observation.set(Label::Seen, if known.is_some() { "plain" } else { "encrypted" });
    }
    let is_component = observation.about.container.is_none();
    observation.set(Label::Component, super::yes_no(is_component));
    if !matches!(signal, Signal::NetOk | Signal::TlsOk) {
        observation.text = Some(text(net, server.as_deref().unwrap_or("an unknown address")));
    }
    see(observation);
}

/// Nobody gives up by himself so soon what a rule of this node drops: he was told. Who does not wait in `connect` asks
/// the socket for the error, and takes it away by that, where the rejection comes while `connect` runs (Linux 6.18).
fn was_rejected(net: &Net) -> bool {
    let is_by_rule = net.drop.as_ref().is_some_and(|drop| drop.reason == "NETFILTER_DROP" && !drop.of_answer);
    net.outcome == NetOutcome::Abandoned && is_by_rule && net.age_ns.is_some_and(|ns| ns < AT_ONCE_NS)
}

/// What kind of address it is: whom a packet to it can reach.
pub(super) fn kind(address: std::net::IpAddr) -> &'static str {
    let address = address.to_canonical();
    let is_private = match address {
        std::net::IpAddr::V4(address) => {
            address.is_private() || address.is_link_local() || is_shared(address)
        }
        std::net::IpAddr::V6(address) => address.is_unique_local() || address.is_unicast_link_local(),
    };
    if address.is_loopback() {
        "loopback"
    } else if is_private {
        "private"
    } else {
        "public"
    }
}

/// 100.64.0.0/10, which carriers and some clusters use.
fn is_shared(address: std::net::Ipv4Addr) -> bool {
    let [first, second, ..] = address.octets();
    first == 100 && (64..128).contains(&second)
}

fn text(net: &Net, server: &str) -> String {
    if let Some(alert) = &net.alert {
        let (by, said) = (alert.by.name(), tls_alert::text(*alert));
        return format!("the TLS handshake with {server} was ended by the {by} with {said}");
    }
    let mut text = format!("connecting to {server}: {}", net.outcome.name());
    if was_rejected(net) {
        text.push_str(" at once");
    }
    if net.action == NetAction::Stall {
        text = format!("{server} acknowledges nothing any more");
    }
    if let Some(backend) = &net.backend {
        text.push_str(&format!(", it went to {}", backend.address));
    }
    if let Some(ns) = net.age_ns.filter(|_| net.outcome == NetOutcome::Timeout) {
        text.push_str(&format!(" after {:.1} s", ns as f64 / 1e9));
    }
    if let Some(drop) = &net.drop {
        let which = if drop.of_answer { "the answer was" } else { "it was" };
        text.push_str(&format!(", {which} dropped on this node: {}", drop.reason));
    }
    text
}
