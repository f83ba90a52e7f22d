//! What may be asked of the Kubernetes API.

use clap::Args;

use crate::source::facts::kube::Which;

/// The Kubernetes API: optional, and only read.
#[derive(Clone, Debug, Args)]
pub struct Kubernetes {
    /// How to ask the Kubernetes API what only it knows: a kubeconfig, off, or auto: what a pod is given, else
    /// $KUBECONFIG, else K3s's own.
    #[arg(long, value_name = "auto|FILE|off", default_value = "auto", value_parser = which)]
    pub kubeconfig: Which,
}

fn which(text: &str) -> Result<Which, String> {
    match text {
        "auto" => Ok(Which::Auto),
        "off" => Ok(Which::Off),
        "" => Err("it names no file; write a path, auto or off".to_owned()),
        path => Ok(Which::File(path.into())),
    }
}
