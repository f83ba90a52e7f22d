//! TLS handshakes, as the client's socket saw them.

use crate::{
    output::{Net, NetAction, NetOutcome, Side, TlsAlert},
    probes::net::{Handshake, HandshakeEnd},
    time::Time,
};

/// What became of a handshake. How long it took is not said: the record that decides may be one of data.
pub(super) fn said(time: Time, seen: &Handshake) -> Net {
    let alert = match seen.end {
        HandshakeEnd::Done => None,
        HandshakeEnd::Alert { of_client, description, .. } => {
            Some(TlsAlert { by: side(of_client), description: Some(description) })
        }
        HandshakeEnd::HiddenAlert { of_client } => Some(TlsAlert { by: side(of_client), description: None }),
    };
    Net {
        action: NetAction::Handshake,
        outcome: if alert.is_some() { NetOutcome::TlsFailed } else { NetOutcome::Connected },
        server: Some(seen.remote),
        backend: None,
        local: Some(seen.local),
        latency_ns: None,
        age_ns: Some(time.since(seen.began)),
        errno: None,
        retransmits: 0,
        syn_retransmits: 0,
        rtt_ns: None,
        sent_bytes: None,
        received_bytes: None,
        drop: None,
        alert,
    }
}

const fn side(of_client: bool) -> Side {
    if of_client { Side::Client } else { Side::Server }
}
