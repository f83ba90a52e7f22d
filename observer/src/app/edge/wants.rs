//! What the model wants, executed: at once, or as a look-up whose answer is an input when it comes.

use std::{net::SocketAddr, sync::Arc};

use anyhow::Result;
use tokio::sync::OwnedSemaphorePermit as Permit;

use super::{Edge, MAX_LOOKUPS, now, status::status};
use crate::{
    app::{routes::Routes, webhooks},
    input::{Fact, FactKind, Input, LookupError, Route},
    output::Want,
    probes::packet::Owner,
    source::facts::{conntrack, sockets, storage::Call},
};

impl Edge {
    fn follow_group(&mut self, init: u32, cgroup: String) {
        self.groups.follow(init, cgroup);
        self.tracking.follow(init);
        self.entrances.follow(init);
    }

    // long: one arm a want
    pub(super) fn execute(&mut self, want: Want) -> Result<()> {
        match want {
            Want::Bundle { tgid, path } => {
                let result = self.prefetched.bundle(&self.host, tgid, path.as_deref());
                self.fact(FactKind::Bundle { tgid, result })?;
            }
            Want::Module { init, at, path, bundle } => {
                let result = self.prefetched.module(&self.host, (init, at), &path, bundle.as_deref());
                self.fact(FactKind::Module { init, result: result.map(Box::new) })?;
            }
            Want::Cri { id } => match self.permit("CRI") {
                Ok(permit) => {
                    let cri = Arc::clone(&self.cri);
                    self.look_up(permit, async move { FactKind::Cri { result: cri.lookup(&id).await, id } });
                }
                Err(error) => self.fact(FactKind::Cri { id, result: Err(error) })?,
            },
            Want::RuntimeVersion { tgid, exe } => {
                let permit = match self.permit(&exe) {
                    Ok(permit) => permit,
                    Err(error) => return self.fact(FactKind::RuntimeVersion { exe, result: Err(error) }),
                };
                let (versions, host) = (Arc::clone(&self.versions), self.host.clone());
                self.look_up(permit, async move {
                    let result = versions.lock().await.lookup(&host, Some(tgid), &exe).await;
                    FactKind::RuntimeVersion { exe, result }
                });
            }
            Want::LogFile { init, path } => {
                let (time, result) = self.prefetched.log_size(&self.host, &path);
                let what = FactKind::LogFile { init, path, result };
                self.feed(&Input::Fact(Fact { time, what }))?;
            }
            Want::FollowPipe { ino, init } => self.pipes.follow(ino, init),
            Want::DrainPipe { ino } => self.pipes.drain(ino),
            Want::ForgetPipe { ino, init } => self.pipes.forget(ino, init, &mut self.live),
            Want::FollowGroup { init, cgroup } => self.follow_group(init, cgroup),
            Want::FollowLinear { init, tgid, start, bytes } => self.linears.follow(init, tgid, start, bytes),
            Want::FindReaders => self.pipes.wanted = true,
            Want::Engine { tgid, path } => {
                if let Some(plan) = self.live.attach_engine(&self.host, tgid, &path) {
                    self.report(status(&plan))?;
                }
            }
            Want::Resolver { tgid, of_node } => {
                if let Some(plan) = self.live.ask_resolver(&self.host, tgid, of_node) {
                    self.report(status(&plan))?;
                }
            }
            Want::TlsLibrary { tgid, side } => {
                if let Some(plan) = self.live.ask_tls(&self.host, tgid, side, now()) {
                    self.report(status(&plan))?;
                }
            }
            Want::LeaveTls { tgid, connection } => self.live.leave_tls(tgid, connection),
            Want::SocketOwner { cookie, tgid, local, remote } => {
                self.ask_for_socket(cookie, tgid, (local, remote))?;
            }
            Want::Backend { route } => self.ask_for_backend(route)?,
            Want::Translated { routes } => self.ask_for_translated(routes)?,
            Want::FailedAt { at, tid, tgid, others, on, fd, text, device } => {
                self.find_failure((at, tid), Call { tgid, others, on, fd, text, device })?;
            }
            Want::WatchServer { tgid, address } => webhooks::watch_server(&mut self.live, tgid, address),
            Want::ForgetConnection { cookie } => self.live.forget_connection(cookie),
            Want::Unwatch { tgid } => self.live.unwatch(tgid),
            Want::Quiet { init } => self.live.quiet(init),
        }
        Ok(())
    }

    /// Of what is wanted since there were so many wants: what was read as soon as it was seen answers before what the same
    /// process did next.
    pub(super) fn answer_at_once(&mut self, known: usize) -> Result<()> {
        let is_read = |want: &Want| matches!(want, Want::Bundle { .. } | Want::Module { .. });
        while let Some(at) = self.wants.iter().skip(known).position(is_read) {
            let want = self.wants.remove(known + at);
            self.execute(want)?;
        }
        Ok(())
    }

    /// Asks whether a process has a socket: its table of sockets and its descriptors may be long.
    fn ask_for_socket(&mut self, cookie: u64, tgid: u32, ends: (SocketAddr, SocketAddr)) -> Result<()> {
        let init = self.live.container_of(tgid);
        let permit = match self.permit("a socket") {
            Ok(permit) => permit,
            Err(error) => return self.fact(FactKind::SocketOwner { cookie, tgid, result: Err(error) }),
        };
        let host = self.host.clone();
        let find = move || sockets::owner(&host, tgid, ends.0, ends.1);
        self.look_up(permit, async move {
            let found = tokio::task::spawn_blocking(find).await;
            let failed = |why: String| Err(LookupError { what: "a socket".to_owned(), why });
            let result = found.unwrap_or_else(|error| failed(error.to_string()));
            FactKind::SocketOwner { cookie, tgid, result: result.map(|owner| Owner { init, ..owner }) }
        });
        Ok(())
    }

    /// Asks where the node sends what goes a way.
    fn ask_for_backend(&mut self, route: Route) -> Result<()> {
        let routes = self.routes.get_or_insert_with(|| Routes::begin(self.host.clone(), self.answer.clone()));
        match routes.ask(route) {
            Ok(()) => Ok(()),
            Err(error) => self.fact(FactKind::Backend { route, result: Err(error) }),
        }
    }

    /// Asks which of these connections the node translates, all in one reading of its table.
    fn ask_for_translated(&mut self, routes: Vec<Route>) -> Result<()> {
        let permit = match self.permit("translated connections") {
            Ok(permit) => permit,
            Err(error) => return self.fact(FactKind::Translated { result: Err(error) }),
        };
        let host = self.host.clone();
        self.look_up(permit, async move {
            let found = tokio::task::spawn_blocking(move || conntrack::translated(&host, &routes)).await;
            let failed = |why: String| Err(LookupError { what: "translated connections".to_owned(), why });
            FactKind::Translated { result: found.unwrap_or_else(|error| failed(error.to_string())) }
        });
        Ok(())
    }

    /// Nothing waits for a look-up: its answer is an input when it comes.
    pub(super) fn look_up(&self, permit: Permit, answer: impl Future<Output = FactKind> + Send + 'static) {
        let sender = self.answer.clone();
        tokio::spawn(async move {
            let answer = answer.await;
            drop(permit);
            let _ = sender.send(answer).await;
        });
    }

    /// Leave for one more look-up, or why there is none.
    pub(super) fn permit(&self, what: &str) -> Result<Permit, LookupError> {
        let why = |_| format!("not asked: {MAX_LOOKUPS} look-ups are under way");
        Arc::clone(&self.lookups)
            .try_acquire_owned()
            .map_err(why)
            .map_err(|why| LookupError { what: what.to_owned(), why })
    }
}
