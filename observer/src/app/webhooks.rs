//! Where the webhooks are that the user names: names become addresses, at the start and now and then.

use std::{
    net::{IpAddr, SocketAddr, ToSocketAddrs},
    time::{Duration, Instant},
};

use tokio::sync::mpsc;

use super::talk;
use crate::{
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

/// Looks the names up. It may take as long as the resolver's patience.
pub fn find(targets: &[Target]) -> Found {
    let mut found = Found::default();
    for (place, target) in targets.iter().enumerate() {
        let number = place as u32 + 1;
        let endpoint = |address| Endpoint { address, port: target.port, target: number };
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

/// Where those are that come after the first so many, which are known by their addresses.
pub fn addressed(targets: &[Target], after: usize) -> Vec<Endpoint> {
    let numbered = targets.iter().enumerate().skip(after);
    let endpoint = |(place, target): (usize, &Target)| {
        let address = target.host.parse::<IpAddr>().ok()?.to_canonical();
        Some(Endpoint { address: Some(address), port: target.port, target: place as u32 + 1 })
    };
    numbered.filter_map(endpoint).collect()
}

/// Asks for names again, beside the run.
pub struct Names {
    targets: Vec<Target>,
    asked: Option<Instant>,
    answer: mpsc::Sender<Found>,
    answers: mpsc::Receiver<Found>,
}

impl Names {
    /// `None`: addresses do not change.
    pub fn of(targets: &[Target]) -> Option<Names> {
        let is_name = |target: &Target| target.host != "*" && target.host.parse::<IpAddr>().is_err();
        let names = Names { asked: Some(Instant::now()), ..Names::at_once(targets) };
        targets.iter().any(is_name).then_some(names)
    }

    /// Asks for all of them now: none was asked for yet.
    pub fn at_once(targets: &[Target]) -> Names {
        let (answer, answers) = mpsc::channel(1);
        Names { targets: targets.to_vec(), asked: None, answer, answers }
    }

    /// What was found since, if anything; asks again when it is time.
    pub fn poll(&mut self) -> Option<Vec<Endpoint>> {
        if self.asked.is_none_or(|asked| asked.elapsed() >= AGAIN) {
            self.asked = Some(Instant::now());
            let (targets, answer) = (self.targets.clone(), self.answer.clone());
            // Full: the one before was not taken yet.
            tokio::task::spawn_blocking(move || answer.try_send(find(&targets)));
        }
        self.answers.try_recv().ok().map(|found| found.endpoints)
    }
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
        let targets: Vec<Target> = targets.iter().map(|text| text.parse().unwrap()).collect();
        let found = find(&targets);
        let endpoints: Vec<_> = found
            .endpoints
            .iter()
            .map(|at| (at.address.map(|address| address.to_string()), at.port, at.target))
            .collect();
        let address = |text: &str| Some(text.to_owned());
        let expected = [(address("127.0.0.1"), 8443, 1), (address("10.0.0.1"), 1, 2), (None, 9443, 3)];
        assert_eq!(endpoints, expected);
        assert!(
            found.missing.len() == 1 && found.missing[0].starts_with("no-such-host.invalid"),
            "{found:?}"
        );
        assert!(Names::of(&targets[..3]).is_none() && Names::of(&targets).is_some());
    }
}
