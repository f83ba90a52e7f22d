//! Where the node and its containers listen, of the ports by which clusters are entered.

use std::collections::BTreeMap;

use super::{Made, Model};
use crate::{
    input::{Input, Listening, Sample, SampleKind},
    output::Kind,
    time::Time,
};

/// What was said last: of the node, and of containers by their init.
#[derive(Default)]
pub(super) struct Entrances {
    of_node: Option<Listening>,
    by_init: BTreeMap<u32, Listening>,
}

impl Entrances {
    pub fn has(&self, init: u32) -> bool {
        self.by_init.get(&init).is_some_and(|at| !at.ports.is_empty())
    }

    /// It has ended.
    pub fn forget(&mut self, init: u32) {
        self.by_init.remove(&init);
    }

    pub fn inputs(&self, now: Time) -> impl Iterator<Item = Input> {
        let sample = move |init, at: &Listening| {
            Input::Sample(Sample { time: now, what: SampleKind::Listening { init, at: at.clone() } })
        };
        let of_node = self.of_node.iter().map(move |at| sample(None, at));
        of_node.chain(self.by_init.iter().map(move |(init, at)| sample(Some(*init), at)))
    }
}

impl Model {
    pub(super) fn listening_sampled(
        &mut self,
        init: Option<u32>,
        at: &Listening,
        make: &mut impl FnMut(Made),
    ) {
        let Some(init) = init else {
            self.entrances.of_node = Some(at.clone());
            return make(Made::Listening(None, at.clone()));
        };
        let life = self.lives.as_ref().and_then(|lives| lives.get(init)).filter(|life| life.ended.is_none());
        let container = life.and_then(|life| self.container_of(life));
        if let Some(container) = container.filter(|container| container.kind != Kind::Sandbox) {
            self.entrances.by_init.insert(init, at.clone());
            make(Made::Listening(Some(Box::new(container)), at.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_last_is_said_again_where_a_recording_goes_on() {
        let at = |port| Listening { ports: [port].into(), addresses: Vec::new() };
        let sample = |port| {
            Input::Sample(Sample { time: Time(9), what: SampleKind::Listening { init: None, at: at(port) } })
        };
        let mut model = Model::new(0, true);
        let mut told = Vec::new();
        for port in [80, 443] {
            model.step(&sample(port), &mut |made| {
                if let Made::Listening(None, at) = made {
                    told.push(at);
                }
            });
        }
        assert_eq!(told, [at(80), at(443)]);
        assert_eq!(model.entrances.inputs(Time(9)).collect::<Vec<_>>(), [sample(443)]);
    }
}
