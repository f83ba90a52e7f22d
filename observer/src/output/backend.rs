//! Where what was sent to a service really went.

use std::net::SocketAddr;

/// Who is behind the address of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backend {
    pub address: SocketAddr,
    /// `NAMESPACE/NAME`, if it is of this node and Kubernetes says so.
    pub pod: Option<String>,
}

impl Backend {
    pub const fn at(address: SocketAddr) -> Backend {
        Backend { address, pod: None }
    }
}
