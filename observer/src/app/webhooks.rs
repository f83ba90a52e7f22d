//! Where the webhooks are that the user names: names become addresses, at the start and now and then.

use std::{
    net::{IpAddr, SocketAddr, ToSocketAddrs},
    time::{Duration, Instant},
};

use tokio::sync::mpsc;

use super::talk;
use crate::{
    input::WebhookPlace,
    probes::webhook::Target,
    source::live::{Endpoint, Live},
};

/// How often names are asked again.
const AGAIN: Duration = Duration::from_secs(60);

/// The endpoints of targets, and which of their names could not be found.
#[derive(Debug, Default)]
pub struct Found {
    pub endpoints: Vec<Endpoint>,
    pub missing: Vec<String>,
}

/// Those that are watched, by their numbers: their places among all, from 1.
pub type Numbered = Vec<(u32, Target)>;

pub fn watched(places: &[WebhookPlace]) -> Numbered {
    let numbered = (1..).zip(places).filter(|(_, place)| place.is_watched);
    numbered.map(|(number, place)| (number, place.target.clone())).collect()
}

/// Looks the names up. It may take as long as the resolver's patience.
pub fn find(targets: &[(u32, Target)]) -> Found {
    let mut found = Found::default();
    for (number, target) in targets {
        let endpoint = |address| Endpoint { address, port: target.port, target: *number };
        if target.host == "*" {
            found.endpoints.push(endpoint(None));
        } else if let Ok(address) = target.host.parse::<IpAddr>() {
            found.endpoints.push(endpoint(Some(address.to_canonical())));
        } else {
            match (target.host.as_str(), target.port).to_socket_addrs() {
                Ok(addresses) => {
                    found
                        .endpoints
                        .extend(addresses.map(|address| endpoint(Some(address.ip().to_canonical()))));
                }
                Err(error) => found.missing.push(format!("{}: {error}", target.host)),
            }
        }
    }
    found
}

/// Asks for names again, beside the run.
pub struct Names {
    targets: Numbered,
    /// Not all of them are addresses, which do not change.
    has_names: bool,
    asked: Option<Instant>,
    answer: mpsc::Sender<Found>,
    answers: mpsc::Receiver<Found>,
}

impl Names {
    /// Of targets that were found a moment ago.
    pub fn of(targets: Numbered) -> Names {
        Names { asked: Some(Instant::now()), ..Names::at_once(targets) }
    }

    /// Asks for all of them now: none was asked for yet.
    pub fn at_once(targets: Numbered) -> Names {
        let (answer, answers) = mpsc::channel(1);
        let is_name = |target: &Target| target.host != "*" && target.host.parse::<IpAddr>().is_err();
        let has_names = targets.iter().any(|(_, target)| is_name(target));
        Names { targets, has_names, asked: None, answer, answers }
    }

    pub fn targets(&self) -> &[(u32, Target)] {
        &self.targets
    }

    /// What was found since, if anything; asks again when it is time.
    pub fn poll(&mut self) -> Option<Vec<Endpoint>> {
        if self.is_due() {
            self.asked = Some(Instant::now());
            let (targets, answer) = (self.targets.clone(), self.answer.clone());
            // Full: the one before was not taken yet.
            tokio::task::spawn_blocking(move || answer.try_send(find(&targets)));
        }
        self.answers.try_recv().ok().map(|found| found.endpoints)
    }

    fn is_due(&self) -> bool {
        self.asked.is_none_or(|asked| self.has_names && asked.elapsed() >= AGAIN)
    }
}

/// Whether a number is one of theirs.
pub fn has(targets: &[(u32, Target)], number: u32) -> bool {
    targets.binary_search_by_key(&number, |(own, _)| *own).is_ok()
}

/// Watches how the process spends its time that serves at an address, or says why not.
pub fn watch_server(live: &mut Live, tgid: u32, address: SocketAddr) {
    if let Err(error) = live.watch_server(tgid, address) {
        talk::say(format_args!("what the server at {address} does with its time is not watched: {error}"));
    }
}

/// Says which names could not be found.
pub fn complain(found: &Found) {
    for missing in &found.missing {
        talk::say(format_args!("webhook {missing}; asked again every {} s", AGAIN.as_secs()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_need_no_resolver_and_names_do() {
        let targets = ["127.0.0.1:8443", "[::ffff:10.0.0.1]:1", "*:9443", "no-such-host.invalid:1"];
        let place =
            |text: &str| WebhookPlace { target: text.parse().unwrap(), by_api: false, is_watched: true };
        let gone = WebhookPlace { is_watched: false, ..place("127.0.0.1:9443") };
        let places: Vec<_> = targets.into_iter().map(place).chain([gone, place("127.0.0.1:9444")]).collect();
        let targets = watched(&places);
        assert!(has(&targets, 4) && !has(&targets, 5) && has(&targets, 6), "one that is gone has its number");
        let found = find(&targets);
        let endpoints: Vec<_> = found
            .endpoints
            .iter()
            .map(|at| (at.address.map(|address| address.to_string()), at.port, at.target))
            .collect();
        let address = |text: &str| Some(text.to_owned());
        let (first, last) = ((address("127.0.0.1"), 8443, 1), (address("127.0.0.1"), 9444, 6));
        assert_eq!(endpoints, [first, (address("10.0.0.1"), 1, 2), (None, 9443, 3), last]);
        assert!(
            found.missing.len() == 1 && found.missing[0].starts_with("no-such-host.invalid"),
            "{found:?}"
        );
        assert!(!Names::of(targets.clone()).is_due() && Names::at_once(targets).is_due());
    }
}
