//! The attributes of `dns.lookup`.

use super::{Attributes, optional};
use crate::{
    output::{Dns, DnsQuestion},
    sink::{errno, rcode},
};

/// Gives what the failure is called, if it is one.
pub(super) fn attributes(to: &mut Attributes, dns: &Dns) -> String {
    let DnsQuestion { name, qtype, server, backend, transport, rcode, errno, .. } = &dns.decided;
    to.text("dns.question.name", name.as_str());
    if let Some(server) = server {
        to.text("server.address", server.ip().to_string().as_str());
        to.int("server.port", server.port());
    }
    if let Some(backend) = backend {
        to.text("network.peer.address", backend.address.ip().to_string().as_str());
        to.int("network.peer.port", backend.address.port());
    }
    if let Some(transport) = transport {
        to.text("network.transport", transport.name());
    }
    to.text("observer.dns.question.type", qtype.as_str());
    to.text("observer.dns.outcome", dns.outcome.name());
    to.int("observer.dns.attempts", dns.attempts);
    optional(to, "observer.dns.rcode", *rcode);
    let errno = errno.and_then(errno::name);
    let named = errno.or(rcode.filter(|code| *code != 0).and_then(rcode::name));
    named.unwrap_or(dns.outcome.name()).to_owned()
}
