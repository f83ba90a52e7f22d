//! Telemetry of others, received as OTLP over gRPC and HTTP, in protobuf and JSON.
//!
//! Owns two listeners and the thread that serves them, what is refused and why, and the memory that all of it may take.
//! Spans go to the pipeline, reduced; everything goes on as it came where that is asked for. Senders are never made to
//! wait: what there is no room for is refused with the answer that makes them try again. Refuses to listen to other
//! machines unless what they send is encrypted, and they prove who they are.

mod answer;
mod body;
mod connections;
mod guard;
mod intake;
mod serve;

use std::{
    io,
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    sync::{Arc, mpsc as std_mpsc},
    thread,
    time::Duration,
};

use tokio::{runtime, sync::watch};

pub use self::{
    guard::{Guard, GuardFiles},
    intake::Forwarding,
};
use self::{intake::Intake, serve::Say};
use crate::{health::OtlpCounts, privileges, span::Span, time::Time};

/// How long the thread is given to end.
const GRACE: Duration = Duration::from_millis(300);

#[derive(Debug, thiserror::Error)]
pub enum ReceiverError {
    #[error("{option} {text}: {why}; write it as 127.0.0.1:{port}")]
    Address { option: &'static str, text: String, why: String, port: u16 },
    #[error(
        "{option} {address}: other machines reach it, and what they send would be neither encrypted nor asked for its name: \
         add --otlp-listen-cert FILE, --otlp-listen-key FILE and --otlp-listen-token-file FILE (or --otlp-listen-client-ca \
         FILE); or use 127.0.0.1:{port}, and a collector on this node for what others send"
    )]
    NotLoopback { option: &'static str, address: SocketAddr, port: u16 },
    #[error("{option}: nothing is received; add --otlp-listen ADDR, or leave it out")]
    Useless { option: &'static str },
    #[error("{option}: it is of no use without {missing}: add that, too")]
    Alone { option: &'static str, missing: &'static str },
    #[error("{option}: {why}")]
    Unread { option: &'static str, why: String },
    #[error("{option} {}: it {why}", path.display())]
    File { option: &'static str, path: PathBuf, why: &'static str },
    #[error("--otlp-listen-cert, --otlp-listen-key: they cannot be used together: {why}")]
    Unusable { why: String },
    #[error(
        "{option} {address}: {why}; is a collector, or another observer, listening there? Choose another port, or let it \
         send a copy here"
    )]
    Taken { option: &'static str, address: SocketAddr, why: io::Error },
    #[error("cannot start the thread that receives spans: {0}")]
    Thread(#[from] io::Error),
}

/// Where to listen, checked, and to whom: either port takes both protocols.
#[derive(Clone, Debug)]
pub struct ReceiverSettings {
    listen: Vec<(&'static str, SocketAddr)>,
    guard: Arc<Guard>,
}

impl ReceiverSettings {
    /// From what was typed. `None`: nothing is to be received.
    ///
    /// # Errors
    /// An address is none, or one that other machines reach and that is not guarded; a file is not what it should be.
    pub fn resolve(
        grpc: Option<&str>,
        http: Option<&str>,
        files: GuardFiles,
    ) -> Result<Option<Self>, ReceiverError> {
        let mut listen = Vec::new();
        for (option, text, port) in [("--otlp-listen", grpc, 4317), ("--otlp-listen-http", http, 4318)] {
            let Some(text) = text else { continue };
            let address: SocketAddr = text.parse().map_err(|_| ReceiverError::Address {
                option,
                text: text.to_owned(),
                why: "it is not an address and a port".to_owned(),
                port,
            })?;
            if !address.ip().is_loopback() && !files.suffice() {
                return Err(ReceiverError::NotLoopback { option, address, port });
            }
            listen.push((option, address));
        }
        match files.first().filter(|_| listen.is_empty()) {
            Some(option) => Err(ReceiverError::Useless { option }),
            None if listen.is_empty() => Ok(None),
            None => Ok(Some(ReceiverSettings { listen, guard: Arc::new(Guard::open(files)?) })),
        }
    }

    /// What senders have to bring, in words.
    pub fn guard(&self) -> &Guard {
        &self.guard
    }
}

/// Receives until it is dropped.
pub struct Receiver {
    intake: Arc<Intake>,
    stop: watch::Sender<bool>,
    done: std_mpsc::Receiver<()>,
    addresses: Vec<SocketAddr>,
}

impl Receiver {
    /// Listens at once; `clock` gives the time at which a span was received, `say` is handed what people should know.
    ///
    /// # Errors
    /// A port is taken, or no thread can be made.
    pub fn start(
        settings: &ReceiverSettings,
        forwarding: Option<Arc<dyn Forwarding>>,
        clock: fn() -> Time,
        say: impl Fn(&str) + Send + Sync + 'static,
    ) -> Result<Self, ReceiverError> {
        let mut listeners = Vec::new();
        for (option, address) in &settings.listen {
            let taken = |why| ReceiverError::Taken { option, address: *address, why };
            let listener = TcpListener::bind(address).map_err(taken)?;
            listener.set_nonblocking(true)?;
            listeners.push(listener);
        }
        let addresses = listeners.iter().map(TcpListener::local_addr).collect::<Result<_, _>>()?;
        // Nothing may fail behind this: it cannot be dropped where another one runs.
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        // What is passed on is written to the disk by this thread, wherever that is.
        let writes = forwarding.is_some();
        let wanted = if writes { privileges::CapabilitySet::DAC_OVERRIDE } else { privileges::NONE };
        let intake = Arc::new(Intake::new(forwarding, clock));
        let (stop, stopped) = watch::channel(false);
        let (finished, done) = std_mpsc::channel();
        let serving = Arc::clone(&intake);
        let guard = Arc::clone(&settings.guard);
        let say: Say = Box::new(say);
        thread::Builder::new().name("observer-otlp-in".into()).spawn(move || {
            privileges::keep_only(wanted);
            runtime.block_on(serve::all(listeners, &serving, guard, say, stopped));
            runtime.shutdown_background();
            // Nobody waits if the receiver is gone.
            let _ = finished.send(());
        })?;
        Ok(Receiver { intake, stop, done, addresses })
    }

    /// Where it listens, in the order of the options.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Hands over the spans that have come since, oldest first.
    pub fn spans(&self, take: impl FnMut(Span)) {
        self.intake.drain(take);
    }

    pub fn counts(&self) -> OtlpCounts {
        self.intake.counts()
    }

    /// Takes nothing more.
    pub fn stop(&self) {
        self.stop.send_replace(true);
        // It may be in the middle of a large body: what it takes after this is told by nobody.
        let _ = self.done.recv_timeout(GRACE);
    }
}

#[cfg(test)]
mod tests;
