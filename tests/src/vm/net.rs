//! What `observer run` says of connections and look-ups of names, on every kernel: their tracepoints, and the
//! programs at the root of the control groups, are not the same on all.

use super::command::expect;
use super::container::bundle_that;
use super::observed::objects;
use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use std::net::{Ipv4Addr, UdpSocket};

/// Nobody listens in the container's network, neither there nor for names.
const SCRIPT: &str =
    "busybox nc -w 3 127.0.0.1 7000 </dev/null; busybox nslookup -type=a gone.test 127.0.0.1";
/// Asked by a process of the machine itself, and answered.
const NAME: &str = "here.test";
const ADDRESS: [u8; 4] = [10, 1, 2, 3];

pub struct Told {
    objects: Vec<Value>,
}

pub fn observe() -> Result<Told> {
    let bundle = bundle_that("dials", SCRIPT)?;
    expect(0, &["busybox", "ip", "link", "set", "lo", "up"])?;
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 53)).context("cannot serve names")?;
    std::thread::spawn(move || serve(&socket));
    // Emulated machines take long to attach: the container waits until that is said.
    let all = format!(
        "observer run --show events -o json 2>/tmp/net.err & watch=$!; n=0; \
         until busybox grep -q attached /tmp/net.err || [ $n -ge 120 ]; do busybox sleep 1; n=$((n+1)); done; \
         crun run --bundle {} dials >/dev/null 2>&1; busybox nslookup -type=a {NAME} 127.0.0.1 >/dev/null; \
         busybox sleep 8; kill -TERM $watch; wait $watch",
        bundle.path
    );
    Ok(Told { objects: objects(&expect(0, &["busybox", "sh", "-c", &all])?)? })
}

/// Answers whatever is asked with the same address.
fn serve(socket: &UdpSocket) {
    let mut query = [0; 512];
    while let Ok((len, from)) = socket.recv_from(&mut query) {
        let mut answer = query[..len].to_vec();
        if len < 12 {
            continue;
        }
        // A reply without error, with one answer: the name asked for, A, IN, a minute, four bytes.
        answer[2..4].copy_from_slice(&[0x81, 0x80]);
        answer[6..8].copy_from_slice(&[0, 1]);
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
        answer.extend(ADDRESS);
        let _ = socket.send_to(&answer, from);
    }
}

impl Told {
    pub fn a_refused_connection(&self) -> Result<String> {
        let refused = self.of_container("net")?;
        ensure!(refused["outcome"] == "refused" && refused["errno_name"] == "ECONNREFUSED", "{refused}");
        ensure!(refused["server"]["port"] == 7000, "{refused}");
        Ok(refused.to_string())
    }

    pub fn a_look_up_that_nobody_serves(&self) -> Result<String> {
        let failed = self.of_container("dns")?;
        ensure!(failed["outcome"] == "error" && failed["errno"] == 111, "{failed}");
        ensure!(failed["name"].as_str().is_some_and(|name| name.starts_with("gone.test")), "{failed}");
        Ok(failed.to_string())
    }

    pub fn a_look_up_that_is_answered(&self) -> Result<String> {
        let asked = |event: &&Value| event["name"].as_str().is_some_and(|name| name.starts_with(NAME));
        let answered = self.events("dns").find(asked).context("no look-up of the machine's own")?;
        ensure!(answered["outcome"] == "answered" && answered["container"].is_null(), "{answered}");
        ensure!(answered["latency_ms"].as_f64().is_some_and(|ms| ms > 0.0), "{answered}");
        Ok(answered.to_string())
    }

    fn of_container(&self, probe: &'static str) -> Result<&Value> {
        let ours = |event: &&Value| event["container"]["id"] == "dials";
        self.events(probe).find(ours).with_context(|| format!("no {probe} among {:?}", self.objects))
    }

    fn events<'a>(&'a self, probe: &'static str) -> impl Iterator<Item = &'a Value> {
        self.objects.iter().filter(move |object| object["type"] == "event" && object["probe"] == probe)
    }
}
