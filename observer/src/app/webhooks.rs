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

/// How soon names are asked again; one that is not found half as often each time, up to the longest pause.
const AGAIN: Duration = Duration::from_secs(60);
const LONGEST: Duration = Duration::from_secs(16 * 60);

type Places = Result<Vec<Endpoint>, String>;

/// What the user named, and where each is by now.
pub struct Webhooks {
    names: Vec<Name>,
    is_asking: bool,
    answer: mpsc::Sender<Vec<(usize, Places)>>,
    answers: mpsc::Receiver<Vec<(usize, Places)>>,
}

struct Name {
    target: Target,
    places: Vec<Endpoint>,
    is_missing: bool,
    pause: Duration,
    /// When to ask; `None`: it is an address, which does not change.
    due: Option<Instant>,
}

impl Webhooks {
    /// None of them was looked up yet: that is done beside the run.
    pub fn to_find(targets: &[Target]) -> Webhooks {
        let (answer, answers) = mpsc::channel(1);
        let name = |target: &Target| Name {
            target: target.clone(),
            places: Vec::new(),
            is_missing: false,
            pause: AGAIN,
            due: Some(Instant::now()),
        };
        Webhooks { names: targets.iter().map(name).collect(), is_asking: false, answer, answers }
    }

    /// Looks all of them up. It may take as long as the resolver's patience.
    pub fn find(targets: &[Target]) -> Webhooks {
        let mut webhooks = Webhooks::to_find(targets);
        for (place, name) in webhooks.names.iter_mut().enumerate() {
            name.take(look_up(place, &name.target));
        }
        webhooks
    }

    pub fn len(&self) -> usize {
        self.names.len()
    }

    pub fn endpoints(&self) -> Vec<Endpoint> {
        self.names.iter().flat_map(|name| &name.places).copied().collect()
    }

    /// Where all of them are, if it was asked since; asks again for those for which it is time.
    pub fn poll(&mut self) -> Option<Vec<Endpoint>> {
        let found = self.answers.try_recv().ok();
        let news = found.map(|found| {
            self.is_asking = false;
            found.into_iter().for_each(|(place, found)| self.names[place].take(found));
            self.endpoints()
        });
        self.ask();
        news
    }

    fn ask(&mut self) {
        let now = Instant::now();
        let is_due = |name: &Name| name.due.is_some_and(|due| due <= now);
        let due = self.names.iter().enumerate().filter(|(_, name)| is_due(name));
        let due: Vec<(usize, Target)> = due.map(|(place, name)| (place, name.target.clone())).collect();
        if due.is_empty() || std::mem::replace(&mut self.is_asking, true) {
            return;
        }
        let answer = self.answer.clone();
        tokio::task::spawn_blocking(move || {
            let found = due.iter().map(|(place, target)| (*place, look_up(*place, target))).collect();
            // The run is over.
            let _ = answer.try_send(found);
        });
    }
}

impl Name {
    /// What was found stays watched while it is not found any more: the name service may be what is broken.
    fn take(&mut self, found: Places) {
        let host = &self.target.host;
        match found {
            Ok(places) => {
                if std::mem::take(&mut self.is_missing) {
                    talk::say(format_args!("webhook {host}: found"));
                }
                self.places = places;
                self.pause = AGAIN;
            }
            Err(_) if self.is_missing => self.pause = (self.pause * 2).min(LONGEST),
            Err(why) => {
                self.is_missing = true;
                let seconds = self.pause.as_secs();
                talk::say(format_args!("webhook {host}: {why}; asked again in {seconds} s, then less often"));
            }
        }
        self.due = is_name(&self.target).then(|| Instant::now() + self.pause);
    }
}

fn is_name(target: &Target) -> bool {
    target.host != "*" && target.host.parse::<IpAddr>().is_err()
}

/// Where the target at this place is.
fn look_up(place: usize, target: &Target) -> Places {
    let endpoint = |address| Endpoint { address, port: target.port, target: place as u32 + 1 };
    if target.host == "*" {
        return Ok(vec![endpoint(None)]);
    }
    let found = (target.host.as_str(), target.port).to_socket_addrs().map_err(|error| error.to_string())?;
    Ok(found.map(|address| endpoint(Some(address.ip().to_canonical()))).collect())
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

/// Watches how the process spends its time that serves at an address, or says why not.
pub fn watch_server(live: &mut Live, tgid: u32, address: SocketAddr) {
    if let Err(error) = live.watch_server(tgid, address) {
        talk::say(format_args!("what the server at {address} does with its time is not watched: {error}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn targets(texts: &[&str]) -> Vec<Target> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn addresses_need_no_resolver_and_names_do() {
        let hosts = ["127.0.0.1:8443", "[::ffff:10.0.0.1]:1", "*:9443", "no-such-host.invalid:1"];
        let found = Webhooks::find(&targets(&hosts));
        let endpoints: Vec<_> = found
            .endpoints()
            .iter()
            .map(|at| (at.address.map(|address| address.to_string()), at.port, at.target))
            .collect();
        let address = |text: &str| Some(text.to_owned());
        let expected = [(address("127.0.0.1"), 8443, 1), (address("10.0.0.1"), 1, 2), (None, 9443, 3)];
        assert_eq!(endpoints, expected);
        let asked_again: Vec<bool> = found.names.iter().map(|name| name.due.is_some()).collect();
        assert_eq!(asked_again, [false, false, false, true]);
        assert!(found.names[3].is_missing);
    }

    #[test]
    fn what_is_not_found_any_more_is_asked_for_less_often_and_stays_watched() {
        let named = targets(&["hook.example:443"]);
        let name = &mut Webhooks::to_find(&named).names[0];
        let place = Endpoint { address: Some([10, 0, 0, 1].into()), port: 443, target: 1 };
        name.take(Ok(vec![place]));
        let mut pauses = Vec::new();
        for _ in 0..6 {
            name.take(Err("nobody answers".to_owned()));
            pauses.push(name.pause.as_secs());
        }
        assert_eq!(pauses, [60, 120, 240, 480, 960, 960]);
        assert_eq!((name.is_missing, name.places.as_slice()), (true, &[place][..]));
        name.take(Ok(Vec::new()));
        assert_eq!((name.is_missing, name.pause, name.places.len()), (false, AGAIN, 0));
    }
}
