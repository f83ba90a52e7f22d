//! Container images made on the spot: a docker archive with one layer. busybox packs and digests it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use serde_json::json;

use super::{Stage, bundle};

/// A docker archive, and the name it has once imported.
#[derive(Clone, Debug)]
pub struct Image {
    pub name: String,
    pub archive: PathBuf,
}

impl Stage {
    /// An image with busybox in it and, as `/app.wasm`, the module if one is given.
    pub fn image(&self, name: &str, module: Option<&[u8]>) -> Result<Image> {
        let full_name = format!("observer.local/{name}:1");
        let folder = self.path(format!("image-{name}"));
        let root = folder.join("root");
        bundle::write_root(self, &root)?;
        if let Some(bytes) = module {
            fs::write(root.join("app.wasm"), bytes).context("app.wasm")?;
        }
        self.pack(&root, &folder.join("layer.tar"), &["."])?;
        let layer = self.digest(&folder.join("layer.tar"))?;
        let config = json!({
            "architecture": architecture(),
            "os": "linux",
            "config": { "Cmd": ["/bin/sleep", "2147483647"], "Env": ["PATH=/bin"] },
            "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{layer}")] },
        });
        let manifest = json!([{ "Config": "config.json", "RepoTags": [full_name], "Layers": ["layer.tar"] }]);
        fs::write(folder.join("config.json"), config.to_string()).context("config.json")?;
        fs::write(folder.join("manifest.json"), manifest.to_string()).context("manifest.json")?;
        let archive = self.path(format!("{name}.tar"));
        self.pack(&folder, &archive, &["config.json", "layer.tar", "manifest.json"])?;
        Ok(Image { name: full_name, archive })
    }

    fn pack(&self, folder: &Path, archive: &Path, what: &[&str]) -> Result<()> {
        let mut tar = self.command(self.busybox());
        tar.arg("tar").arg("-c").arg("-f").arg(archive).arg("-C").arg(folder).args(what);
        self.run(&mut tar)?.success().map(drop)
    }

    fn digest(&self, file: &Path) -> Result<String> {
        let ran = self.run(self.command(self.busybox()).arg("sha256sum").arg(file))?.success()?;
        ran.stdout.split(' ').next().map(str::to_owned).context("busybox sha256sum printed nothing")
    }
}

/// This machine's architecture, as images name it.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
