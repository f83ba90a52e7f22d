//! Where an answer begins. On a connection that is fresh and encrypted by TLS 1.3 the server may send tickets for
//! later sessions once the client has ended the handshake, and they look like an answer.

use observer_ebpf::wire::webhook::known;

use crate::{
    probes::webhook::{Connection, Flow},
    time::Time,
};

/// What came from the server since a request began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Nothing, or nothing but tickets.
    None,
    Began(Time),
    /// One record: a short answer, or a ticket.
    Lone(Time),
    /// An answer, of which it is not known where it begins.
    Somewhere,
}

/// Instants that are taken for one where a ticket may have come just before the answer.
const CLOSE_NS: u64 = 500_000;
/// The same, as a share of the time that the answer took.
const CLOSE_SHARE: u64 = 50;

impl Answer {
    /// `awaits_tickets`: no request came before on this connection, and no tickets.
    pub fn of(connection: &Connection, awaits_tickets: bool, asked: Time, flow: Option<&Flow>) -> Answer {
        let Some((flow, first)) = flow.and_then(|flow| Some((flow, flow.first?))) else {
            return Answer::None;
        };
        if !awaits_tickets || !connection.is(known::ENCRYPTED_HANDSHAKE) {
            return Answer::Began(first);
        }
        let told = &flow.first_records;
        let (Some(one), Some(last)) = (told.first(), flow.last) else { return Answer::Somewhere };
        if connection.is(known::UNSURE) {
            return Answer::Somewhere;
        }
        // The tickets of one server are all of one length.
        let ticket = connection.ticket_len.unwrap_or(one.len);
        let alike = told.iter().take_while(|record| record.len == ticket).count();
        match told.get(alike) {
            Some(record) if connection.ticket_len.is_some() => Answer::Began(record.time),
            None if connection.ticket_len.is_some() && flow.records as usize == alike => Answer::None,
            _ if flow.records == 1 => Answer::Lone(one.time),
            Some(record) if alike > 1 => Answer::Began(record.time),
            Some(_) if last.since(one.time) <= CLOSE_NS.max(one.time.since(asked) / CLOSE_SHARE) => {
                Answer::Began(one.time)
            }
            Some(_) => Answer::Somewhere,
            None if flow.records as usize == alike => Answer::None,
            None => Answer::Somewhere,
        }
    }

    pub fn is_certain(self) -> bool {
        matches!(self, Answer::Began(_) | Answer::Somewhere)
    }
}

#[cfg(test)]
mod tests {
    use super::{super::tests::connection, *};
    use crate::probes::webhook::TlsRecord;

    const MS: u64 = 1_000_000;

    fn flow(records: &[(u64, u16)]) -> Flow {
        let records: Vec<_> =
            records.iter().map(|(ms, len)| TlsRecord { time: Time(ms * MS), len: *len }).collect();
        Flow {
            first: records.first().map(|record| record.time),
            last: records.last().map(|record| record.time),
            records: records.len() as u32,
            first_records: records.into_iter().take(4).collect(),
            ..Flow::default()
        }
    }

    fn answer(records: &[(u64, u16)]) -> Answer {
        Answer::of(&connection(known::ENCRYPTED_HANDSHAKE), true, Time(0), Some(&flow(records)))
    }

    #[test]
    fn tickets_are_no_answer() {
        assert_eq!(answer(&[(1, 250), (1, 250)]), Answer::None);
        assert_eq!(answer(&[(1, 250), (1, 250), (900, 300)]), Answer::Began(Time(900 * MS)));
        assert_eq!(answer(&[(1, 250), (1, 250), (900, 300), (901, 20)]), Answer::Began(Time(900 * MS)));
    }

    #[test]
    fn what_may_be_either_is_not_decided() {
        assert_eq!(answer(&[(1, 250)]), Answer::Lone(Time(MS)));
        assert_eq!(answer(&[(1, 250), (900, 300)]), Answer::Somewhere);
        assert_eq!(answer(&[(1, 9), (2, 9), (3, 9), (4, 9), (5, 9)]), Answer::Somewhere);
        // Whichever of the two it is, it came then.
        assert_eq!(answer(&[(900, 250), (901, 300)]), Answer::Began(Time(900 * MS)));
    }

    #[test]
    fn a_ticket_that_came_before_the_request_tells_the_others() {
        let mut before = connection(known::ENCRYPTED_HANDSHAKE);
        before.ticket_len = Some(250);
        let answer = |records: &[(u64, u16)]| Answer::of(&before, true, Time(0), Some(&flow(records)));
        assert_eq!(answer(&[(1, 250)]), Answer::None);
        assert_eq!(answer(&[(1, 250), (900, 300)]), Answer::Began(Time(900 * MS)));
        assert_eq!(answer(&[(900, 300)]), Answer::Began(Time(900 * MS)));
    }

    #[test]
    fn later_requests_and_older_protocols_have_no_tickets_in_between() {
        let tickets = flow(&[(1, 250), (1, 250)]);
        let began = Answer::Began(Time(MS));
        let hidden = connection(known::ENCRYPTED_HANDSHAKE);
        assert_eq!(Answer::of(&hidden, false, Time(0), Some(&tickets)), began);
        assert_eq!(Answer::of(&connection(0), true, Time(0), Some(&tickets)), began);
        assert_eq!(Answer::of(&hidden, true, Time(0), None), Answer::None);
        let unsure = connection(known::ENCRYPTED_HANDSHAKE | known::UNSURE);
        assert_eq!(Answer::of(&unsure, true, Time(0), Some(&tickets)), Answer::Somewhere);
    }
}
