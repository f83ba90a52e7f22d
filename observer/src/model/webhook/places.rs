//! Webhooks by their places, by which kernel records name them, from 1. A place is given once: what is not named any more
//! keeps it, since connections to it may go on, but nothing is told of it.

use crate::{input::WebhookPlace, probes::webhook::Target};

/// That are watched because the Kubernetes API names them.
const MAX_OF_API: usize = 64;
/// That were ever named: the kernel side has room for so many endpoints.
const MAX: usize = 1_024;

/// See the module.
#[derive(Default)]
pub struct Places(Vec<WebhookPlace>);

impl Places {
    /// What a run begins with.
    pub fn of_user(targets: Vec<Target>) -> Places {
        let place = |target| WebhookPlace { target, by_api: false, is_watched: true };
        Places(targets.into_iter().map(place).collect())
    }

    /// The user names these, and no others.
    pub fn user_names(&mut self, targets: &[Target]) {
        for place in self.0.iter_mut().filter(|place| !place.by_api) {
            place.is_watched = targets.contains(&place.target);
        }
        for target in targets {
            if !self.0.iter().any(|place| !place.by_api && place.target == *target) {
                self.add(WebhookPlace { target: target.clone(), by_api: false, is_watched: true });
            }
        }
    }

    /// The Kubernetes API names these. Of its others those go on being watched that are of a webhook which `is_there`: a
    /// backend that is not ready any more may still be called.
    pub fn api_names(&mut self, targets: &[Target], is_there: impl Fn(&Target) -> bool) {
        for place in self.0.iter_mut().filter(|place| place.by_api) {
            place.is_watched &= is_there(&place.target);
        }
        for (at, target) in targets.iter().enumerate() {
            let is_it = |known: &Target| {
                (&known.host, known.port, &known.path) == (&target.host, target.port, &target.path)
            };
            // Of several in one place the first gives the name and the time.
            if targets[..at].iter().any(is_it) {
                continue;
            }
            let is_full =
                self.0.iter().filter(|place| place.by_api && place.is_watched).count() >= MAX_OF_API;
            match self.0.iter_mut().find(|place| place.by_api && is_it(&place.target)) {
                Some(place) if place.is_watched || !is_full => {
                    place.is_watched = true;
                    place.target.clone_from(target);
                }
                None if !is_full => {
                    self.add(WebhookPlace { target: target.clone(), by_api: true, is_watched: true });
                }
                Some(_) | None => {}
            }
        }
    }

    /// As a recording says they were where it begins.
    pub fn restore(&mut self, places: &[WebhookPlace]) {
        self.0 = places.to_vec();
    }

    /// All there ever were, in their order.
    pub fn all(&self) -> &[WebhookPlace] {
        &self.0
    }

    /// What a kernel record names.
    pub fn at(&self, place: u16) -> Option<&Target> {
        Some(&self.0.get(usize::from(place).checked_sub(1)?)?.target)
    }

    /// What is watched.
    pub fn watched(&self) -> impl Iterator<Item = &Target> {
        self.0.iter().filter(|place| place.is_watched).map(|place| &place.target)
    }

    /// What is watched where this is.
    pub fn beside<'a>(&'a self, one: &'a Target) -> impl Iterator<Item = &'a Target> {
        self.watched().filter(move |target| (&target.host, target.port) == (&one.host, one.port))
    }

    fn add(&mut self, place: WebhookPlace) {
        if self.0.len() < MAX {
            self.0.push(place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn targets(texts: &[&str]) -> Vec<Target> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn watched(places: &Places) -> Vec<(usize, String)> {
        let numbered = places.all().iter().enumerate().filter(|(_, place)| place.is_watched);
        numbered.map(|(at, place)| (at + 1, place.target.title())).collect()
    }

    fn told(all: &[(usize, &str)]) -> Vec<(usize, String)> {
        all.iter().map(|(at, title)| (*at, (*title).to_owned())).collect()
    }

    #[test]
    fn who_is_named_no_more_keeps_its_place_and_is_not_watched() {
        let mut places = Places::of_user(targets(&["10.0.0.1:443", "10.0.0.2:443"]));
        places.user_names(&targets(&["10.0.0.3:443", "10.0.0.2:443"]));
        assert_eq!(watched(&places), told(&[(2, "10.0.0.2:443"), (3, "10.0.0.3:443")]));
        assert_eq!(places.at(1).map(Target::title).as_deref(), Some("10.0.0.1:443"));
        places.user_names(&targets(&["10.0.0.1:443"]));
        assert_eq!(watched(&places), told(&[(1, "10.0.0.1:443")]), "named again it is where it was");
    }

    #[test]
    fn what_the_api_and_the_user_name_is_apart() {
        let mut places = Places::of_user(targets(&["10.0.0.1:443,name=mine", "10.0.0.9:443"]));
        let of_api = targets(&["10.0.0.1:443,name=its", "10.0.0.2:443,name=its"]);
        places.api_names(&of_api, |_| false);
        assert_eq!(watched(&places), told(&[(1, "mine"), (2, "10.0.0.9:443"), (3, "its"), (4, "its")]));
        places.user_names(&targets(&["10.0.0.5:443"]));
        let behind = [(3, "its"), (4, "its"), (5, "10.0.0.5:443")];
        assert_eq!(watched(&places), told(&behind), "those that come later are behind the API's");
        // Its backend is another now.
        let is_its = |target: &Target| target.name.as_deref() == Some("its");
        places.api_names(&targets(&["10.0.0.4:443,name=its"]), is_its);
        assert_eq!(watched(&places), told(&[&behind[..], &[(6, "its")]].concat()));
        let others = targets(&["10.0.0.2:443,name=other", "10.0.0.2:443,name=more"]);
        places.api_names(&others, |target| !is_its(target));
        assert_eq!(watched(&places), told(&[(4, "other"), (5, "10.0.0.5:443")]));
    }

    #[test]
    fn there_are_only_so_many() {
        let many = |range: std::ops::Range<usize>| {
            targets(
                &range
                    .map(|n| format!("10.0.{}.{}:443", n / 250, n % 250))
                    .collect::<Vec<_>>()
                    .iter()
                    .map(String::as_str)
                    .collect::<Vec<_>>(),
            )
        };
        let mut places = Places::default();
        places.api_names(&many(0..100), |_| true);
        assert_eq!(places.watched().count(), MAX_OF_API);
        places.user_names(&many(200..2_000));
        assert_eq!(places.all().len(), MAX);
    }
}
