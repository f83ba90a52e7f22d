//! Makes the fixtures of `tests/fixtures/records`: runs a command as root and keeps the first records of each
//! probe family, as the kernel programs hand them over.
//!
//! `cargo run --example capture_records -- FOLDER CMD...` (after `cargo xtask build`)
//!
//! Connections to port 18443 are taken for those of a webhook, which the command itself serves at 127.0.0.1.

use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use observer::{
    output::Side,
    probes::names::watched_names,
    rules::keywords::shipped,
    source::{
        facts::HostRoot,
        live::{Endpoint, Live, Options, RING, Tracefs},
    },
    time::Time,
};
use observer_ebpf::Family;

/// Records kept of each kind.
const KEEP: usize = 4;

fn main() -> Result<()> {
    let mut words = std::env::args_os().skip(1);
    let folder = PathBuf::from(words.next().context("name a folder and a command")?);
    let program = words.next().context("name a command")?;
    let names: Vec<_> = watched_names().iter().map(|name| (name.name, name.role)).collect();
    let options = Options {
        families: Family::ALL,
        btf: "/sys/kernel/btf/vmlinux".as_ref(),
        tracefs: Tracefs::find_or_mount("/".as_ref()),
        host: &HostRoot::find(),
        idle: &[],
        names: &names,
        ring: RING,
        keywords: shipped()?,
    };
    let mut live = Live::load(&options)?;
    let (host, began) = (HostRoot::find(), Instant::now());
    live.watch_endpoints(&[Endpoint { address: None, port: 18_443, target: 1 }], |_| true)?;
    let mut child = Command::new(program).args(words).spawn()?;
    live.watch_server(child.id(), ([127, 0, 0, 1], 18_443).into())?;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        // Readers of pipes are reported when they are asked for.
        live.look_through_open_files().map_err(anyhow::Error::msg)?;
        // What the command says to its TLS library, it says as one that calls webhooks.
        let now = Time(began.elapsed().as_nanos() as u64);
        live.ask_tls(&host, child.id(), Side::Client, now);
        live.look_for_tls(&host, now);
        thread::sleep(Duration::from_millis(5));
    };
    thread::sleep(Duration::from_millis(100));
    let mut kept: BTreeMap<u16, Vec<Vec<u8>>> = BTreeMap::new();
    live.capture(|bytes| {
        let kind = u16::from_ne_bytes([bytes[0], bytes[1]]);
        let of_kind = kept.entry(kind).or_default();
        if of_kind.len() < KEEP {
            of_kind.push(bytes.to_vec());
        }
    });
    live.detach();
    for family in Family::ALL {
        let of_family = kept.iter().filter(|(kind, _)| Family::of(**kind) == Some(*family));
        let bytes: Vec<u8> = of_family.flat_map(|(_, records)| records.concat()).collect();
        println!("{}: {} bytes; the command ended with {status}", family.name(), bytes.len());
        if !bytes.is_empty() {
            fs::write(folder.join(format!("{}.bin", family.name())), bytes)?;
        }
    }
    Ok(())
}
