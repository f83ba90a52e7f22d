//! Which endpoints are those of webhooks: what `--webhook` names.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::head::go_duration;

/// `HOST[:PORT][/PATH][,timeout=3s][,name=N]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// A name, an address, or `*` for any.
    pub host: String,
    pub port: u16,
    /// Only calls of this path, where paths are seen.
    pub path: Option<String>,
    /// After how long its callers give up, nanoseconds.
    pub timeout_ns: Option<u64>,
    pub name: Option<String>,
}

/// Why a text names no endpoint: for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} names no webhook: {why}; write HOST[:PORT][/PATH][,timeout=3s][,name=NAME]")]
pub struct WrongTarget {
    text: String,
    why: String,
}

/// Where webhooks listen unless it is said.
const HTTPS: u16 = 443;

impl Target {
    /// What it is called: its name, else where it is.
    pub fn title(&self) -> String {
        self.name.clone().unwrap_or_else(|| {
            let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
            format!("{host}:{}{}", self.port, self.path.as_deref().unwrap_or_default())
        })
    }

    /// Whether a call of this path is one of this target. A path that was not seen may be any.
    pub fn takes(&self, path: Option<&str>) -> bool {
        match (&self.path, path) {
            (Some(own), Some(path)) => own == path,
            _ => true,
        }
    }
}

impl FromStr for Target {
    type Err = WrongTarget;

    fn from_str(text: &str) -> Result<Self, WrongTarget> {
        let wrong = |why: &str| WrongTarget { text: text.to_owned(), why: why.to_owned() };
        let mut parts = text.split(',');
        let place = parts.next().unwrap_or_default();
        let (place, path) = match place.find('/') {
            Some(at) => (&place[..at], Some(place[at..].to_owned())),
            None => (place, None),
        };
        let (host, port) = host_and_port(place).map_err(wrong)?;
        let mut target = Target { host: host.to_owned(), port, path, timeout_ns: None, name: None };
        for part in parts {
            match part.split_once('=') {
                Some(("timeout", duration)) => {
                    let ns = go_duration(duration).filter(|ns| *ns > 0);
                    target.timeout_ns = Some(ns.ok_or_else(|| wrong("its timeout is no duration"))?);
                }
                Some(("name", name)) if !name.is_empty() => target.name = Some(name.to_owned()),
                _ => return Err(wrong("after the first comma come only timeout= and name=")),
            }
        }
        Ok(target)
    }
}

fn host_and_port(place: &str) -> Result<(&str, u16), &'static str> {
    let (host, port) = match place.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']').ok_or("a bracket is not closed")?;
            let port = match rest.strip_prefix(':') {
                Some(port) => Some(port),
                None if rest.is_empty() => None,
                None => return Err("after the bracket comes only a port"),
            };
            (host, port)
        }
        // More than one colon: an address of IPv6 without a port.
        None if place.matches(':').count() > 1 => (place, None),
        None => place.split_once(':').map_or((place, None), |(host, port)| (host, Some(port))),
    };
    let port = match port {
        Some(port) => port.parse().ok().filter(|port| *port != 0).ok_or("its port is no port")?,
        None => HTTPS,
    };
    let is_plain = |c: char| c.is_ascii_alphanumeric() || ".-_:*%".contains(c);
    if host.is_empty() || !host.chars().all(is_plain) {
        return Err("it has no host");
    }
    Ok((host, port))
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.title())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Target {
        text.parse().unwrap_or_else(|error| panic!("{error}"))
    }

    fn target(host: &str, port: u16) -> Target {
        Target { host: host.to_owned(), port, path: None, timeout_ns: None, name: None }
    }

    #[test]
    fn what_is_documented_is_read() {
        assert_eq!(read("gatekeeper.svc"), target("gatekeeper.svc", 443));
        assert_eq!(read("10.0.0.7:8443"), target("10.0.0.7", 8443));
        assert_eq!(read("[fd00::1]:8443"), target("fd00::1", 8443));
        assert_eq!(read("fd00::1"), target("fd00::1", 443));
        assert_eq!(read("*:9443"), target("*", 9443));
        let all = read("10.0.0.7:8443/v1/admit,timeout=3s,name=gatekeeper");
        let path = Some("/v1/admit".to_owned());
        let name = Some("gatekeeper".to_owned());
        assert_eq!(all, Target { path, timeout_ns: Some(3_000_000_000), name, ..target("10.0.0.7", 8443) });
        assert_eq!(all.title(), "gatekeeper");
        assert_eq!(read("[fd00::1]:8443/x").title(), "[fd00::1]:8443/x");
    }

    #[test]
    fn what_names_nothing_is_told_with_what_to_write() {
        for text in [
            "",
            ":443",
            "/path",
            "host:0",
            "host:http",
            "host:70000",
            "[::1",
            "[::1]8",
            "a b",
            "host,timeout=soon",
            "host,timeout=0s",
            "host,name=",
            "host,colour=red",
            "host,",
        ] {
            let error = text.parse::<Target>().expect_err(text).to_string();
            assert!(error.contains("write HOST"), "{text}: {error}");
        }
    }

    #[test]
    fn a_path_that_was_not_seen_may_be_any() {
        let target = read("h/a");
        assert!(target.takes(Some("/a")) && target.takes(None) && !target.takes(Some("/b")));
        assert!(read("h").takes(Some("/b")));
    }
}
