//! containerd on the stage, with its CRI plugin, a pod network by CNI and whatever runtimes are there.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use rustix::process::Signal;
use serde_json::json;

use super::{
    Ran, Running, Stage,
    cri::{Cri, Pod},
    image::Image,
    tools,
};

/// How long the daemon may take to come up.
const PATIENCE: Duration = Duration::from_secs(20);

/// Where the CRI plugin keeps its images and containers, in containerd's own terms.
const CRI_NAMESPACE: &str = "k8s.io";

/// Runtimes that become handlers of the same name, if they are there.
const HANDLERS: &[&str] = &["crun", "runc", "youki"];

/// Annotations that the CRI plugin hands on to the runtime: those that choose a Wasm handler.
const ANNOTATIONS: &str = r#"["run.oci.handler*", "module.wasm.image*"]"#;

/// A daemon of the stage's own.
pub struct Containerd<'stage> {
    stage: &'stage Stage,
    /// There until the end.
    daemon: Option<Running>,
    socket: PathBuf,
}

impl Stage {
    /// Starts containerd, with `pause` as what holds pods, and `images` to run.
    ///
    /// # Errors
    /// containerd, its CNI plugins or every runtime is missing, or it does not come up: with its log.
    pub fn containerd(&self, pause: &Image, images: &[&Image]) -> Result<Containerd<'_>> {
        self.containerd_with(pause, images, &[])
    }

    /// The same, with handlers whose shims have these names, there or not: `(handler, runtime type)`.
    ///
    /// # Errors
    /// As [`Self::containerd`].
    pub fn containerd_with(
        &self,
        pause: &Image,
        images: &[&Image],
        shims: &[(&str, &str)],
    ) -> Result<Containerd<'_>> {
        let program = tools::find("containerd").context("containerd is not on this machine")?;
        let config = self.write_config(pause, shims)?;
        let socket = self.path("containerd.sock");
        let daemon =
            self.spawn(self.command(program).args(["--log-level", "warn", "--config"]).arg(config))?;
        let containerd = Containerd { stage: self, daemon: Some(daemon), socket };
        containerd.come_up(pause, images).with_context(|| containerd.log())?;
        Ok(containerd)
    }

    fn write_config(&self, pause: &Image, shims: &[(&str, &str)]) -> Result<PathBuf> {
        let plugins = tools::cni_plugins().context("CNI plugins are not on this machine")?;
        let networks = self.path("net.d");
        fs::create_dir_all(&networks)?;
        fs::write(networks.join("10-stage.conflist"), self.network().to_string())?;
        let handlers: Vec<_> = HANDLERS.iter().filter_map(|name| Some((*name, tools::find(name)?))).collect();
        let (default, _) = handlers.first().context("neither crun nor runc is on this machine")?;
        let mut config = format!(
            r#"version = 2
root = "{root}"
state = "{state}"
[grpc]
  address = "{socket}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  disable_apparmor = true
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{plugins}"
    conf_dir = "{networks}"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    default_runtime_name = "{default}"
"#,
            root = self.path("containerd-root").display(),
            state = self.path("containerd-state").display(),
            socket = self.path("containerd.sock").display(),
            pause = pause.name,
            plugins = plugins.display(),
            networks = networks.display(),
        );
        for (name, program) in &handlers {
            config += &format!(
                r#"    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.{name}]
      runtime_type = "io.containerd.runc.v2"
      pod_annotations = {ANNOTATIONS}
      container_annotations = {ANNOTATIONS}
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.{name}.options]
        BinaryName = "{program}"
"#,
                program = program.display()
            );
        }
        for (name, kind) in shims {
            config += &format!(
                "    [plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.{name}]\n      \
                 runtime_type = \"{kind}\"\n"
            );
        }
        let path = self.path("containerd.toml");
        fs::write(&path, config)?;
        Ok(path)
    }

    /// One veth pair a pod, and ports of the node: the plugins most nodes run.
    fn network(&self) -> serde_json::Value {
        json!({
            "cniVersion": "0.4.0",
            "name": "stage",
            "plugins": [
                {
                    "type": "ptp",
                    "ipam": {
                        "type": "host-local",
                        "ranges": [[{ "subnet": "10.222.0.0/16" }]],
                        "routes": [{ "dst": "0.0.0.0/0" }],
                        "dataDir": self.path("ipam"),
                    },
                },
                { "type": "portmap", "capabilities": { "portMappings": true } },
            ],
        })
    }
}

impl Containerd<'_> {
    pub fn stage(&self) -> &Stage {
        self.stage
    }

    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// A connection of the caller's own.
    pub fn cri(&self) -> Result<Cri> {
        Cri::connect(&self.socket)
    }

    /// containerd's own client, as `ctr -n NAMESPACE ARGS`. The namespace is the stage's id, and with it the
    /// containers' control group.
    pub fn ctr(&self, args: &[&str]) -> Result<Ran> {
        self.stage.run(self.ctr_command(self.stage.id())?.args(args))
    }

    pub fn import(&self, image: &Image) -> Result<()> {
        for namespace in [CRI_NAMESPACE, self.stage.id()] {
            let mut import = self.ctr_command(namespace)?;
            self.stage.run(import.args(["images", "import"]).arg(&image.archive))?.success()?;
        }
        // The CRI plugin hears of images by an event.
        let cri = self.cri()?;
        until(|| {
            Ok((!cri.has_image(&image.name)?).then(|| format!("the CRI plugin does not see {}", image.name)))
        })
    }

    /// The last lines of the daemon's log.
    pub fn log(&self) -> String {
        let text = self.daemon.as_ref().map(Running::stderr).unwrap_or_default();
        let lines: Vec<_> = text.lines().rev().take(15).collect();
        format!("containerd's log ends with:\n{}", lines.into_iter().rev().collect::<Vec<_>>().join("\n"))
    }

    fn ctr_command(&self, namespace: &str) -> Result<Command> {
        let mut command = self.stage.command(tools::find("ctr").context("ctr is not on this machine")?);
        command.arg("--address").arg(&self.socket).args(["--namespace", namespace]);
        Ok(command)
    }

    fn come_up(&self, pause: &Image, images: &[&Image]) -> Result<()> {
        until(|| {
            if self.daemon.as_ref().map_or(Ok(true), |daemon| daemon.ends_within(Duration::ZERO))? {
                bail!("it has ended");
            }
            // The socket is there before the services behind it are.
            Ok(match self.cri().and_then(|cri| cri.unready()) {
                Ok(unready) if unready.is_empty() => None,
                Ok(unready) => Some(unready.join(", ")),
                Err(error) => Some(format!("{error:#}")),
            })
        })?;
        self.import(pause)?;
        images.iter().try_for_each(|image| self.import(image))
    }
}

impl Drop for Containerd<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("{}", self.log());
        }
        let Some(daemon) = self.daemon.take() else { return };
        if let Err(error) = daemon.signal(Signal::TERM).and_then(|()| daemon.finish()) {
            eprintln!("containerd: {error:#}");
        }
    }
}

/// A pod that is removed when it goes out of scope, whatever happened to it.
pub struct Removed<'a> {
    pub cri: &'a Cri,
    pub pod: Pod,
}

impl Drop for Removed<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.cri.remove_pod(&self.pod) {
            eprintln!("pod {}: {error:#}", self.pod.id);
        }
    }
}

/// Waits until there is nothing left to wait for.
fn until(mut missing: impl FnMut() -> Result<Option<String>>) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while let Some(what) = missing()? {
        if Instant::now() > deadline {
            bail!("after {} s: {what}", PATIENCE.as_secs());
        }
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}
