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

/// How soon names are asked again; one that is not found half as often each time, up to the longest pause.
const AGAIN: Duration = Duration::from_secs(60);
const LONGEST: Duration = Duration::from_secs(16 * 60);

type Places = Result<Vec<Endpoint>, String>;

/// Those that are watched, and where each is by now.
pub struct Webhooks {
    names: Vec<Name>,
    is_asking: bool,
    answer: mpsc::Sender<Vec<(u32, Places)>>,
    answers: mpsc::Receiver<Vec<(u32, Places)>>,
}

struct Name {
    /// Its place among all that were ever named, from 1.
    number: u32,
    target: Target,
    places: Vec<Endpoint>,
    is_missing: bool,
    pause: Duration,
    /// When to ask; `None`: it is an address, which does not change.
    due: Option<Instant>,
}

impl Webhooks {
    /// Looks all of them up. It may take as long as the resolver's patience.
    pub fn find(places: &[WebhookPlace]) -> Webhooks {
        let (answer, answers) = mpsc::channel(1);
        let mut webhooks = Webhooks { names: Vec::new(), is_asking: false, answer, answers };
        webhooks.name(places);
        for name in &mut webhooks.names {
            name.take(look_up(name.number, &name.target));
        }
        webhooks
    }

    /// Watches these from now on, and says whether they are others than before. What is new is looked up beside the run.
    pub fn name(&mut self, places: &[WebhookPlace]) -> bool {
        let named: Vec<(u32, &Target)> = (1..)
            .zip(places)
            .filter(|(_, place)| place.is_watched)
            .map(|(number, place)| (number, &place.target))
            .collect();
        if named.iter().copied().eq(self.names.iter().map(|name| (name.number, &name.target))) {
            return false;
        }
        let mut before = std::mem::take(&mut self.names).into_iter().peekable();
        for (number, target) in named {
            while before.next_if(|name| name.number < number).is_some() {}
            let known = before.next_if(|name| name.number == number && name.target == *target);
            self.names.push(known.unwrap_or_else(|| Name::new(number, target)));
        }
        true
    }

    /// Whether a number is one of theirs.
    pub fn has(&self, number: u32) -> bool {
        self.names.binary_search_by_key(&number, |name| name.number).is_ok()
    }

    pub fn endpoints(&self) -> Vec<Endpoint> {
        self.names.iter().flat_map(|name| &name.places).copied().collect()
    }

    /// Whether it was asked since where they are; asks again for those for which it is time.
    pub fn poll(&mut self) -> bool {
        let found = self.answers.try_recv().ok();
        let is_news = found.is_some();
        for (number, found) in found.into_iter().flatten() {
            self.is_asking = false;
            if let Some(name) = self.names.iter_mut().find(|name| name.number == number) {
                name.take(found);
            }
        }
        self.ask();
        is_news
    }

    fn ask(&mut self) {
        let now = Instant::now();
        let is_due = |name: &&Name| name.due.is_some_and(|due| due <= now);
        let due: Vec<(u32, Target)> =
            self.names.iter().filter(is_due).map(|name| (name.number, name.target.clone())).collect();
        if due.is_empty() || std::mem::replace(&mut self.is_asking, true) {
            return;
        }
        let answer = self.answer.clone();
        tokio::task::spawn_blocking(move || {
            let found = due.iter().map(|(number, target)| (*number, look_up(*number, target))).collect();
            // The run is over.
            let _ = answer.try_send(found);
        });
    }
}

impl Name {
    fn new(number: u32, target: &Target) -> Name {
        Name {
            number,
            target: target.clone(),
            places: Vec::new(),
            is_missing: false,
            pause: AGAIN,
            due: Some(Instant::now()),
        }
    }

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

/// Where the target of this number is.
fn look_up(number: u32, target: &Target) -> Places {
    let endpoint = |address| Endpoint { address, port: target.port, target: number };
    if target.host == "*" {
        return Ok(vec![endpoint(None)]);
    }
    let found = (target.host.as_str(), target.port).to_socket_addrs().map_err(|error| error.to_string())?;
    Ok(found.map(|address| endpoint(Some(address.ip().to_canonical()))).collect())
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

    fn places(texts: &[&str]) -> Vec<WebhookPlace> {
        let place =
            |text: &&str| WebhookPlace { target: text.parse().unwrap(), by_api: false, is_watched: true };
        texts.iter().map(place).collect()
    }

    #[test]
    fn addresses_need_no_resolver_and_names_do() {
        let hosts = ["127.0.0.1:8443", "[::ffff:10.0.0.1]:1", "*:9443", "no-such-host.invalid:1"];
        let found = Webhooks::find(&places(&hosts));
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
    fn of_others_that_are_named_those_that_stay_are_known() {
        let mut named = places(&["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"]);
        let mut webhooks = Webhooks::find(&named);
        assert!(!webhooks.name(&named), "they are the same");
        named[1].is_watched = false;
        named.extend(places(&["127.0.0.1:4"]));
        assert!(webhooks.name(&named));
        assert!(webhooks.has(1) && !webhooks.has(2) && webhooks.has(3) && webhooks.has(4));
        let known: Vec<_> = webhooks.endpoints().iter().map(|at| (at.port, at.target)).collect();
        assert_eq!(known, [(1, 1), (3, 3)], "the new one is yet to be looked up");
        named[2].target = "127.0.0.1:5".parse().unwrap();
        assert!(webhooks.name(&named), "one that is elsewhere now is looked up again");
        assert_eq!(webhooks.endpoints().len(), 1);
    }

    #[test]
    fn what_is_not_found_any_more_is_asked_for_less_often_and_stays_watched() {
        let name = &mut Name::new(1, &"hook.example:443".parse().unwrap());
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
