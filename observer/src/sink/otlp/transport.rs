//! One attempt at handing a request to the collector, and what its answer means.

use std::{error::Error, time::Duration};

use bytes::{Buf as _, BufMut as _, Bytes};
use http::{HeaderValue, Request, Response, StatusCode, header, uri::PathAndQuery};
use opentelemetry_http::{HttpClient, ResponseBodyTooLarge, hyper::HyperClient};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message;
use tonic::{
    Code, Status,
    client::Grpc,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    metadata::MetadataMap,
    transport::{Channel, Endpoint},
};

use super::{
    OtlpError,
    settings::{OtlpSettings, Protocol},
};
use crate::span::Signal;

const USER_AGENT: &str = concat!("observer/", env!("CARGO_PKG_VERSION"));
const CONTENT_TYPE: &str = "application/x-protobuf";
/// A collector may ask for a pause, but not for any length of it.
const MAX_ASKED_PAUSE: Duration = Duration::from_secs(30);

pub enum Transport {
    Grpc {
        client: Box<Grpc<Channel>>,
        headers: MetadataMap,
    },
    /// A request for each signal, in their order.
    Http {
        client: Box<dyn HttpClient>,
        requests: Box<[Request<()>; 3]>,
    },
}

/// Messages as the bytes that they are.
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Raw;
    type Decoder = Raw;

    fn encoder(&mut self) -> Raw {
        Raw
    }

    fn decoder(&mut self) -> Raw {
        Raw
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}

const fn grpc_path(signal: Signal) -> &'static str {
    match signal {
        Signal::Traces => "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
        Signal::Logs => "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
        Signal::Metrics => "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
    }
}

/// The collector took the request, perhaps not all of it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Taken {
    pub rejected_spans: u64,
    /// Why, or a warning; empty if all is well.
    pub message: String,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Failure {
    /// Worth another attempt, not before `pause` if that is given.
    Transient {
        why: String,
        pause: Option<Duration>,
    },
    Permanent {
        why: String,
    },
}

impl Transport {
    /// Connects to nothing yet. Has to be called inside a tokio runtime.
    pub fn new(settings: &OtlpSettings) -> Result<Self, OtlpError> {
        let url = &settings.url;
        let bad = |why: &dyn Error| OtlpError::Url { url: url.to_string(), why: chain(why) };
        let headers = settings.headers.0.iter().cloned();
        match settings.protocol {
            Protocol::Grpc => {
                let endpoint = Endpoint::from(url.clone()).user_agent(USER_AGENT).map_err(|why| bad(&why))?;
                let headers = MetadataMap::from_headers(headers.collect());
                let channel = match settings.tls.clone() {
                    Some(connector) => endpoint.connect_with_connector_lazy(connector),
                    None => endpoint.connect_lazy(),
                };
                Ok(Transport::Grpc { client: Box::new(Grpc::new(channel)), headers })
            }
            Protocol::HttpProtobuf => {
                let request = |signal| -> Result<Request<()>, OtlpError> {
                    let mut request =
                        Request::post(settings.url_of(signal)?).body(()).map_err(|why| bad(&why))?;
                    request.headers_mut().extend(headers.clone());
                    request
                        .headers_mut()
                        .insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
                    request.headers_mut().insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
                    Ok(request)
                };
                let [traces, logs, metrics] = Signal::ALL;
                let requests = Box::new([request(traces)?, request(logs)?, request(metrics)?]);
                let client: Box<dyn HttpClient> = match settings.tls.clone() {
                    Some(connector) => Box::new(HyperClient::new(connector, settings.timeout, None)),
                    None => Box::new(HyperClient::with_default_connector(settings.timeout, None)),
                };
                Ok(Transport::Http { client, requests })
            }
        }
    }

    /// Hands over an export request of this signal, encoded.
    pub async fn export(&mut self, signal: Signal, body: Bytes) -> Result<Taken, Failure> {
        match self {
            Transport::Grpc { client, headers } => {
                let request = tonic::Request::from_parts(headers.clone(), tonic::Extensions::default(), body);
                client.ready().await.map_err(|why| Failure::Transient { why: chain(&why), pause: None })?;
                let path = PathAndQuery::from_static(grpc_path(signal));
                let answer = client.unary(request, path, Raw).await.map_err(|status| refused(&status))?;
                // All signals are answered alike.
                match ExportTraceServiceResponse::decode(answer.into_inner()) {
                    Ok(message) => Ok(taken(message)),
                    Err(why) => Err(Failure::Permanent { why: chain(&why) }),
                }
            }
            Transport::Http { client, requests } => {
                let request = requests[signal as usize].clone().map(|()| body);
                match client.send_bytes(request).await {
                    Ok(answer) => answered(&answer),
                    Err(why) => Err(unanswered(why.as_ref())),
                }
            }
        }
    }
}

fn taken(answer: ExportTraceServiceResponse) -> Taken {
    answer.partial_success.map_or_else(Taken::default, |partial| Taken {
        rejected_spans: u64::try_from(partial.rejected_spans).unwrap_or(0),
        message: partial.error_message,
    })
}

/// Which codes are worth another attempt is OTLP's list. Besides, a peer that breaks off the protocol is
/// reported as an unknown or internal error with the transport's as its source.
fn refused(status: &Status) -> Failure {
    let transport = status.source();
    let why = match transport {
        Some(source) => format!("{}: {}", status.message(), chain(source)),
        None => format!("gRPC {:?}: {}", status.code(), status.message()),
    };
    match status.code() {
        Code::Cancelled
        | Code::DeadlineExceeded
        | Code::Aborted
        | Code::OutOfRange
        | Code::DataLoss
        | Code::Unavailable => Failure::Transient { why, pause: None },
        // Only whoever says when to come again wants to be asked again.
        Code::ResourceExhausted if says_when_to_retry(status.details()) => {
            Failure::Transient { why, pause: None }
        }
        _ if transport.is_some() => Failure::Transient { why, pause: None },
        _ => Failure::Permanent { why },
    }
}

/// Whether a `google.rpc.RetryInfo` is among the details.
fn says_when_to_retry(details: &[u8]) -> bool {
    const NAME: &[u8] = b"google.rpc.RetryInfo";
    details.windows(NAME.len()).any(|window| window == NAME)
}

fn answered(answer: &Response<Bytes>) -> Result<Taken, Failure> {
    let status = answer.status();
    if status.is_success() {
        return match ExportTraceServiceResponse::decode(answer.body().as_ref()) {
            Ok(message) => Ok(taken(message)),
            // Whoever says yes in another language may not have understood a word.
            Err(_) => {
                let why = format!("HTTP {status}, but the body is not an OTLP answer: is this a collector?");
                Err(Failure::Permanent { why })
            }
        };
    }
    let why = format!("HTTP {status}");
    match status {
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => Err(Failure::Transient { why, pause: asked_pause(answer) }),
        _ => Err(Failure::Permanent { why }),
    }
}

fn asked_pause(answer: &Response<Bytes>) -> Option<Duration> {
    let seconds = answer.headers().get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(MAX_ASKED_PAUSE))
}

fn unanswered(error: &(dyn Error + 'static)) -> Failure {
    let why = chain(error);
    if error.is::<ResponseBodyTooLarge>() {
        return Failure::Permanent { why };
    }
    Failure::Transient { why, pause: None }
}

/// An error and its causes; they do not repeat each other in their own text.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.ends_with(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests;
