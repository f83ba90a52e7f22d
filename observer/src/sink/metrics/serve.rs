//! Where Prometheus fetches metrics: one path over HTTP/1, from a thread of its own. Owns its listener and its
//! connections, bounded; a fetch costs the run a moment's lock and nothing else.

use std::{
    convert::Infallible,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::{body::Bytes, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::TcpStream,
    runtime,
    sync::{Semaphore, oneshot},
    time::sleep,
};

use super::{Metrics, exposition};
use crate::{privileges, time::Wall};

/// Connections at once; one more is closed.
const MAX_CONNECTIONS: usize = 16;
/// For the head of a request, and between two on one connection.
const PATIENCE: Duration = Duration::from_secs(60);
/// After the system had no descriptor left for a connection.
const BREATH: Duration = Duration::from_millis(50);
const PATH: &str = "/metrics";

#[derive(Debug, thiserror::Error)]
pub enum MetricsError {
    #[error(
        "--metrics {text}: it is no address and port; write it as 127.0.0.1:9464, or 9464 for this machine alone"
    )]
    Address { text: String },
    #[error("--metrics {address}: {why}; does another observer serve its metrics there? Choose another port")]
    Taken { address: SocketAddr, why: io::Error },
    #[error("cannot start the thread that serves metrics: {0}")]
    Thread(#[from] io::Error),
}

/// Serves until it is dropped.
pub struct Server {
    address: SocketAddr,
    _stop: oneshot::Sender<()>,
}

/// What was typed: a port alone is one of this machine's own.
///
/// # Errors
/// It is neither.
pub fn address(text: &str) -> Result<SocketAddr, MetricsError> {
    let port = text.strip_prefix(':').unwrap_or(text).parse().ok();
    let local = port.map(|port: u16| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port));
    local.or_else(|| text.parse().ok()).ok_or_else(|| MetricsError::Address { text: text.to_owned() })
}

impl Server {
    /// Listens at once; `clock` gives the time of a fetch.
    ///
    /// # Errors
    /// The port is taken, or no thread can be made.
    pub fn start(
        address: SocketAddr,
        metrics: Arc<Mutex<Metrics>>,
        clock: fn() -> Wall,
    ) -> Result<Server, MetricsError> {
        let listener = TcpListener::bind(address).map_err(|why| MetricsError::Taken { address, why })?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        thread::Builder::new().name("observer-metrics".into()).spawn(move || {
            privileges::keep_only(privileges::NONE);
            runtime.block_on(async {
                tokio::select! {
                    () = accept(listener, metrics, clock) => {}
                    _ = stopped => {}
                }
            });
            runtime.shutdown_background();
        })?;
        Ok(Server { address, _stop: stop })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

async fn accept(listener: TcpListener, metrics: Arc<Mutex<Metrics>>, clock: fn() -> Wall) {
    // Bound by us, and made non-blocking.
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            sleep(BREATH).await;
            continue;
        };
        if let Ok(permit) = Arc::clone(&room).try_acquire_owned() {
            let metrics = Arc::clone(&metrics);
            tokio::spawn(async move {
                connection(stream, &metrics, clock).await;
                drop(permit);
            });
        }
    }
}

async fn connection(stream: TcpStream, metrics: &Arc<Mutex<Metrics>>, clock: fn() -> Wall) {
    let service = service_fn(|request| {
        let answer = answer(&request, metrics, clock);
        async move { Ok::<_, Infallible>(answer) }
    });
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(PATIENCE).max_buf_size(64 << 10);
    // Whatever ends it is the fetcher's to notice.
    let _ = server.serve_connection(TokioIo::new(stream), service).await;
}

fn answer<B>(request: &Request<B>, metrics: &Mutex<Metrics>, clock: fn() -> Wall) -> Response<Full<Bytes>> {
    let (status, kind, text) = if request.uri().path() != PATH {
        (StatusCode::NOT_FOUND, "text/plain; charset=utf-8", format!("only {PATH} is here\n"))
    } else if !matches!(*request.method(), Method::GET | Method::HEAD) {
        (StatusCode::METHOD_NOT_ALLOWED, "text/plain; charset=utf-8", "only GET is known here\n".to_owned())
    } else {
        let snapshot = metrics.lock().unwrap_or_else(PoisonError::into_inner).snapshot(clock());
        (StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", exposition(&snapshot))
    };
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
    response
}
