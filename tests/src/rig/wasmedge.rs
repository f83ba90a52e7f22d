//! A stand-in for crun with its WasmEdge handler, or with its wasmer handler: neither is in a package registry. What it
//! cannot show is anything about an engine's own speed.

use std::{fs, path::PathBuf, process::Command};

use observer::app::demo::stage::bundle::Written;

use super::{Stage, workload};

pub struct WasmEdge<'stage> {
    stage: &'stage Stage,
    crun: PathBuf,
    library: PathBuf,
}

impl WasmEdge<'_> {
    /// Builds it on a stage, and says aloud what it is.
    ///
    /// # Panics
    /// There is no C compiler.
    pub fn build(stage: &Stage) -> WasmEdge<'_> {
        eprintln!("STAND-IN: crun with WasmEdge is a program of these tests (workloads/crun_wasmedge.c)");
        WasmEdge::of(stage, "wasmedge", "libwasmedge.so.0", &[])
    }

    /// The same with a wasmer handler, of a version of crun.
    ///
    /// # Panics
    /// There is no C compiler.
    pub fn with_wasmer<'stage>(stage: &'stage Stage, version: &str) -> WasmEdge<'stage> {
        eprintln!(
            "STAND-IN: crun {version} with wasmer is a program of these tests (workloads/crun_wasmedge.c)"
        );
        let options = [&*format!("-DWASMER=\"{version}\"")];
        WasmEdge::of(stage, &format!("wasmer-{version}"), "libwasmer.so", &options)
    }

    fn of<'stage>(stage: &'stage Stage, name: &str, library: &str, options: &[&str]) -> WasmEdge<'stage> {
        let folder = stage.path(name);
        fs::create_dir_all(&folder).expect("a folder on the stage");
        let library = workload::compile("libwasmedge", folder.join(library), &["-shared", "-fPIC"]);
        let crun = workload::compile("crun_wasmedge", folder.join("crun"), options);
        WasmEdge { stage, crun, library }
    }

    /// A whole life in the foreground.
    pub fn with_library(&self, bundle: &Written) -> Command {
        let mut command = self.without_library(bundle);
        command.env("LD_LIBRARY_PATH", self.library.parent().expect("its folder"));
        command
    }

    /// The same where the engine is not installed.
    pub fn without_library(&self, bundle: &Written) -> Command {
        let mut command = self.stage.command(&self.crun);
        command.arg("run").arg("--bundle").arg(&bundle.folder).arg(&bundle.id);
        command
    }
}
