//! Where the demo does not run: without rights, and on a node that has work to do.

use std::fs;

use anyhow::{Result, bail};

/// Programs that make a machine a node of a cluster.
const NODE_AGENTS: &[&str] = &["kubelet", "k3s", "k3s-server", "k3s-agent", "k0s", "kubelite", "rke2"];

pub fn allowed(on_a_real_node: bool) -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        bail!("containers and probes need root: run `sudo observer demo`");
    }
    match node_agent() {
        Some((pid, name)) if !on_a_real_node => bail!(
            "{name} runs here (process {pid}): this is a node with work to do, and the demo would start containers \
             beside it; if that is wanted, add --on-a-real-node"
        ),
        _ => Ok(()),
    }
}

fn node_agent() -> Option<(String, String)> {
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let mut named = processes.filter_map(|process| {
        let name = fs::read_to_string(process.path().join("comm")).ok()?;
        Some((process.file_name().into_string().ok()?, name.trim_end().to_owned()))
    });
    named.find(|(_, name)| NODE_AGENTS.contains(&name.as_str()))
}
