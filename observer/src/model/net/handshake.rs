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
    let outcome = if alert.is_some() { NetOutcome::TlsFailed } else { NetOutcome::Connected };
    Net {
        server: Some(seen.remote),
        local: Some(seen.local),
        age_ns: Some(time.since(seen.began)),
        alert,
        ..Net::of(NetAction::Handshake, outcome)
    }
}

const fn side(of_client: bool) -> Side {
    if of_client { Side::Client } else { Side::Server }
}
