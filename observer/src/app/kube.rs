//! The Kubernetes API beside a run: a thread of its own asks it, so that nothing that is watched waits for what it
//! answers, or for making sense of that. What is new goes into the run as facts; proved findings go out as Events.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, mpsc as plain},
    thread,
    time::Duration,
};

use anyhow::{Context, Result};
use tokio::{
    sync::mpsc,
    time::{MissedTickBehavior, interval},
};

use super::talk;
use crate::{
    cli,
    input::FactKind,
    output::Output,
    privileges,
    sink::kube_event::{self, KubeEvent},
    source::facts::{
        HostRoot,
        host::HostFacts,
        kube::{self, Access, Client, Which},
    },
};

/// How often all is asked anew.
const EVERY: Duration = Duration::from_secs(30);
/// Events that wait for the API; one more is not told, and counted.
const MAX_WAITING: usize = 64;
/// Findings of which it is remembered that they were told.
const MAX_TOLD: usize = 4_096;
/// How long Events may still be on their way out at the end.
const PATIENCE: Duration = Duration::from_secs(2);

/// Where the API is, and what it calls this node.
#[derive(Clone)]
pub struct Api {
    pub access: Arc<Access>,
    pub node: String,
}

impl Api {
    /// The API that is meant, if there is one.
    ///
    /// # Errors
    /// One was named, and cannot be used.
    pub fn find(args: &cli::Kubernetes, host: &HostRoot, facts: &HostFacts) -> Result<Option<Api>> {
        let access = match Access::find(&args.kubeconfig, host) {
            Ok(access) => access,
            Err(error) if args.kubeconfig == Which::Auto => {
                talk::say(format_args!("the Kubernetes API is not asked: {error}"));
                None
            }
            Err(error) => return Err(error).context("--kubeconfig"),
        };
        let node = facts.node_name.clone().unwrap_or_else(|| facts.hostname.to_lowercase());
        Ok(access.map(|access| Api { access: Arc::new(access), node }))
    }
}

/// What the rest of a run has of it.
pub struct Asking {
    pub api: Api,
    told: Telling,
}

#[derive(Default)]
struct Telling {
    events: Option<mpsc::Sender<KubeEvent>>,
    ended: Option<plain::Receiver<()>>,
    told: BTreeSet<String>,
    dropped: u64,
}

impl Asking {
    /// Asks from now on, and hands on what is new. With `tells` it takes findings to tell of, too.
    ///
    /// # Errors
    /// There can be no thread.
    pub fn begin(api: Api, answer: mpsc::Sender<FactKind>, tells: bool) -> Result<Asking> {
        let (events, waiting) = mpsc::channel(MAX_WAITING);
        let (end, ended) = plain::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let of_thread = api.clone();
        thread::Builder::new().name("kubernetes".to_owned()).spawn(move || {
            // Its token may be renewed, in a folder that is closed to others.
            privileges::keep_only(privileges::CapabilitySet::DAC_READ_SEARCH);
            runtime.block_on(ask(&of_thread, &answer, waiting));
            // Nobody may be waiting for it.
            let _ = end.send(());
        })?;
        let told = Telling { events: Some(events), ended: Some(ended), ..Telling::default() };
        Ok(Asking {
            api,
            told: if tells { told } else { Telling { events: told.events, ..Telling::default() } },
        })
    }

    /// Tells of it if it is a proved finding that was not told of before.
    pub fn take(&mut self, output: &Output) {
        let (Output::Finding(finding), Some(_)) = (output, &self.told.ended) else { return };
        let Some(event) = kube_event::of(finding, &self.api.node) else { return };
        if self.told.told.len() >= MAX_TOLD || !self.told.told.insert(finding.fingerprint.clone()) {
            return;
        }
        if self.told.events.as_ref().is_some_and(|events| events.try_send(event).is_err()) {
            self.told.dropped += 1;
        }
    }

    /// What waits is told of yet, unless that takes long.
    pub fn end(mut self) {
        drop(self.told.events.take());
        let Some(ended) = self.told.ended else { return };
        if ended.recv_timeout(PATIENCE).is_err() {
            talk::say("the Kubernetes API did not take all Events in time");
        }
        if self.told.dropped > 0 {
            talk::say(format_args!(
                "{} findings were not told as Events: too many at once",
                self.told.dropped
            ));
        }
    }
}

async fn ask(api: &Api, answer: &mpsc::Sender<FactKind>, mut waiting: mpsc::Receiver<KubeEvent>) {
    let mut known = BTreeMap::new();
    let mut rounds = interval(EVERY);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut has_complained = false;
    loop {
        tokio::select! {
            event = waiting.recv() => match event {
                None => return,
                Some(event) => {
                    let told = Client::new(&api.access).create(&event.path, event.body).await;
                    if let Err(why) = told && !has_complained {
                        has_complained = true;
                        talk::say(format_args!("the Kubernetes API takes no Events: {why}"));
                    }
                }
            },
            _ = rounds.tick() => for (kind, result) in kube::round(&api.access, &api.node).await {
                if known.get(&kind) == Some(&result) {
                    continue;
                }
                known.insert(kind, result.clone());
                if answer.send(FactKind::Kube { kind, result: Box::new(result) }).await.is_err() {
                    return;
                }
            }
        }
    }
}
