//! Where somebody listens, of the ports by which a cluster is entered.

use std::{collections::BTreeSet, net::IpAddr};

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listening {
    pub ports: BTreeSet<u16>,
    /// Of the node: its own addresses, as far as there is room for them.
    #[serde(default)]
    pub addresses: Vec<IpAddr>,
}
