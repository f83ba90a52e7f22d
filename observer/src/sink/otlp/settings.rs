//! Where and how to export: from the command line first, from OTLP's environment variables otherwise. Every
//! mistake is found here, before anything is attached. Reads no environment itself.
//!
//! `OTEL_EXPORTER_OTLP_COMPRESSION` has no effect: bodies go uncompressed, which every receiver takes.

use std::{fmt, time::Duration};

use http::{HeaderName, HeaderValue, Uri, uri::PathAndQuery};

use super::{
    OtlpError,
    secure::{Connector, Files},
};
use crate::span::Signal;

const TRACES_PATH: &str = "/v1/traces";
const HTTP_PORT: u16 = 4318;
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
const DEFAULT_RETRY_FOR: Duration = Duration::from_secs(30);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Grpc,
    HttpProtobuf,
}

/// A collector, checked.
#[derive(Clone, Debug)]
pub struct OtlpSettings {
    /// For HTTP with the path that takes traces.
    pub(super) url: Uri,
    pub(super) protocol: Protocol,
    pub(super) headers: Headers,
    /// `None`: what is sent is not encrypted.
    pub(super) tls: Option<Connector>,
    /// For one attempt.
    pub(super) timeout: Duration,
    /// For all attempts at one batch.
    pub(super) retry_for: Duration,
    /// Where other signals go was not said.
    pub(super) traces_only: bool,
}

/// Sent with every request. Values are often secrets: they are never shown.
#[derive(Clone, Default)]
pub(super) struct Headers(pub Vec<(HeaderName, HeaderValue)>);

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

impl OtlpSettings {
    /// `url` and `protocol` are what was asked for, `environment` looks a variable up. `None`: no export was
    /// asked for. Without a protocol port 4318 and a path that ends in /v1/traces mean HTTP, anything else
    /// gRPC. For HTTP the traces path is appended, except to OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, which is
    /// taken as it is.
    pub fn resolve(
        url: Option<&str>,
        protocol: Option<&str>,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<Self>, OtlpError> {
        let variable = |name: &str| environment(name).filter(|value| !value.trim().is_empty());
        let for_traces = url.is_none().then(|| variable("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")).flatten();
        let complete = for_traces.is_some();
        let Some(url) =
            url.map(ToOwned::to_owned).or(for_traces).or_else(|| variable("OTEL_EXPORTER_OTLP_ENDPOINT"))
        else {
            return Ok(None);
        };
        let url = parse_url(url.trim())?;
        let protocol = protocol
            .map(ToOwned::to_owned)
            .or_else(|| variable("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"))
            .or_else(|| variable("OTEL_EXPORTER_OTLP_PROTOCOL"));
        let protocol = match protocol {
            Some(name) => parse_protocol(&name)?,
            None if url.port_u16() == Some(HTTP_PORT) || url.path().ends_with(TRACES_PATH) => {
                Protocol::HttpProtobuf
            }
            None => Protocol::Grpc,
        };
        let url = if protocol == Protocol::HttpProtobuf && !complete { with_traces_path(url)? } else { url };
        let either = |of_traces: &'static str, of_all: &'static str| {
            variable(of_traces).map(|value| (of_traces, value)).or_else(|| Some((of_all, variable(of_all)?)))
        };
        let headers = either("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS");
        let tls = if url.scheme_str() == Some("https") {
            let files = Files {
                authority: either("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "OTEL_EXPORTER_OTLP_CERTIFICATE"),
                certificate: either(
                    "OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE",
                    "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE",
                ),
                key: either("OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY", "OTEL_EXPORTER_OTLP_CLIENT_KEY"),
            };
            let tls = Connector::new(&files, protocol);
            Some(tls.map_err(|why| OtlpError::Tls { url: url.to_string(), why })?)
        } else {
            None
        };
        let timeout = either("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT");
        Ok(Some(OtlpSettings {
            url,
            protocol,
            headers: headers.map_or(Ok(Headers::default()), |(name, text)| parse_headers(name, &text))?,
            tls,
            timeout: timeout.map_or(Ok(DEFAULT_TIMEOUT), |(name, text)| parse_timeout(name, &text))?,
            retry_for: DEFAULT_RETRY_FOR,
            traces_only: complete,
        }))
    }

    /// For all attempts at one batch; 30 s unless set.
    #[must_use]
    pub fn retry_for(mut self, retry_for: Duration) -> Self {
        self.retry_for = retry_for;
        self
    }

    /// Where this signal goes over HTTP: beside the traces.
    pub(super) fn url_of(&self, signal: Signal) -> Result<Uri, OtlpError> {
        let Some(base) = self.url.path().strip_suffix(TRACES_PATH) else { return Ok(self.url.clone()) };
        let query = self.url.query().map(|query| format!("?{query}")).unwrap_or_default();
        let path = format!("{base}/v1/{}{query}", signal.name());
        let bad = |why: String| OtlpError::Url { url: self.url.to_string(), why };
        let mut parts = self.url.clone().into_parts();
        parts.path_and_query = Some(path.parse().map_err(|why| bad(format!("{why}")))?);
        Uri::from_parts(parts).map_err(|why| bad(why.to_string()))
    }

    /// Whether it is known where other signals than traces go.
    pub(super) fn is_beside_others(&self) -> bool {
        self.url.path().ends_with(TRACES_PATH)
    }

    pub fn protocol(&self) -> Protocol {
        self.protocol
    }
}

fn parse_url(text: &str) -> Result<Uri, OtlpError> {
    // A URL with a password in it is not repeated.
    let shown = if text.contains('@') { "URL" } else { text };
    let bad = |why: &str| OtlpError::Url { url: shown.to_owned(), why: why.to_owned() };
    let url: Uri = text.parse().map_err(|why| bad(&format!("not a URL ({why})")))?;
    match url.scheme_str() {
        Some("http" | "https") => {}
        Some(other) => return Err(bad(&format!("{other}:// is not a way to a collector"))),
        None => return Err(bad("the scheme is missing")),
    }
    let authority = url.authority().map_or("", |authority| authority.as_str());
    if authority.contains('@') {
        return Err(bad("credentials belong into OTEL_EXPORTER_OTLP_HEADERS"));
    }
    if url.host().is_none_or(str::is_empty) {
        return Err(bad("the host is missing"));
    }
    // What follows a host's colon has to be a port; the parser lets any number of digits pass.
    if authority.rsplit_once(':').is_some_and(|(_, port)| !port.ends_with(']'))
        && url.port_u16().is_none_or(|port| port == 0)
    {
        return Err(bad("the port is not one"));
    }
    Ok(url)
}

fn with_traces_path(url: Uri) -> Result<Uri, OtlpError> {
    let path = url.path().trim_end_matches('/');
    if path.ends_with(TRACES_PATH) {
        return Ok(url);
    }
    let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
    let path = format!("{path}{TRACES_PATH}{query}");
    let shown = url.to_string();
    let bad = |why: String| OtlpError::Url { url: shown, why };
    let mut parts = url.into_parts();
    match PathAndQuery::try_from(path) {
        Ok(path) => parts.path_and_query = Some(path),
        Err(why) => return Err(bad(why.to_string())),
    }
    Uri::from_parts(parts).map_err(|why| bad(why.to_string()))
}

fn parse_protocol(name: &str) -> Result<Protocol, OtlpError> {
    match name.trim() {
        "grpc" => Ok(Protocol::Grpc),
        "http/protobuf" => Ok(Protocol::HttpProtobuf),
        other => Err(OtlpError::Protocol { name: other.to_owned() }),
    }
}

fn parse_headers(variable: &'static str, text: &str) -> Result<Headers, OtlpError> {
    let parse = |pair: &str| {
        let (name, value) = pair.split_once('=')?;
        let value = percent_decoded(value.trim())?;
        let mut value = HeaderValue::from_bytes(&value).ok()?;
        value.set_sensitive(true);
        Some((HeaderName::from_bytes(name.trim().as_bytes()).ok()?, value))
    };
    let pairs = text.split(',').filter(|pair| !pair.trim().is_empty());
    let malformed = |pair: &str| {
        let name = pair.split_once('=').map_or("", |(name, _)| name.trim()).to_owned();
        OtlpError::Header { variable, name }
    };
    pairs.map(|pair| parse(pair).ok_or_else(|| malformed(pair))).collect::<Result<_, _>>().map(Headers)
}

fn percent_decoded(text: &str) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => {
                let digit = |byte: u8| char::from(byte).to_digit(16);
                (digit(bytes.next()?)? * 16 + digit(bytes.next()?)?) as u8
            }
            other => other,
        });
    }
    Some(decoded)
}

fn parse_timeout(variable: &'static str, text: &str) -> Result<Duration, OtlpError> {
    match text.trim().parse() {
        Ok(ms) if ms > 0 => Ok(Duration::from_millis(ms)),
        _ => Err(OtlpError::Timeout { variable, value: text.to_owned() }),
    }
}

#[cfg(test)]
mod tests;
