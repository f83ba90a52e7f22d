//! One request and its answer, as gRPC and HTTP have it. What is worth another attempt is said so, and only that.

use std::{convert::Infallible, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, combinators::UnsyncBoxBody};
use hyper::body::Incoming;
use tokio::{sync::Semaphore, time::timeout};

use super::{
    body::{self, Held},
    guard::Guard,
    intake::{Encoding, Intake, Refusal, Taken},
};
use crate::span::{
    Signal,
    wire::{put_bytes, put_tag, put_varint},
};

/// For a whole body.
const PATIENCE: Duration = Duration::from_secs(10);
/// When to try again, seconds.
const RETRY_AFTER: u64 = 1;

pub(super) type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;

mod grpc_code {
    pub(super) const INVALID_ARGUMENT: u32 = 3;
    pub(super) const RESOURCE_EXHAUSTED: u32 = 8;
    pub(super) const UNIMPLEMENTED: u32 = 12;
    pub(super) const UNAVAILABLE: u32 = 14;
    pub(super) const UNAUTHENTICATED: u32 = 16;
}

pub(super) async fn answer(
    request: Request<Incoming>,
    guard: &Guard,
    intake: &Intake,
    pool: &Arc<Semaphore>,
) -> Answer {
    let content_type = text(request.headers(), header::CONTENT_TYPE.as_str()).to_owned();
    if !guard.admits(request.headers()) {
        intake.count(|counts| counts.unauthorized_requests += 1);
        // Hung up on before, it would not have the answer, and try again.
        let _ = timeout(PATIENCE, body::pass_over(request.into_body())).await;
        return unauthorized(content_type.starts_with("application/grpc"));
    }
    if content_type.starts_with("application/grpc") {
        return grpc(request, intake, pool).await;
    }
    let path =
        |signal: &Signal| request.uri().path().trim_end_matches('/') == format!("/v1/{}", signal.name());
    let Some(signal) = Signal::ALL.into_iter().find(path) else {
        return plain(StatusCode::NOT_FOUND, "POST to /v1/traces, /v1/logs or /v1/metrics");
    };
    if request.method() != Method::POST {
        return plain(StatusCode::METHOD_NOT_ALLOWED, "POST it");
    }
    let kind = content_type.split(';').next().unwrap_or_default().trim();
    let encoding = match kind {
        "application/x-protobuf" => Encoding::Protobuf,
        "application/json" => Encoding::Json,
        _ => {
            let why = "a body is application/x-protobuf or application/json";
            return plain(StatusCode::UNSUPPORTED_MEDIA_TYPE, why);
        }
    };
    let compression = text(request.headers(), header::CONTENT_ENCODING.as_str()).to_owned();
    let mut held = Held::of(pool);
    let taken = match timeout(PATIENCE, body::read(request.into_body(), &mut held)).await {
        Err(_) => return plain(StatusCode::REQUEST_TIMEOUT, "the body took too long"),
        Ok(read) => read
            .and_then(|bytes| body::decompress(&compression, bytes, &mut held))
            .and_then(|bytes| intake.take(signal, encoding, &bytes)),
    };
    http(signal, encoding, &taken)
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn http(signal: Signal, encoding: Encoding, taken: &Result<Taken, Refusal>) -> Answer {
    let (status, body) = match (taken, encoding) {
        (Ok(taken), Encoding::Protobuf) => (StatusCode::OK, success(taken)),
        (Ok(taken), Encoding::Json) => (StatusCode::OK, success_json(signal, taken)),
        (Err(refusal), encoding) => {
            let (status, code, why) = match refusal {
                Refusal::Malformed(why) => {
                    (StatusCode::BAD_REQUEST, grpc_code::INVALID_ARGUMENT, why.as_str())
                }
                Refusal::TooLarge(why) => {
                    (StatusCode::PAYLOAD_TOO_LARGE, grpc_code::RESOURCE_EXHAUSTED, why.as_str())
                }
                Refusal::Busy(why) => (StatusCode::SERVICE_UNAVAILABLE, grpc_code::UNAVAILABLE, *why),
            };
            let body = match encoding {
                Encoding::Protobuf => status_message(code, why, &[]),
                Encoding::Json => serde_json::json!({"code": code, "message": why}).to_string().into_bytes(),
            };
            (status, body)
        }
    };
    let mut answer = full(status, body);
    let kind = match encoding {
        Encoding::Protobuf => "application/x-protobuf",
        Encoding::Json => "application/json",
    };
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    if matches!(taken, Err(Refusal::Busy(_))) {
        answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER));
    }
    answer
}

fn unauthorized(is_grpc: bool) -> Answer {
    const WHY: &str = "the token is missing, or another: send Authorization: Bearer TOKEN";
    if is_grpc {
        return grpc_status(grpc_code::UNAUTHENTICATED, WHY, &[]);
    }
    let mut answer = plain(StatusCode::UNAUTHORIZED, WHY);
    answer.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    answer
}

fn full(status: StatusCode, body: Vec<u8>) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(body)).boxed_unsync());
    *answer.status_mut() = status;
    answer
}

fn plain(status: StatusCode, why: &str) -> Answer {
    let mut answer = full(status, format!("{why}\n").into_bytes());
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    answer
}

/// The same message for all signals: `partial_success { rejected, error_message }`, empty if all was taken.
fn success(taken: &Taken) -> Vec<u8> {
    let mut body = Vec::new();
    if taken.rejected > 0 {
        let mut partial = Vec::new();
        put_tag(&mut partial, 1, 0);
        put_varint(&mut partial, taken.rejected);
        put_bytes(&mut partial, 2, taken.why.as_deref().unwrap_or_default().as_bytes());
        put_bytes(&mut body, 1, &partial);
    }
    body
}

fn success_json(signal: Signal, taken: &Taken) -> Vec<u8> {
    if taken.rejected == 0 {
        return b"{}".to_vec();
    }
    let rejected = match signal {
        Signal::Traces => "rejectedSpans",
        Signal::Logs => "rejectedLogRecords",
        Signal::Metrics => "rejectedDataPoints",
    };
    let why = taken.why.as_deref().unwrap_or_default();
    serde_json::json!({"partialSuccess": {rejected: taken.rejected.to_string(), "errorMessage": why}})
        .to_string()
        .into_bytes()
}

/// `google.rpc.Status`.
fn status_message(code: u32, why: &str, details: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    put_tag(&mut body, 1, 0);
    put_varint(&mut body, u64::from(code));
    put_bytes(&mut body, 2, why.as_bytes());
    if !details.is_empty() {
        put_bytes(&mut body, 3, details);
    }
    body
}

/// `google.protobuf.Any` of a `google.rpc.RetryInfo`: without it some refusals are not tried again.
fn retry_info() -> Vec<u8> {
    let mut duration = Vec::new();
    put_tag(&mut duration, 1, 0);
    put_varint(&mut duration, RETRY_AFTER);
    let mut info = Vec::new();
    put_bytes(&mut info, 1, &duration);
    let mut any = Vec::new();
    put_bytes(&mut any, 1, b"type.googleapis.com/google.rpc.RetryInfo");
    put_bytes(&mut any, 2, &info);
    any
}

async fn grpc(request: Request<Incoming>, intake: &Intake, pool: &Arc<Semaphore>) -> Answer {
    let Some(signal) = grpc_signal(request.uri().path()) else {
        return grpc_status(
            grpc_code::UNIMPLEMENTED,
            "only Export of traces, logs and metrics is served",
            &[],
        );
    };
    let compression = text(request.headers(), "grpc-encoding").to_owned();
    let mut held = Held::of(pool);
    let taken = match timeout(PATIENCE, body::read(request.into_body(), &mut held)).await {
        Err(_) => Err(Refusal::Busy("the body took too long")),
        Ok(read) => read
            .and_then(|frame| unframed(frame, &compression, &mut held))
            .and_then(|bytes| intake.take(signal, Encoding::Protobuf, &bytes)),
    };
    match taken {
        Ok(taken) => grpc_message(&success(&taken)),
        Err(Refusal::Malformed(why)) => grpc_status(grpc_code::INVALID_ARGUMENT, &why, &[]),
        Err(Refusal::TooLarge(why)) => grpc_status(grpc_code::RESOURCE_EXHAUSTED, &why, &[]),
        Err(Refusal::Busy(why)) => {
            let details = status_message(grpc_code::UNAVAILABLE, why, &retry_info());
            grpc_status(grpc_code::UNAVAILABLE, why, &details)
        }
    }
}

fn grpc_signal(path: &str) -> Option<Signal> {
    match path {
        "/opentelemetry.proto.collector.trace.v1.TraceService/Export" => Some(Signal::Traces),
        "/opentelemetry.proto.collector.logs.v1.LogsService/Export" => Some(Signal::Logs),
        "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export" => Some(Signal::Metrics),
        _ => None,
    }
}

/// The one message of a unary call.
fn unframed(mut frame: Vec<u8>, compression: &str, held: &mut Held) -> Result<Vec<u8>, Refusal> {
    let malformed = || Refusal::Malformed("the body is not one message of gRPC".to_owned());
    let [flag, a, b, c, d] = *frame.first_chunk().ok_or_else(malformed)?;
    if u32::from_be_bytes([a, b, c, d]) as usize != frame.len() - 5 {
        return Err(malformed());
    }
    frame.drain(..5);
    match flag {
        0 => Ok(frame),
        1 => body::decompress(compression, frame, held),
        _ => Err(malformed()),
    }
}

fn grpc_message(message: &[u8]) -> Answer {
    let mut frame = vec![0];
    frame.extend_from_slice(&(message.len() as u32).to_be_bytes());
    frame.extend_from_slice(message);
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let body = Full::new(Bytes::from(frame)).with_trailers(async move { Some(Ok(trailers)) });
    let mut answer = Response::new(body.boxed_unsync());
    grpc_headers(answer.headers_mut());
    answer
}

fn grpc_headers(headers: &mut HeaderMap) {
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert("grpc-accept-encoding", HeaderValue::from_static("identity,gzip,zstd"));
}

/// A refusal: headers that are trailers, too.
fn grpc_status(code: u32, why: &str, details: &[u8]) -> Answer {
    let mut answer = full(StatusCode::OK, Vec::new());
    let headers = answer.headers_mut();
    grpc_headers(headers);
    headers.insert("grpc-status", HeaderValue::from(code));
    if let Ok(why) = HeaderValue::from_str(&percent_encoded(why)) {
        headers.insert("grpc-message", why);
    }
    if !details.is_empty()
        && let Ok(details) = HeaderValue::from_str(&base64(details))
    {
        headers.insert("grpc-status-details-bin", details);
    }
    answer
}

fn percent_encoded(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b'%' => "%25".to_owned(),
        b' '..=b'~' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(encode).collect()
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let mut three = [0; 3];
        three[..chunk.len()].copy_from_slice(chunk);
        let bits = u32::from_be_bytes([0, three[0], three[1], three[2]]);
        for place in 0..=chunk.len() {
            text.push(char::from(DIGITS[(bits >> (18 - 6 * place)) as usize & 63]));
        }
    }
    text
}
