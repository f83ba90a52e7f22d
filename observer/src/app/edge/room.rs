//! How much room there is: where a call failed for want of it, and in the file systems that the node lives on. None of
//! these may be waited for: a file system whose server is gone never answers.

use anyhow::Result;

use super::Edge;
use crate::{
    input::{FactKind, LookupError},
    source::facts::storage::{self, Call},
    time::Time,
};

impl Edge {
    /// Asks where a call failed: a file system whose server is gone may never answer.
    pub(super) fn find_failure(&mut self, (at, tid): (Time, u32), call: Call) -> Result<()> {
        let permit = match self.permit("a file system") {
            Ok(permit) => permit,
            Err(error) => return self.fact(FactKind::FailedAt { at, tid, result: Err(error) }),
        };
        let host = self.host.clone();
        self.look_up(permit, async move {
            let found = tokio::task::spawn_blocking(move || storage::failed_at(&host, &call)).await;
            let failed = |why: String| Err(LookupError { what: "a file system".to_owned(), why });
            FactKind::FailedAt { at, tid, result: found.unwrap_or_else(|error| failed(error.to_string())) }
        });
        Ok(())
    }

    pub(super) fn look_at_filesystems(&mut self) {
        if !self.follows || !self.storage.looks() {
            return;
        }
        let Ok(permit) = self.permit("file systems") else { return self.storage.has_looked() };
        let host = self.host.clone();
        self.look_up(permit, async move {
            let found = tokio::task::spawn_blocking(move || storage::of_node(&host)).await;
            FactKind::Filesystems(found.unwrap_or_default())
        });
    }
}
