//! One request after the other to the Kubernetes API, each with a bound on how long it takes and how much it brings. What
//! answers may hang, refuse, or be something else.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::{
    net::TcpStream,
    time::{error::Elapsed, timeout},
};
use tokio_rustls::TlsConnector;

use super::access::Access;

/// For a connection, and for each request with its answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// Of an answer.
const MAX_BODY: usize = 16 << 20;

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Whatever is asked next will fail, too.
    #[error("{0}")]
    Unreachable(String),
    /// There is no such thing.
    #[error("404: it has nothing of the kind")]
    Absent,
    /// This was refused.
    #[error("{0}")]
    This(String),
}

/// See the module.
pub struct Client<'a> {
    access: &'a Access,
    connection: Option<SendRequest<Full<Bytes>>>,
}

impl<'a> Client<'a> {
    pub fn new(access: &'a Access) -> Self {
        Client { access, connection: None }
    }

    /// # Errors
    /// There is no answer, or none that says what was asked.
    pub async fn get(&mut self, path: &str) -> Result<Bytes, Refused> {
        let (status, body) = self.ask(Method::GET, path, Bytes::new()).await?;
        if status.is_success() { Ok(body) } else { Err(refusal(status)) }
    }

    /// Makes an object. What is there already is as good.
    ///
    /// # Errors
    /// It is not made.
    pub async fn create(&mut self, path: &str, body: Vec<u8>) -> Result<(), Refused> {
        let (status, _) = self.ask(Method::POST, path, body.into()).await?;
        let is_there = status.is_success() || status == StatusCode::CONFLICT;
        if is_there { Ok(()) } else { Err(refusal(status)) }
    }

    async fn ask(&mut self, method: Method, path: &str, body: Bytes) -> Result<(StatusCode, Bytes), Refused> {
        let slow = |_: Elapsed| Refused::Unreachable(format!("no answer within {} s", PATIENCE.as_secs()));
        if self.connection.as_ref().is_none_or(SendRequest::is_closed) {
            self.connection = None;
            self.connection = Some(timeout(PATIENCE, connect(self.access)).await.map_err(slow)??);
        }
        let Some(connection) = &mut self.connection else { return Err(Refused::Unreachable(String::new())) };
        let request = request(self.access, method, path, body)?;
        let answered = timeout(PATIENCE, exchange(connection, request)).await;
        let answered = answered.map_err(slow).and_then(|answered| answered);
        if answered.is_err() {
            // Half an answer may be under way.
            self.connection = None;
        }
        answered
    }
}

fn request(
    access: &Access,
    method: Method,
    path: &str,
    body: Bytes,
) -> Result<Request<Full<Bytes>>, Refused> {
    let host = if access.host.contains(':') { format!("[{}]", access.host) } else { access.host.clone() };
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, format!("{host}:{}", access.port))
        .header(header::ACCEPT, "application/json")
        .header(header::USER_AGENT, concat!("observer/", env!("CARGO_PKG_VERSION")));
    if !body.is_empty() {
        request = request.header(header::CONTENT_TYPE, "application/json");
    }
    if let Some(value) = access.authorization().map_err(Refused::Unreachable)? {
        let value = header::HeaderValue::from_str(&value)
            .map_err(|_| Refused::Unreachable("the token cannot be a header".to_owned()))?;
        let mut value = value;
        value.set_sensitive(true);
        request = request.header(header::AUTHORIZATION, value);
    }
    request.body(Full::new(body)).map_err(|_| Refused::This("it cannot be asked for".to_owned()))
}

async fn exchange(
    connection: &mut SendRequest<Full<Bytes>>,
    request: Request<Full<Bytes>>,
) -> Result<(StatusCode, Bytes), Refused> {
    let answer =
        connection.send_request(request).await.map_err(|error| Refused::Unreachable(error.to_string()))?;
    let status = answer.status();
    let body = Limited::new(answer.into_body(), MAX_BODY).collect().await;
    let body = body.map_err(|_| {
        Refused::This(format!("its answer breaks off, or is longer than {} MiB", MAX_BODY >> 20))
    })?;
    Ok((status, body.to_bytes()))
}

async fn connect(access: &Access) -> Result<SendRequest<Full<Bytes>>, Refused> {
    let gone = |what: &str, error: &dyn std::fmt::Display| Refused::Unreachable(format!("{what}: {error}"));
    let stream = TcpStream::connect((access.host.as_str(), access.port)).await;
    let stream = stream.map_err(|error| gone("cannot connect", &error))?;
    match &access.tls {
        None => shake_hands(TokioIo::new(stream)).await,
        Some((config, name)) => {
            let stream = TlsConnector::from(config.clone()).connect(name.clone(), stream).await;
            shake_hands(TokioIo::new(stream.map_err(|error| gone("TLS", &error))?)).await
        }
    }
}

async fn shake_hands<I>(io: I) -> Result<SendRequest<Full<Bytes>>, Refused>
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let made = http1::handshake(io).await;
    let (sender, connection) = made.map_err(|error| Refused::Unreachable(error.to_string()))?;
    // It ends with the sender.
    tokio::spawn(async move { drop(connection.await) });
    Ok(sender)
}

/// What a status says, without what came with it: that is anybody's text.
fn refusal(status: StatusCode) -> Refused {
    if status == StatusCode::NOT_FOUND {
        return Refused::Absent;
    }
    let why = match status.as_u16() {
        401 => "it does not know who asks",
        403 => "whoever asks may not read this",
        300..=399 => "it sends elsewhere, which is not followed",
        _ => "it says so",
    };
    Refused::This(format!("{}: {why}", status.as_u16()))
}
