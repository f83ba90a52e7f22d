use std::collections::BTreeMap;

use super::*;

fn resolve(
    url: Option<&str>,
    protocol: Option<&str>,
    environment: &[(&str, &str)],
) -> Result<Option<OtlpSettings>, OtlpError> {
    let environment: BTreeMap<_, _> = environment.iter().copied().collect();
    OtlpSettings::resolve(url, protocol, |name| environment.get(name).map(ToString::to_string))
}

fn target(url: Option<&str>, protocol: Option<&str>, environment: &[(&str, &str)]) -> (Protocol, String) {
    let settings = resolve(url, protocol, environment).unwrap().expect("asked for");
    (settings.protocol, settings.url.to_string())
}

#[test]
fn nothing_asked_for_is_nothing() {
    assert!(resolve(None, Some("grpc"), &[("OTEL_EXPORTER_OTLP_ENDPOINT", " ")]).unwrap().is_none());
}

#[test]
fn the_port_or_the_path_chooses_the_protocol_unless_one_is_named() {
    let grpc = |url: &str| (Protocol::Grpc, url.to_owned());
    let http = |url: &str| (Protocol::HttpProtobuf, url.to_owned());
    assert_eq!(target(Some("http://c:4317"), None, &[]), grpc("http://c:4317/"));
    assert_eq!(target(Some("http://c"), None, &[]), grpc("http://c/"));
    assert_eq!(target(Some("http://c:4318"), None, &[]), http("http://c:4318/v1/traces"));
    assert_eq!(target(Some("http://[::1]:4318/"), None, &[]), http("http://[::1]:4318/v1/traces"));
    assert_eq!(target(Some("http://c/v1/traces"), None, &[]), http("http://c/v1/traces"));
    assert_eq!(target(Some("http://c/x/?k=v"), Some("http/protobuf"), &[]), http("http://c/x/v1/traces?k=v"));
    assert_eq!(target(Some("http://c:4318"), Some("grpc"), &[]), grpc("http://c:4318/"));
}

#[test]
fn the_environment_comes_second_and_what_is_for_traces_before_what_is_for_all() {
    let all = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://all:4318");
    let traces = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://traces:4318/take");
    let http = |url: &str| (Protocol::HttpProtobuf, url.to_owned());
    assert_eq!(target(None, None, &[all]), http("http://all:4318/v1/traces"));
    assert_eq!(target(None, None, &[all, traces]), http("http://traces:4318/take"), "taken as it is");
    assert_eq!(target(Some("http://asked:4318"), None, &[all, traces]), http("http://asked:4318/v1/traces"));
    let protocol = ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");
    assert_eq!(target(None, None, &[all, protocol]).0, Protocol::Grpc);
    let of_traces = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf");
    assert_eq!(target(None, None, &[all, protocol, of_traces]).0, Protocol::HttpProtobuf);
    assert_eq!(target(None, Some("grpc"), &[all, of_traces]).0, Protocol::Grpc);
}

#[test]
fn headers_and_timeout_come_from_the_environment_and_secrets_are_not_shown() {
    let environment = [
        ("OTEL_EXPORTER_OTLP_HEADERS", "Authorization=Bearer%20t%C3%A9, x-scope=a=b,"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "9000"),
        ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "1500"),
    ];
    let settings = resolve(Some("http://c:4317"), None, &environment).unwrap().unwrap();
    let headers: Vec<_> =
        settings.headers.0.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
    assert_eq!(headers, [("authorization", "Bearer té".as_bytes()), ("x-scope", b"a=b".as_slice())]);
    assert_eq!(settings.timeout, Duration::from_millis(1500));
    let shown = format!("{settings:?}");
    assert!(shown.contains("authorization") && !shown.contains("Bearer"), "{shown}");
}

#[test]
fn mistakes_are_named() {
    let error = |url: &str, protocol: Option<&str>, environment: &[(&str, &str)]| {
        resolve(Some(url), protocol, environment).expect_err(url).to_string()
    };
    let fine = "http://c:4317";
    for (said, expected) in [
        (error("c:4317", None, &[]), "the scheme is missing"),
        (error("/just/a/path", None, &[]), "the scheme is missing"),
        (error("ftp://c", None, &[]), "ftp:// is not a way to a collector"),
        (error("http://", None, &[]), "not a URL"),
        (error("http://c:0", None, &[]), "the port is not one"),
        (error("http://c:99999", None, &[]), "port"),
        (error("http://a b", None, &[]), "not a URL"),
        (
            error("https://c:4317", None, &[("OTEL_EXPORTER_OTLP_CERTIFICATE", "/no/such")]),
            "CERTIFICATE: cannot read",
        ),
        (error("https://c:4317", None, &[("OTEL_EXPORTER_OTLP_CLIENT_KEY", "/no/such")]), "together only"),
        (error(fine, Some("http/json"), &[]), "\"http/json\" is not known: use grpc or http/protobuf"),
        (error(fine, None, &[("OTEL_EXPORTER_OTLP_TIMEOUT", "10s")]), "\"10s\" is not a positive number"),
        (error(fine, None, &[("OTEL_EXPORTER_OTLP_HEADERS", "key")]), "NAME=VALUE"),
    ] {
        assert!(said.contains(expected), "{said}");
    }
    let said = error("http://me:secret@c:4317", None, &[]);
    assert!(said.contains("OTEL_EXPORTER_OTLP_HEADERS") && !said.contains("secret"), "{said}");
    let said = error(fine, None, &[("OTEL_EXPORTER_OTLP_HEADERS", "token=%zzsecret")]);
    assert!(said.contains("\"token\"") && !said.contains("secret"), "{said}");
}
