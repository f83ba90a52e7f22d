//! What a server's process did while a request was with it, from marks that the kernel side sets at the server's
//! socket when a side speaks.

use std::collections::{BTreeMap, VecDeque};

use observer_ebpf::wire::webhook::what;

use super::{
    Ended,
    answer::Answer,
    call::{Call, Followed},
};
use crate::{
    model::{Made, Model},
    output::{ServerTime, Want},
    probes::{
        cpu::{Mark, Spent},
        webhook::Moved,
    },
    time::Time,
};

/// Marks of a connection that are remembered: a call has about four.
const MAX_MARKS: usize = 16;
/// Addresses that are known to be served; as many as on the kernel side.
const MAX_SERVED: usize = 1_024;
/// An answer leaves the server's socket and comes to the client's, on this node, within this.
const PASSAGE_NS: u64 = 5_000_000;

/// The marks of one connection, the latest last.
#[derive(Clone, Debug, Default)]
pub struct Marks(VecDeque<Mark>);

impl Marks {
    fn push(&mut self, mark: Mark) {
        if self.0.len() >= MAX_MARKS {
            self.0.pop_front();
        }
        self.0.push_back(mark);
    }

    /// From the last that was seen of a request, which began at `began`, to the first of its answer; of a call without
    /// one until its client ended the connection. `None`: the server's process was not watched then, or it was another.
    fn between(&self, tgid: u32, began: Time, answered: Option<Time>) -> Option<ServerTime> {
        let of_call = || self.0.iter().filter(|mark| mark.tgid == tgid && mark.at >= began);
        let said = |mark: &&Mark| mark.what & (what::REQUEST | what::ANSWER | what::MORE) != 0;
        let end = match answered {
            Some(answered) => of_call().rfind(|mark| {
                !mark.of_client && mark.at <= answered && answered.since(mark.at) <= PASSAGE_NS
            })?,
            None => of_call().find(|mark| mark.of_client && !said(mark))?,
        };
        let begin = of_call().filter(said).rfind(|mark| mark.of_client && mark.at <= end.at)?;
        Some(spent(&begin.spent, &end.spent))
    }
}

fn spent(from: &Spent, to: &Spent) -> ServerTime {
    // A change on another CPU at this very moment may be a few nanoseconds ahead.
    let between = |from: u64, to: u64| u64::try_from(to.wrapping_sub(from) as i64).unwrap_or(0);
    ServerTime {
        on_cpu_ns: between(from.on_cpu, to.on_cpu),
        runnable_ns: between(from.runnable, to.runnable),
        throttled_ns: from.throttled.zip(to.throttled).map(|(from, to)| between(from, to)),
        blocked_ns: between(from.blocked, to.blocked),
    }
}

/// Who serves where, as the kernel side was told.
pub type Served = BTreeMap<std::net::SocketAddr, u32>;

impl Model {
    pub(in crate::model) fn marked(&mut self, mark: &Mark) {
        if let Some(followed) = self.webhooks.connections.get_mut(mark.cookie) {
            followed.marks.push(*mark);
        }
    }

    /// Has the server's time watched, once it is known which process it is: that of the next request.
    pub(in crate::model) fn watch_server(&mut self, cookie: u64, make: &mut impl FnMut(Made)) {
        let Some(followed) = self.webhooks.connections.get(cookie) else { return };
        let Some(owner) = followed.owner.as_ref().filter(|_| !followed.seen.is_clients()) else { return };
        let (address, tgid) = (followed.seen.local, owner.tgid);
        let served = &mut self.webhooks.served;
        if served.len() >= MAX_SERVED && !served.contains_key(&address) {
            served.pop_first();
        }
        if served.insert(address, tgid) != Some(tgid) {
            make(Made::Want(Want::WatchServer { tgid, address }));
        }
    }

    /// Of a socket at which nothing was ever answered, and whose client leaves: a server is known by its answers, so who
    /// answered at its address before may have it.
    pub(super) fn who_served(&mut self, moved: &Moved) -> Option<u32> {
        let leaves = moved.what & (what::FIN_CLIENT | what::RST_CLIENT) != 0;
        let tgid = self.webhooks.served.get(&moved.connection.local).copied().filter(|_| leaves);
        let followed = self.webhooks.connections.get_mut(moved.cookie)?;
        if followed.seen.is_clients() { None } else { followed.candidate(tgid) }
    }

    /// What the server did while the call was with it, where the server is of this node.
    pub(super) fn server_time(&self, ended: &Ended) -> Option<ServerTime> {
        let Ended { followed, others, .. } = ended;
        let call = ended.call.as_ref().filter(|call| !call.overlapping && followed.shared.is_none())?;
        let (owner, socket): (_, &Followed) = if followed.seen.is_clients() {
            (others.as_ref()?, self.webhooks.connections.other_end(followed)?)
        } else {
            (followed.owner.as_ref()?, self.webhooks.connections.get(followed.cookie).unwrap_or(followed))
        };
        socket.marks.between(owner.tgid, call.began, answered(followed, call)?)
    }
}

/// When its answer began, or that there was none; `None`: it is not known when.
fn answered(followed: &Followed, call: &Call) -> Option<Option<Time>> {
    match followed.answer(call) {
        Answer::Began(time) | Answer::Lone(time) => Some(Some(time)),
        Answer::None => Some(None),
        Answer::Somewhere => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(at: u64, of_client: bool, what: u32, on_cpu: u64, throttled: u64) -> Mark {
        let blocked = at.wrapping_sub(on_cpu).wrapping_sub(throttled);
        let spent = Spent { on_cpu, runnable: 0, throttled: Some(throttled), blocked };
        Mark { cookie: 1, tgid: 7, at: Time(at), of_client, what, spent }
    }

    fn marks(all: &[Mark]) -> Marks {
        let mut marks = Marks::default();
        all.iter().for_each(|mark| marks.push(*mark));
        marks
    }

    #[test]
    fn from_the_last_of_the_request_to_the_first_of_the_answer() {
        let marks = marks(&[
            mark(100, true, what::REQUEST, 10, 0),
            mark(150, true, what::MORE, 30, 0),
            mark(950, false, what::ANSWER, 230, 500),
            mark(960, false, what::MORE, 240, 500),
            mark(990, true, what::FIN_CLIENT, 240, 500),
        ]);
        let expected =
            ServerTime { on_cpu_ns: 200, runnable_ns: 0, throttled_ns: Some(500), blocked_ns: 100 };
        assert_eq!(marks.between(7, Time(100), Some(Time(950))), Some(expected));
        // The client's own clock of it: sent before it came, and the answer comes after it was sent.
        assert_eq!(marks.between(7, Time(90), Some(Time(955))), Some(expected));
        assert_eq!(marks.between(8, Time(90), Some(Time(955))), None, "of another process");
        assert_eq!(marks.between(7, Time(90), Some(Time(20_000_000))), None, "of another answer");
        assert_eq!(marks.between(7, Time(120), Some(Time(950))), Some(expected));
        assert_eq!(marks.between(7, Time(160), Some(Time(950))), None, "its request was not seen");
    }

    #[test]
    fn a_call_without_an_answer_lasts_until_its_client_leaves() {
        let marks =
            marks(&[mark(100, true, what::REQUEST, 10, 0), mark(900, true, what::RST_CLIENT, 20, 700)]);
        let told = marks.between(7, Time(100), None).unwrap();
        assert_eq!((told.on_cpu_ns, told.throttled_ns, told.blocked_ns), (10, Some(700), 90));
        assert_eq!(Marks::default().between(7, Time(100), None), None);
    }

    #[test]
    fn sums_wrap_around_and_the_oldest_marks_go() {
        let mut last = mark(5, false, what::ANSWER, 2, 0);
        last.spent.blocked = 1;
        let mut first = mark(1, true, what::REQUEST, u64::MAX, 0);
        first.spent.blocked = u64::MAX - 2;
        let told = marks(&[first, last]).between(7, Time(0), Some(Time(5))).unwrap();
        assert_eq!((told.on_cpu_ns, told.blocked_ns), (3, 4));
        let many: Vec<Mark> = (0..40).map(|at| mark(at, true, what::MORE, 0, 0)).collect();
        assert_eq!(marks(&many).0.len(), MAX_MARKS);
    }
}
