//! What the demo plays: one real start, or a few of a kind, each.

use anyhow::{Context, Result};

use super::{
    HELLO,
    stage::{
        Stage,
        bundle::Bundle,
        containerd::Removed,
        cri::{ContainerSpec, PodSpec},
        tools,
    },
};

pub struct Scenario {
    pub name: &'static str,
    pub shows: &'static str,
    needs: &'static [Need],
    pub play: fn(&Stage) -> Result<()>,
}

/// Something that has to be on the machine.
enum Need {
    /// A program, and how to get it.
    Program(&'static str, &'static str),
    /// Either of the usual runtimes.
    AnyRuntime,
    CniPlugins,
}

impl Scenario {
    /// Why it cannot be played here, and what to do about it.
    pub fn lacks(&self) -> Option<String> {
        self.needs.iter().find_map(Need::lack)
    }
}

impl Need {
    fn lack(&self) -> Option<String> {
        match self {
            Need::Program(name, how) if tools::find(name).is_none() => {
                Some(format!("{name} is not on this machine ({how})"))
            }
            Need::AnyRuntime if any_runtime().is_none() => {
                Some("neither crun nor runc is on this machine (apt-get install crun)".into())
            }
            Need::CniPlugins if tools::cni_plugins().is_none() => Some(
                "the CNI plugins are not on this machine (apt-get install containernetworking-plugins)"
                    .into(),
            ),
            _ => None,
        }
    }
}

const CRUN: Need = Need::Program("crun", "apt-get install crun");

pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "crun-by-hand",
        shows: "three starts of the same bundle: what a start costs, and how much that varies",
        needs: &[CRUN],
        play: |stage| by_hand(stage, "crun", 3),
    },
    Scenario {
        name: "runc-by-hand",
        shows: "the same bundle by another runtime",
        needs: &[Need::Program("runc", "apt-get install runc")],
        play: |stage| by_hand(stage, "runc", 1),
    },
    Scenario {
        name: "wasm-by-youki",
        shows: "a Wasm module: nothing is executed, the runtime is the engine",
        needs: &[Need::Program("youki", "cargo install youki --features v1,v2,seccomp,wasm-wasmtime")],
        play: wasm_by_youki,
    },
    Scenario {
        name: "pod-by-containerd",
        shows: "a pod as a kubelet makes it: pause container, network by CNI plugins, shim, container",
        needs: &[
            Need::Program("containerd", "apt-get install containerd"),
            Need::CniPlugins,
            Need::AnyRuntime,
        ],
        play: pod_by_containerd,
    },
    Scenario {
        name: "container-by-podman",
        shows: "podman and conmon in front of the runtime",
        needs: &[
            Need::Program("podman", "apt-get install podman"),
            Need::Program("conmon", "apt-get install conmon"),
            Need::AnyRuntime,
        ],
        play: container_by_podman,
    },
    Scenario {
        name: "wasm-without-handler",
        shows: "a start that fails: a Wasm module given to a runtime that cannot run it",
        needs: &[Need::AnyRuntime],
        play: wasm_without_handler,
    },
];

fn any_runtime() -> Option<std::path::PathBuf> {
    ["crun", "runc"].into_iter().find_map(tools::find)
}

fn found(name: &str) -> Result<std::path::PathBuf> {
    tools::find(name).with_context(|| format!("{name} has gone"))
}

fn by_hand(stage: &Stage, name: &str, times: usize) -> Result<()> {
    let runtime = stage.runtime(found(name)?);
    for n in 1..=times {
        let bundle = Bundle::new(&["/bin/echo", "hello"]).seccomp().memory_limit(64 << 20);
        runtime.run(&bundle.write(stage, &format!("{name}-{n}"))?)?.success()?;
    }
    Ok(())
}

fn wasm_by_youki(stage: &Stage) -> Result<()> {
    let bundle = Bundle::wasm(HELLO, true).write(stage, "youki-wasm")?;
    stage.runtime(found("youki")?).run(&bundle)?.success().map(drop)
}

fn pod_by_containerd(stage: &Stage) -> Result<()> {
    let image = stage.image("demo", None)?;
    let containerd = stage.containerd(&image, &[])?;
    let cri = containerd.cri()?;
    let handler = if tools::find("crun").is_some() { "crun" } else { "runc" };
    let spec = PodSpec { name: "web", namespace: "demo", handler, host_network: false };
    let pod = Removed { cri: &cri, pod: cri.run_pod(stage, &spec)? };
    let command: &[_] = &["/bin/sh", "-c", "echo ready; sleep 1000"];
    let container = ContainerSpec { name: "app", image: &image.name, command, ..Default::default() };
    let id = cri.run_container(&pod.pod, &container)?;
    // Not a start, and not reported as one.
    cri.exec(&id, &["/bin/true"]).map(drop)
}

fn container_by_podman(stage: &Stage) -> Result<()> {
    let image = stage.image("demo-podman", None)?;
    let podman = stage.podman()?;
    podman.import(&image)?;
    let runtime = any_runtime().context("the runtime has gone")?;
    let args = ["--rm", "--name", "by-podman", "--network=none", &image.name, "/bin/echo", "hello"];
    podman.run(&runtime, &args)?.success().map(drop)
}

fn wasm_without_handler(stage: &Stage) -> Result<()> {
    let bundle = Bundle::wasm(HELLO, false).write(stage, "wasm-no-handler")?;
    let ran = stage.runtime(any_runtime().context("the runtime has gone")?).run(&bundle)?;
    anyhow::ensure!(!ran.status.success(), "the runtime ran a Wasm module as if it were a program");
    Ok(())
}
