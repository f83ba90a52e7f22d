//! `image`: the releases as one container image for every architecture, in a file that container engines load without a
//! network. From scratch: the static binary, and the folders that are mounted over. The same binaries give the same bytes.
//!
//! The file is a tar of an OCI image layout (github.com/opencontainers/image-spec, image-layout.md). It has one image, an
//! index: engines take from it what is for their architecture.

mod tar;

use std::{fs, io::Write as _, path::PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use flate2::{Compression, GzBuilder};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::{build, dist, paths};
use tar::Tar;

#[derive(Args)]
pub struct ImageArgs {
    /// Take these static binaries, one for each architecture, instead of making releases of today's sources
    #[arg(long, value_name = "FILE")]
    binary: Vec<PathBuf>,
    /// What the image is called; of a registry's name, it can be pushed there
    #[arg(long, value_name = "NAME", default_value = concat!("localhost/observer:", env!("CARGO_PKG_VERSION")))]
    name: String,
    /// Where to [default: target/image/observer-VERSION.tar]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// For the live tests: of an unoptimised build, for this machine alone, into target/image/debug.tar
    #[arg(long, conflicts_with = "binary")]
    debug: bool,
}

/// Where it is in the image, beside what engines and the observer mount over.
const PROGRAM: &str = "usr/bin/observer";
const FOLDERS: &[&str] = &[
    "dev/",
    "etc/",
    "host/",
    "proc/",
    "run/",
    "run/observer/",
    "sys/",
    "tmp/",
    "usr/",
    "usr/bin/",
    "var/",
    "var/lib/",
    "var/lib/observer/",
];

const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

pub fn run(args: &ImageArgs) -> Result<()> {
    let binaries = match &args.binary[..] {
        [] if args.debug => vec![build::static_observer()?],
        [] => dist::run()?,
        given => given.to_vec(),
    };
    let named = if args.debug { "debug" } else { concat!("observer-", env!("CARGO_PKG_VERSION")) };
    let place = || paths::target().join(format!("image/{named}.tar"));
    let output = args.output.clone().unwrap_or_else(place);
    let read = |path: &PathBuf| fs::read(path).with_context(|| format!("cannot read {}", path.display()));
    let contents = binaries.iter().map(read).collect::<Result<Vec<_>>>()?;
    let image = image(&contents, &args.name)?;
    if let Some(folder) = output.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(&output, &image).with_context(|| format!("cannot write {}", output.display()))?;
    println!("{}  {}", hex(&image), output.display());
    let megabytes = image.len() / 1_000_000;
    eprintln!("image: {} for {} architectures, {megabytes} MB", args.name, contents.len());
    Ok(())
}

/// The file, of the binaries' contents.
fn image(binaries: &[Vec<u8>], name: &str) -> Result<Vec<u8>> {
    let mut layout = Layout::default();
    let mut manifests = Vec::new();
    let mut seen = Vec::new();
    for binary in binaries {
        let architecture = architecture(binary)?;
        ensure!(!seen.contains(&architecture), "two of the binaries are for {architecture}");
        seen.push(architecture);
        manifests.push(layout.manifest(binary, architecture)?);
    }
    let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": manifests });
    let mut index = layout.blob(INDEX, index.to_string().as_bytes());
    // The first is what OCI calls it, the second what containerd, CRI-O and podman take for its name.
    let tag = name.rsplit_once(':').map_or("latest", |(_, tag)| tag);
    index["annotations"] =
        json!({ "org.opencontainers.image.ref.name": tag, "io.containerd.image.name": name });
    layout.finish(&index)
}

/// Blobs by their digests, as the files of an image layout.
#[derive(Default)]
struct Layout {
    blobs: Vec<(String, Vec<u8>)>,
}

impl Layout {
    fn manifest(&mut self, binary: &[u8], architecture: &str) -> Result<Value> {
        let layer = layer(binary)?;
        let mut packed = GzBuilder::new().mtime(0).write(Vec::new(), Compression::best());
        packed.write_all(&layer)?;
        let config = json!({
            // When it was really made would differ with each.
            "created": "1970-01-01T00:00:00Z",
            "architecture": architecture,
            "os": "linux",
            "config": {
                "Entrypoint": [format!("/{PROGRAM}")],
                "Cmd": ["--help"],
                "Env": ["PATH=/usr/bin"],
                "WorkingDir": "/",
                "Labels": {
                    "org.opencontainers.image.title": "observer",
                    "org.opencontainers.image.version": env!("CARGO_PKG_VERSION"),
                    "org.opencontainers.image.licenses": "Apache-2.0",
                },
            },
            "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{}", hex(&layer))] },
            "history": [{ "created_by": "cargo xtask image" }],
        });
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": self.blob(CONFIG, config.to_string().as_bytes()),
            "layers": [self.blob(LAYER, &packed.finish()?)],
        });
        let mut manifest = self.blob(MANIFEST, manifest.to_string().as_bytes());
        manifest["platform"] = json!({ "architecture": architecture, "os": "linux" });
        Ok(manifest)
    }

    /// Keeps a blob, and describes it.
    fn blob(&mut self, kind: &str, content: &[u8]) -> Value {
        let digest = hex(content);
        let described =
            json!({ "mediaType": kind, "digest": format!("sha256:{digest}"), "size": content.len() });
        self.blobs.push((digest, content.to_vec()));
        described
    }

    fn finish(mut self, index: &Value) -> Result<Vec<u8>> {
        let mut tar = Tar::default();
        let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [index] });
        tar.file("oci-layout", 0o644, br#"{"imageLayoutVersion":"1.0.0"}"#)?;
        tar.file("index.json", 0o644, index.to_string().as_bytes())?;
        for folder in ["blobs/", "blobs/sha256/"] {
            tar.folder(folder)?;
        }
        self.blobs.sort();
        self.blobs.dedup();
        for (digest, content) in &self.blobs {
            tar.file(&format!("blobs/sha256/{digest}"), 0o644, content)?;
        }
        Ok(tar.finish())
    }
}

/// The root file system, as a tar.
fn layer(binary: &[u8]) -> Result<Vec<u8>> {
    let mut tar = Tar::default();
    for folder in FOLDERS {
        tar.folder(folder)?;
    }
    tar.file(PROGRAM, 0o755, binary)?;
    Ok(tar.finish())
}

/// What a static binary is for, in the words of images.
fn architecture(binary: &[u8]) -> Result<&'static str> {
    const INTERPRETER: u32 = 3;
    let word = |at: usize| binary.get(at..at + 2).map(|bytes| u16::from_le_bytes([bytes[0], bytes[1]]));
    ensure!(binary.starts_with(b"\x7fELF\x02\x01"), "not a 64-bit little-endian program of Linux");
    let header = |at: usize| -> Option<u32> {
        let bytes = binary.get(at..at + 4)?;
        Some(u32::from_le_bytes(bytes.try_into().ok()?))
    };
    let first = binary.get(32..40).and_then(|bytes| bytes.try_into().ok()).map(u64::from_le_bytes);
    let (Some(first), Some(size), Some(count)) = (first, word(54), word(56)) else { bail!("cut off") };
    for number in 0..usize::from(count) {
        let kind = header(usize::try_from(first)? + number * usize::from(size));
        ensure!(kind != Some(INTERPRETER), "it is not static: the image has no libraries");
    }
    match word(18) {
        Some(62) => Ok("amd64"),
        Some(183) => Ok("arm64"),
        other => bail!("for a machine that observer does not know (e_machine {other:?})"),
    }
}

/// The name of a file of the image's own folder, for who prints it.
fn hex(content: &[u8]) -> String {
    Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Where the live tests find theirs.
pub fn for_tests() -> Result<()> {
    run(&ImageArgs {
        binary: Vec::new(),
        name: concat!("localhost/observer:", env!("CARGO_PKG_VERSION")).to_owned(),
        output: None,
        debug: true,
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// A header with so many program headers of these kinds, and nothing else.
    fn binary(machine: u16, kinds: &[u32]) -> Vec<u8> {
        let mut bytes = vec![0; 64];
        bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
        bytes[18..20].copy_from_slice(&machine.to_le_bytes());
        bytes[32] = 64;
        bytes[54] = 56;
        bytes[56] = kinds.len() as u8;
        for kind in kinds {
            bytes.extend_from_slice(&kind.to_le_bytes());
            bytes.extend_from_slice(&[0; 52]);
        }
        bytes
    }

    #[test]
    fn what_is_not_static_or_not_known_is_refused() {
        assert_eq!(architecture(&binary(62, &[1, 2])).unwrap(), "amd64");
        assert_eq!(architecture(&binary(183, &[1])).unwrap(), "arm64");
        assert!(architecture(&binary(62, &[1, 3])).unwrap_err().to_string().contains("not static"));
        assert!(architecture(&binary(40, &[1])).unwrap_err().to_string().contains("does not know"));
        assert!(architecture(b"#!/bin/sh").is_err() && architecture(&binary(62, &[1])[..50]).is_err());
    }

    #[test]
    fn the_same_binaries_give_the_same_bytes_and_every_digest_is_that_of_its_blob() {
        let both = [binary(62, &[1]), binary(183, &[1])];
        let name = "localhost/observer:1";
        let made = image(&both, name).unwrap();
        assert_eq!(made, image(&both, name).unwrap());
        assert!(image(&[both[0].clone(), both[0].clone()], name).is_err(), "twice the same architecture");

        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("image.tar"), &made).unwrap();
        let unpack = |archive: &Path, into: &Path| {
            fs::create_dir_all(into).unwrap();
            let tar = std::process::Command::new("tar").arg("-xf").arg(archive).arg("-C").arg(into).status();
            assert!(tar.unwrap().success());
        };
        let layout = folder.path().join("layout");
        unpack(&folder.path().join("image.tar"), &layout);
        let blob = |described: &Value| -> Vec<u8> {
            let digest = described["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap();
            let content = fs::read(layout.join("blobs/sha256").join(digest)).unwrap();
            assert_eq!(
                (hex(&content).as_str(), described["size"].as_u64()),
                (digest, Some(content.len() as u64))
            );
            content
        };
        let read = |described: &Value| -> Value { serde_json::from_slice(&blob(described)).unwrap() };
        let top: Value = serde_json::from_slice(&fs::read(layout.join("index.json")).unwrap()).unwrap();
        assert_eq!(top["manifests"][0]["annotations"]["io.containerd.image.name"], name);
        let index = read(&top["manifests"][0]);
        for (at, (binary, architecture)) in both.iter().zip(["amd64", "arm64"]).enumerate() {
            let described = &index["manifests"][at];
            assert_eq!(described["platform"]["architecture"], architecture);
            let manifest = read(described);
            let config = read(&manifest["config"]);
            assert_eq!(config["architecture"], architecture);
            let layer = folder.path().join(architecture);
            fs::write(layer.with_extension("tgz"), blob(&manifest["layers"][0])).unwrap();
            unpack(&layer.with_extension("tgz"), &layer);
            assert_eq!(&fs::read(layer.join(PROGRAM)).unwrap(), binary);
            assert!(layer.join("var/lib/observer").is_dir());
        }
    }
}
