//! Tests of real containers and faults on this machine; they need root. One binary: linking each file of its own would
//! take longer than running it. `.config/nextest.toml` says which of them want the machine for themselves.

mod accuracy;
mod config;
mod context;
mod cpu;
mod debug_container;
mod describe;
mod dns;
mod failures;
mod findings;
mod http2;
mod image;
mod log;
mod memory;
mod metrics;
mod module;
mod net;
mod otlp;
mod privileges;
mod pull;
mod replay;
mod resident;
mod rigs;
mod run;
mod scale;
mod server_time;
mod service;
mod starts;
mod stdio;
mod stop;
mod text;
mod tls;
mod wasmedge;
mod webhook;

#[path = "../../peers/export.rs"]
#[allow(dead_code, reason = "here the observer itself exports")]
mod export;
#[path = "../../peers/receivers.rs"]
#[allow(dead_code, reason = "some are for other tests")]
mod receivers;
#[path = "../../peers/senders.rs"]
mod senders;
