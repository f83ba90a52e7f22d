//! A stand-in for crun with its WasmEdge handler: WasmEdge is in no package registry. What it cannot show is
//! anything about WasmEdge's own speed.

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
        let folder = stage.path("wasmedge");
        fs::create_dir_all(&folder).expect("a folder on the stage");
        let library =
            workload::compile("libwasmedge", folder.join("libwasmedge.so.0"), &["-shared", "-fPIC"]);
        let crun = workload::compile("crun_wasmedge", folder.join("crun"), &[]);
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
