//! How a proxy has answered a request, as the span says that it has sent of it. Only spans of proxies that are known by
//! their own words are read so: any server sends a status.

use std::net::{IpAddr, SocketAddr};

use super::{Kind, Span};

/// The scope of Traefik's spans. Those of Envoy are known by their response flags.
const TRAEFIK: &str = "github.com/traefik/traefik";

/// An answer that a proxy has given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer<'a> {
    /// By which name it was asked; none of who asked by an address alone.
    pub host: Option<&'a str>,
    pub status: Option<u16>,
    /// What Envoy had to say of it; none where all was well.
    pub flags: Option<&'a str>,
}

impl Answer<'_> {
    /// The proxy had nobody who could answer.
    pub fn is_of_gateway(&self) -> bool {
        matches!(self.status, Some(502..=504))
    }
}

impl Span {
    /// `None`: it is none of a proxy, or of what a proxy has asked others.
    pub fn answer(&self) -> Option<Answer<'_>> {
        let either = |new, old| self.attribute(new).or(self.attribute(old));
        let status = either("http.response.status_code", "http.status_code");
        let status = status.and_then(|status| status.parse().ok());
        let address = self.attribute("server.address");
        if let Some(flags) = self.attribute("response_flags") {
            let asked = self.attribute("http.url");
            // What it asks others has no URL.
            if asked.is_none() && self.kind != Kind::Server {
                return None;
            }
            let host = asked.or(address).and_then(named);
            return Some(Answer { host, status, flags: (flags != "-").then_some(flags) });
        }
        let host = address.and_then(named);
        (self.kind == Kind::Server && self.scope == TRAEFIK).then_some(Answer { host, status, flags: None })
    }
}

/// A host, unless it is an address: whoever looks for open doors asks by addresses, and nobody has a route for that. From
/// the node itself nobody does.
fn named(host: &str) -> Option<&str> {
    let address = host.parse::<SocketAddr>().map(|at| at.ip());
    let address = address.or_else(|_| host.trim_matches(['[', ']']).parse::<IpAddr>());
    (!host.is_empty() && address.map_or(true, |ip| ip.is_loopback())).then_some(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(kind: Kind, scope: &str, attributes: &[(&str, &str)]) -> Span {
        let pairs = attributes.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        Span { kind, scope: scope.to_owned(), attributes: pairs.collect(), ..Span::default() }
    }

    #[test]
    fn envoy_says_whom_it_was_asked_for_and_what_was_wrong() {
        let said =
            |flags| [("http.url", "shop.example"), ("http.status_code", "404"), ("response_flags", flags)];
        let expected = Answer { host: Some("shop.example"), status: Some(404), flags: Some("NR") };
        // A sidecar calls what goes out a client's.
        for kind in [Kind::Server, Kind::Client] {
            assert_eq!(span(kind, "", &said("NR")).answer(), Some(expected));
        }
        assert_eq!(span(Kind::Server, "", &said("-")).answer(), Some(Answer { flags: None, ..expected }));
        // What it has asked others is no answer; of its own the address may be all that is said.
        assert_eq!(span(Kind::Client, "", &said("UF")[1..]).answer(), None);
        let asked =
            [("server.address", "shop.example"), ("http.status_code", "404"), ("response_flags", "NR")];
        assert_eq!(span(Kind::Server, "", &asked).answer(), Some(expected));
    }

    #[test]
    fn traefik_is_known_by_its_scope_and_other_servers_are_no_proxies() {
        let said = [("server.address", "shop.example:8080"), ("http.response.status_code", "502")];
        let expected = Answer { host: Some("shop.example:8080"), status: Some(502), flags: None };
        assert_eq!(span(Kind::Server, TRAEFIK, &said).answer(), Some(expected));
        assert!(expected.is_of_gateway());
        assert_eq!(span(Kind::Client, TRAEFIK, &said).answer(), None);
        assert_eq!(span(Kind::Server, "otelhttp", &said).answer(), None);
    }

    #[test]
    fn who_asks_by_an_address_names_nobody_but_on_the_node_itself() {
        for host in ["10.0.0.1", "10.0.0.1:80", "[2001:db8::1]", "[2001:db8::1]:80", ""] {
            assert_eq!(named(host), None, "{host}");
        }
        for host in ["shop.example:80", "127.0.0.1:80", "127.0.0.1", "[::1]:80", "[::1]"] {
            assert_eq!(named(host), Some(host));
        }
    }

    #[test]
    fn a_status_that_is_none_is_not_known() {
        let odd = span(Kind::Server, TRAEFIK, &[("http.response.status_code", "99999")]);
        assert_eq!(odd.answer(), Some(Answer { host: None, status: None, flags: None }));
    }
}
