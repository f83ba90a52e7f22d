//! Tables of connections: whose each is.

use super::{Made, Model};
use crate::input::Tracked;

impl Model {
    /// What the table of the network that this init is in has counted, or the node's.
    pub(super) fn tracked_sampled(
        &mut self,
        init: Option<u32>,
        counts: &Tracked,
        make: &mut impl FnMut(Made),
    ) {
        let Some(init) = init else { return make(Made::Tracked(None, *counts)) };
        let life = self.lives.as_ref().and_then(|lives| lives.get(init));
        // Of a pod it may be the pause container, whose network it is.
        if let Some(container) = life.and_then(|life| self.container_of(life)) {
            make(Made::Tracked(Some(Box::new(container)), *counts));
        }
    }
}
