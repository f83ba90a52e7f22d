//! The telemetry of others during a run: received, handed to the pipeline, passed on.

use std::{sync::Arc, time::Duration};

use anyhow::Result;

use super::{Usage, edge::now, sinks, state_directory, talk};
use crate::{
    cli,
    health::OtlpCounts,
    input::Input,
    pipeline::Relation,
    sink::otlp::Forwarder,
    source::otlp::{Forwarding, GuardFiles, Receiver, ReceiverError, ReceiverSettings},
};

/// How long the collector is given at the end of a run.
const FLUSH: Duration = Duration::from_millis(500);

/// How what is seen is tied to what is received.
pub fn evidence(listen: &cli::Listen) -> Relation {
    if listen.otlp_listen.is_none() && listen.otlp_listen_http.is_none() {
        return Relation::Off;
    }
    match listen.otlp_evidence {
        cli::Evidence::Child => Relation::Child,
        cli::Evidence::Link => Relation::Link,
        cli::Evidence::Off => Relation::Off,
    }
}

pub struct Spans {
    receiver: Receiver,
    forwarder: Option<Arc<Forwarder>>,
}

impl Spans {
    /// Listens where that was asked for.
    ///
    /// # Errors
    /// It cannot listen there, or not pass on.
    pub fn listen(listen: &cli::Listen, otlp: &cli::Otlp) -> Result<Option<Self>> {
        let files = GuardFiles {
            certificate: listen.otlp_listen_cert.clone(),
            key: listen.otlp_listen_key.clone(),
            token: listen.otlp_listen_token_file.clone(),
            clients: listen.otlp_listen_client_ca.clone(),
        };
        let (grpc, http) = (listen.otlp_listen.as_deref(), listen.otlp_listen_http.as_deref());
        let settings = ReceiverSettings::resolve(grpc, http, files).map_err(|error| match error {
            ReceiverError::Address { .. } | ReceiverError::Useless { .. } | ReceiverError::Alone { .. } => {
                anyhow::Error::from(Usage(error.to_string()))
            }
            error => error.into(),
        })?;
        let forwards = listen.otlp_forward == cli::Forward::All;
        let Some(settings) = settings else {
            if forwards {
                let why = "--otlp-forward all: nothing is received; add --otlp-listen 127.0.0.1:4317";
                return Err(Usage(why.to_owned()).into());
            }
            return Ok(None);
        };
        let forwarder = if forwards {
            let Some(collector) = sinks::collector(otlp)? else {
                let why = "--otlp-forward all: to where? Name a collector: --otlp http://HOST:PORT";
                return Err(Usage(why.to_owned()).into());
            };
            let folder = state_directory().join("otlp");
            Some(Arc::new(Forwarder::start(collector, Some(&folder), |line| talk::say(line))?))
        } else {
            None
        };
        let forwarding = forwarder.clone().map(|forwarder| forwarder as Arc<dyn Forwarding>);
        let receiver = Receiver::start(&settings, forwarding, now, |line| talk::say(line))?;
        let addresses: Vec<String> = receiver.addresses().iter().map(ToString::to_string).collect();
        talk::say(format_args!("receiving OTLP on {}{}", addresses.join(" and "), settings.guard()));
        Ok(Some(Spans { receiver, forwarder }))
    }

    /// What has come since.
    pub fn take(&self, mut take: impl FnMut(Input)) {
        self.receiver.spans(|span| take(Input::Span(Box::new(span))));
    }

    pub fn counts(&self) -> OtlpCounts {
        self.receiver.counts()
    }

    /// Takes nothing more, and gives the collector a moment for the rest.
    pub fn stop(&self) {
        self.receiver.stop();
        if let Some(forwarder) = &self.forwarder {
            forwarder.finish(FLUSH);
        }
    }
}
