//! Calls of webhooks: connections to watched endpoints become calls, each with its time and what came of it.
//!
//! A call is told once: on the client's socket, where both ends are of this node. What is a webhook is for the user
//! to say; a request that was read and is no POST is none.

mod answer;
mod call;
mod connections;
mod hear;
mod places;
mod say;
mod served;
mod verdict;

use std::collections::VecDeque;

use observer_ebpf::wire::webhook::known;

use super::{Made, Model};
use crate::{
    input::{Record, WebhookPlace},
    output::{CallOutcome, Want},
    probes::{
        packet::Owner,
        webhook::{Event, Target},
    },
    time::Time,
};
use call::{Call, End, Followed};
use connections::Connections;
use places::Places;
use verdict::Verdict;

/// How long after an answer's last bytes it is taken to be over.
const QUIET_NS: u64 = 250_000_000;
/// How long after its deadline a client is given to be seen to give up.
const GRACE_NS: u64 = 1_000_000_000;
/// A connection on which nothing happens for so long is forgotten; the kernel side follows it anew.
const IDLE_NS: u64 = 3_600_000_000_000;
/// How long a call that is over waits for the answer whose sockets they are, and how many do.
const PATIENCE_NS: u64 = 500_000_000;
const MAX_WAITING: usize = 4_096;
/// How long after a call's end its answer may yet be said to have been sent: a library says so when it is.
const HEAR_NS: u64 = 100_000_000;
/// How often such are looked for.
const SWEEP_NS: u64 = 60_000_000_000;

#[derive(Default)]
pub struct Webhooks {
    pub(super) places: Places,
    connections: Connections,
    swept: Option<Time>,
    served: served::Served,
    /// What is over and waits for the answer whose sockets they are.
    waiting: VecDeque<Ended>,
}

/// A call that is over, to be told.
struct Ended {
    followed: Followed,
    /// `None`: it did not come to a request.
    call: Option<Call>,
    verdict: Verdict,
    at: Time,
    /// When it became clear that it is over.
    clear: Time,
    /// The process at the other end, where that is of this node.
    others: Option<Owner>,
    title: String,
    deadline_ns: Option<u64>,
}

impl Webhooks {
    /// The records from which a recording's next segment goes on.
    pub fn records(&self) -> impl Iterator<Item = &Record> {
        self.connections.records()
    }

    /// What ended, as it is told; `None`: it is no call, or told of the other end.
    fn ended(&self, followed: &Followed, call: Option<Call>, end: End, at: Time) -> Option<Ended> {
        let (title, configured) = self.target_of(followed, call.as_ref())?;
        let deadline_ns = call.as_ref().and_then(deadline_said).or(configured);
        let verdict = match (&call, followed.shared) {
            (Some(_), Some(why)) => verdict::shared(followed, end, why),
            (Some(call), None) => verdict::of(followed, call, end, at, deadline_ns),
            (None, _) => verdict::before(followed, end, at, deadline_ns)?,
        };
        let other = self.connections.other_end(followed);
        if other.is_some() && !followed.seen.is_clients() {
            return None;
        }
        if followed.is_read || other.is_some_and(|other| other.is_read) {
            return None;
        }
        let clear = at;
        let at = if matches!(end, End::Quiet | End::Next) { say::end_of(call.as_ref(), at) } else { at };
        let others = other.and_then(|other| other.owner.clone());
        Some(Ended { followed: followed.clone(), call, verdict, at, clear, others, title, deadline_ns })
    }

    /// What the user calls the webhook, and the deadline that he says its callers have.
    fn target_of(&self, followed: &Followed, call: Option<&Call>) -> Option<(String, Option<u64>)> {
        let matched = self.places.at(followed.seen.endpoint)?;
        let head = call.and_then(|call| call.head.as_ref());
        let said = call.and_then(|call| call.said.as_ref());
        let method = said.and_then(|said| said.method.as_ref()).or(head.map(|head| &head.method));
        let path = said.and_then(|said| said.path.as_ref()).or(head.and_then(|head| head.path.as_ref()));
        let is_read = method.is_some() || followed.seen.is(known::PLAIN);
        if call.is_some() && is_read && method.is_none_or(|method| method != "POST") {
            return None;
        }
        let mut alike = self.places.beside(matched).filter(|target| target.takes(path.map(String::as_str)));
        let first = alike.next()?;
        // Several by path, and no path: it may be any of them.
        if alike.next().is_some() && path.is_none() {
            return Some((format!("{}:{}", first.host, first.port), None));
        }
        Some((first.title(), first.timeout_ns))
    }

    fn deadline_of(&self, followed: &Followed) -> Option<u64> {
        let call = followed.call.as_ref();
        let configured = self.target_of(followed, call).and_then(|(_, configured)| configured);
        call.and_then(deadline_said).or(configured)
    }

    /// Connections of which nothing more is to be told: nothing happens on them, or they are not to webhooks any more.
    fn over(&self, time: Time) -> Vec<u64> {
        let is_watched =
            |place| self.places.at(place).is_some_and(|at| self.places.beside(at).next().is_some());
        let is_over = |followed: &&Followed| {
            time.since(followed.last) >= IDLE_NS || !is_watched(followed.seen.endpoint)
        };
        self.connections.all().filter(is_over).map(|followed| followed.cookie).collect()
    }

    /// What is over by time alone, of one connection.
    fn due(&self, followed: &Followed, time: Time) -> Option<End> {
        let deadline = self.deadline_of(followed);
        let patience = deadline.unwrap_or(verdict::LONGEST_NS).saturating_add(GRACE_NS);
        let Some(call) = followed.call.as_ref().filter(|call| !call.told) else {
            let since = followed.seen.syn?;
            return (followed.is_opening() && time.since(since) >= patience).then_some(End::Overdue);
        };
        if followed.shared.is_some() {
            return None;
        }
        let answer = followed.answer(call);
        let last = call.answer.as_ref().and_then(|answer| answer.last);
        if answer.is_certain() {
            return last.is_some_and(|last| time.since(last) >= QUIET_NS).then_some(End::Quiet);
        }
        let is_overdue = time.since(call.began) >= patience;
        let is_lone = matches!(answer, answer::Answer::Lone(_));
        (is_overdue && (is_lone || verdict::is_silent(followed, call, time))).then_some(End::Overdue)
    }
}

fn deadline_said(call: &Call) -> Option<u64> {
    let said = call.said.as_ref().and_then(|said| said.deadline_ns);
    said.or(call.head.as_ref().and_then(|head| head.timeout_ns))
}

impl Model {
    /// With these taken for webhooks; kernel records name them by their places, from 1.
    pub fn with_webhooks(mut self, targets: Vec<Target>) -> Model {
        self.webhooks.places = Places::of_user(targets);
        self
    }

    /// Settings have changed.
    pub fn go_on_with(&mut self, ready_wait_ns: u64, targets: &[Target]) {
        self.ready_wait_ns = ready_wait_ns;
        self.webhooks.places.user_names(targets);
    }

    /// All webhooks that were ever named, by whomever: kernel records name them by their place here, from 1.
    pub fn webhook_places(&self) -> &[WebhookPlace] {
        self.webhooks.places.all()
    }

    /// Connections to webhooks no longer followed to bound memory.
    pub fn webhooks_given_up(&self) -> u64 {
        self.webhooks.connections.evicted
    }

    /// What a record means for the calls that are followed.
    pub(super) fn follow_webhooks(&mut self, record: &Record, make: &mut impl FnMut(Made)) {
        let crate::probes::Event::Webhook(event) = &record.event else { return };
        match event {
            Event::Head { cookie, head } => {
                if let Some(followed) = self.webhooks.connections.get_mut(*cookie) {
                    followed.head(head);
                    self.webhooks.connections.note(*cookie);
                }
            }
            Event::Moved(moved) => {
                let (ended, candidate) = self.webhooks.connections.moved(record, moved);
                self.ask_owner(moved.cookie, make);
                self.watch_server(moved.cookie, make);
                self.end_calls(moved.cookie, ended, record.time);
                if let Some(tgid) = candidate.or_else(|| self.who_served(moved)) {
                    let (local, remote) =
                        (moved.connection.local, moved.connection.peer.unwrap_or(moved.connection.remote));
                    make(Made::Want(Want::SocketOwner { cookie: moved.cookie, tgid, local, remote }));
                }
                self.webhooks.connections.after(record.time, moved);
            }
        }
    }

    /// Whether a process was found to have a socket.
    pub(super) fn socket_owner(&mut self, cookie: u64, owner: Option<&Owner>) {
        if let Some(followed) = self.webhooks.connections.get_mut(cookie) {
            followed.questions = followed.questions.saturating_sub(1);
            followed.owner = followed.owner.take().or_else(|| owner.cloned());
        }
    }

    /// Tells what is over, once it is known whose sockets they are, or that has taken too long; without a time, all.
    fn tell_waiting(&mut self, time: Option<Time>, make: &mut impl FnMut(Made)) {
        let mut waiting = std::mem::take(&mut self.webhooks.waiting);
        let too_many = waiting.len().saturating_sub(MAX_WAITING);
        for (place, mut ended) in waiting.drain(..).enumerate() {
            let is_early = time.is_some_and(|time| time.since(ended.clear) < HEAR_NS);
            if self.hear_late(&mut ended) && is_early && place >= too_many {
                self.webhooks.waiting.push_back(ended);
                continue;
            }
            let is_asked = self.webhooks.connections.ask_owners(&mut ended.followed, &mut ended.others);
            let has_time = time.is_some_and(|time| time.since(ended.clear) < PATIENCE_NS);
            if is_asked && has_time && place >= too_many {
                self.webhooks.waiting.push_back(ended);
            } else {
                ended.call.iter().for_each(|call| self.heard_out(call));
                self.tell_call(&ended, make);
            }
        }
    }

    /// Adds what was said of a call since it was over. Says whether more is to come.
    fn hear_late(&self, ended: &mut Ended) -> bool {
        let Some(call) = &mut ended.call else { return false };
        let is_unheard = self.hear_on(call);
        ended.verdict.listen(call);
        is_unheard && ended.verdict.outcome == CallOutcome::Answered
    }

    /// Time has passed for the calls that are followed.
    pub(super) fn webhooks_tick(&mut self, time: Time, make: &mut impl FnMut(Made)) {
        self.listen(time);
        let webhooks = &self.webhooks;
        let due: Vec<(u64, End)> = webhooks
            .connections
            .pending()
            .filter_map(|followed| Some((followed.cookie, webhooks.due(followed, time)?)))
            .collect();
        for (cookie, end) in due {
            let Some(followed) = self.webhooks.connections.get_mut(cookie) else { continue };
            let is_opening = followed.is_opening();
            let call = followed.take_untold();
            self.end_calls(cookie, vec![(call, end)], time);
            if is_opening {
                self.forget_connection(cookie, make);
            }
        }
        self.tell_waiting(Some(time), make);
        self.webhooks.connections.forget_gone(time);
        if self.webhooks.swept.is_none_or(|swept| time.since(swept) >= SWEEP_NS) {
            self.webhooks.swept = Some(time);
            for cookie in self.webhooks.over(time) {
                self.forget_connection(cookie, make);
            }
        }
    }

    /// At the end of a run: what is still open is told as that.
    pub(super) fn end_webhooks(&mut self, time: Time, make: &mut impl FnMut(Made)) {
        let cookies: Vec<u64> = self.webhooks.connections.pending().map(|followed| followed.cookie).collect();
        for cookie in cookies {
            let Some(followed) = self.webhooks.connections.get_mut(cookie) else { continue };
            let certain = followed.call.as_ref().is_some_and(|call| followed.answer(call).is_certain());
            let call = followed.take_untold();
            let end = if certain { End::Quiet } else { End::RunOver };
            self.end_calls(cookie, vec![(call, end)], time);
        }
        self.tell_waiting(None, make);
    }

    fn end_calls(&mut self, cookie: u64, ended: Vec<(Option<Call>, End)>, at: Time) {
        for (mut call, end) in ended {
            self.close_streams(cookie, end, at);
            if let Some(call) = &mut call {
                self.hear(cookie, call, at);
            }
            let Some(followed) = self.webhooks.connections.get_mut(cookie) else { return };
            // Of a connection that is shared, and of one before its first request, one thing is told.
            let once = call.is_none() || followed.shared.is_some();
            let is_closing = matches!(end, End::Closed { .. } | End::RunOver | End::Overdue);
            if (once && (followed.told || !is_closing))
                || (call.is_none() && followed.calls > 0 && followed.shared.is_none())
            {
                continue;
            }
            followed.told |= once;
            let call = call.or_else(|| followed.call.clone());
            let ended = self
                .webhooks
                .connections
                .get(cookie)
                .and_then(|followed| self.webhooks.ended(followed, call, end, at));
            if let Some(ended) = ended {
                self.webhooks.waiting.push_back(ended);
            }
        }
    }

    fn forget_connection(&mut self, cookie: u64, make: &mut impl FnMut(Made)) {
        self.webhooks.connections.remove(cookie);
        make(Made::Want(Want::ForgetConnection { cookie }));
    }
}

#[cfg(test)]
mod tests;
