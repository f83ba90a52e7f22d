//! One attempt at handing a request to the collector, and what its answer means.

use std::{error::Error, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use opentelemetry_http::{HttpClient, ResponseBodyTooLarge, hyper::HyperClient};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse, trace_service_client::TraceServiceClient,
};
use prost::Message;
use tonic::{
    Code, Status,
    metadata::MetadataMap,
    transport::{Channel, Endpoint},
};

use super::{
    OtlpError,
    settings::{OtlpSettings, Protocol},
};

const USER_AGENT: &str = concat!("observer/", env!("CARGO_PKG_VERSION"));
const CONTENT_TYPE: &str = "application/x-protobuf";
/// A collector may ask for a pause, but not for any length of it.
const MAX_ASKED_PAUSE: Duration = Duration::from_secs(30);

pub enum Transport {
    Grpc { client: TraceServiceClient<Channel>, headers: MetadataMap },
    Http { client: Box<HyperClient>, request: Request<()> },
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
                Ok(Transport::Grpc { client: TraceServiceClient::new(endpoint.connect_lazy()), headers })
            }
            Protocol::HttpProtobuf => {
                let mut request = Request::post(url.clone()).body(()).map_err(|why| bad(&why))?;
                request.headers_mut().extend(headers);
                request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
                request.headers_mut().insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
                let client = Box::new(HyperClient::with_default_connector(settings.timeout, None));
                Ok(Transport::Http { client, request })
            }
        }
    }

    pub async fn export(&mut self, spans: &ExportTraceServiceRequest) -> Result<Taken, Failure> {
        match self {
            Transport::Grpc { client, headers } => {
                let request =
                    tonic::Request::from_parts(headers.clone(), tonic::Extensions::default(), spans.clone());
                client
                    .export(request)
                    .await
                    .map(|answer| taken(answer.into_inner()))
                    .map_err(|status| refused(&status))
            }
            Transport::Http { client, request } => {
                let request = request.clone().map(|()| Bytes::from(spans.encode_to_vec()));
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
        _ if transport.is_some() => Failure::Transient { why, pause: None },
        _ => Failure::Permanent { why },
    }
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
