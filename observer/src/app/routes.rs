//! Where the node sends what goes some ways, by its table of connections. That may be long: it is read now and then, for all
//! that was asked meanwhile.

use std::{collections::BTreeSet, time::Duration};

use rustix::time::{ClockId, clock_gettime};
use tokio::{
    sync::mpsc::{self, Receiver, Sender},
    task, time,
};

use crate::{
    input::{FactKind, LookupError, Route},
    source::facts::{HostRoot, conntrack},
};

/// Between two readings at least; and as many times as long as one has worked.
const EVERY: Duration = Duration::from_secs(1);
const TIMES: u32 = 20;
/// Ways that are asked about at once: more than the model waits for.
const MAX_ROUTES: usize = 1_024;

/// See the module.
pub struct Routes(Sender<Route>);

impl Routes {
    /// What it finds it hands on as answers.
    pub fn begin(host: HostRoot, answer: Sender<FactKind>) -> Routes {
        let (routes, asked) = mpsc::channel(MAX_ROUTES);
        tokio::spawn(answers(host, asked, answer));
        Routes(routes)
    }

    /// # Errors
    /// It was asked too much already.
    pub fn ask(&self, route: Route) -> Result<(), LookupError> {
        self.0.try_send(route).map_err(|error| failed(&error))
    }
}

async fn answers(host: HostRoot, mut asked: Receiver<Route>, answer: Sender<FactKind>) {
    let mut routes = Vec::new();
    while asked.recv_many(&mut routes, MAX_ROUTES).await > 0 {
        let (host, wanted): (_, BTreeSet<Route>) = (host.clone(), routes.iter().copied().collect());
        let read = move || {
            let began = worked();
            (conntrack::backends(&host, &wanted), worked().saturating_sub(began))
        };
        let read = task::spawn_blocking(read).await;
        let (found, took) = read.unwrap_or_else(|error| (Err(failed(&error)), Duration::ZERO));
        for route in routes.drain(..) {
            let result = found.as_ref().map(|found| found.get(&route).copied()).map_err(Clone::clone);
            if answer.send(FactKind::Backend { route, result }).await.is_err() {
                return;
            }
        }
        time::sleep(EVERY.max(took * TIMES)).await;
    }
}

/// How much processor time this thread has had.
fn worked() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}

fn failed(error: &dyn std::error::Error) -> LookupError {
    LookupError { what: "the node's table of connections".to_owned(), why: error.to_string() }
}
