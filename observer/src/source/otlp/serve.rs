//! The listeners and their connections.

use std::{convert::Infallible, net::TcpListener, sync::Arc, time::Duration};

use hyper::{
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    select,
    sync::{Semaphore, watch},
    task::JoinSet,
    time::{interval, sleep},
};

use super::{
    answer,
    body::MAX_HELD,
    connections::{Lost, MAX_SPEAKING, Silent, Spoken, Stream},
    guard::Guard,
    intake::Intake,
};

/// For the head of a request, and between two on one connection.
const HEAD_PATIENCE: Duration = Duration::from_secs(60);
/// How often a connection of HTTP/2 is asked whether it is still there, and how long it has for its answer.
const PING: Duration = Duration::from_secs(30);
const PONG: Duration = Duration::from_secs(10);
/// Requests at once on one connection.
const STREAMS: u32 = 64;
const MAX_HEAD: u32 = 16 << 10;
/// After the system had no descriptor left for a connection.
const BREATH: Duration = Duration::from_millis(50);
/// How often certificate, key and token are read again.
const RENEW: Duration = Duration::from_secs(60);

/// Takes a line for people.
pub(super) type Say = Box<dyn Fn(&str) + Send + Sync>;

/// What all connections share.
struct Shared {
    intake: Arc<Intake>,
    guard: Arc<Guard>,
    pool: Arc<Semaphore>,
    speaking: Arc<Semaphore>,
    silent: Silent,
}

/// Serves until it is to stop. Nothing is heard of requests that are under way then.
pub(super) async fn all(
    listeners: Vec<TcpListener>,
    intake: &Arc<Intake>,
    guard: Arc<Guard>,
    say: Say,
    mut stop: watch::Receiver<bool>,
) {
    let shared = Arc::new(Shared {
        intake: Arc::clone(intake),
        guard: Arc::clone(&guard),
        pool: Arc::new(Semaphore::new(MAX_HELD)),
        speaking: Arc::new(Semaphore::new(MAX_SPEAKING)),
        silent: Silent::default(),
    });
    let mut accepting = JoinSet::new();
    for listener in listeners {
        accepting.spawn(accept(listener, Arc::clone(&shared)));
    }
    select! {
        // It is stopped, or nobody is left who could stop it.
        _ = stop.wait_for(|stop| *stop) => {}
        () = renew(&guard, &say) => {}
    }
}

/// What was renewed is taken, without end; what cannot be used is said once.
async fn renew(guard: &Guard, say: &Say) {
    let mut ticks = interval(RENEW);
    let mut said = None;
    loop {
        ticks.tick().await;
        let failed = guard.renew().err().map(|why| why.to_string());
        if let Some(why) = failed.as_ref().filter(|_| said != failed) {
            say(&format!("otlp: {why}; what it held before is in use until that can be"));
        }
        said = failed;
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    // Bound by us, and made non-blocking.
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
    let mut connections = JoinSet::new();
    loop {
        select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(stream, Arc::clone(&shared)));
                }
                Err(_) => sleep(BREATH).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(stream: TcpStream, shared: Arc<Shared>) {
    // Answers are small: they are not to wait for more.
    let _ = stream.set_nodelay(true);
    let (stream, spoken) = match shared.silent.until_it_speaks(stream, shared.guard.tls()).await {
        Ok(arrived) => arrived,
        Err(Lost::Silent) => return shared.intake.count(|counts| counts.silent_connections += 1),
        Err(Lost::NoHandshake) => return shared.intake.count(|counts| counts.failed_handshakes += 1),
    };
    let Ok(_speaking) = shared.speaking.try_acquire() else {
        return shared.intake.count(|counts| counts.refused_connections += 1);
    };
    match stream {
        Stream::Plain(stream) => converse(stream, spoken, &shared).await,
        Stream::Tls(stream) => converse(stream, spoken, &shared).await,
    }
}

async fn converse<S>(stream: S, spoken: Spoken, shared: &Arc<Shared>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request| {
        let shared = Arc::clone(shared);
        async move {
            Ok::<_, Infallible>(answer::answer(request, &shared.guard, &shared.intake, &shared.pool).await)
        }
    });
    let stream = TokioIo::new(stream);
    // Whatever ends it is its sender's to notice.
    match spoken {
        Spoken::Http1 => {
            let mut server = http1::Builder::new();
            server.timer(TokioTimer::new()).header_read_timeout(HEAD_PATIENCE).max_buf_size(64 << 10);
            let _ = server.serve_connection(stream, service).await;
        }
        Spoken::Http2 => {
            let mut server = http2::Builder::new(TokioExecutor::new());
            server
                .timer(TokioTimer::new())
                .keep_alive_interval(PING)
                .keep_alive_timeout(PONG)
                .max_concurrent_streams(STREAMS)
                .max_header_list_size(MAX_HEAD)
                .initial_stream_window_size(1 << 20)
                .initial_connection_window_size(4 << 20);
            let _ = server.serve_connection(stream, service).await;
        }
    }
}
