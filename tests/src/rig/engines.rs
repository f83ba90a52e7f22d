//! Language runtimes and Wasm engines of this machine, in containers that see its programs at their own places.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::{Bundle, Stage, stage::tools, workload};

#[path = "../../../observer/src/skips.rs"]
mod skips;
pub use skips::skip;

/// What programs consist of, besides themselves. Links such as `/lib` are followed.
const PROGRAMS: &[&str] = &["/usr", "/lib", "/lib64", "/etc"];

/// Where a package of Python is, and what runs it.
#[derive(Clone, Debug)]
pub struct Package {
    pub python: PathBuf,
    pub folder: PathBuf,
}

/// A program of this machine by the path that a container sees, or a skip that is counted.
pub fn needs(test: &str, name: &str) -> Option<PathBuf> {
    let found = tools::find(name).and_then(|path| path.canonicalize().ok());
    let visible = found.filter(|path| path.starts_with("/usr"));
    if visible.is_none() {
        skip(test, &format!("no {name} below /usr: run `cargo xtask setup`"));
    }
    visible
}

/// A package of the virtual environment that `cargo xtask setup` makes, and the Python that it is for; or a skip that
/// is counted.
pub fn needs_package(test: &str, name: &str) -> Option<Package> {
    let cache = env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache =
        cache.unwrap_or_else(|| PathBuf::from(env::var_os("HOME").unwrap_or_default()).join(".cache"));
    let venv = cache.join("observer/venv");
    let python = venv.join("bin/python3").canonicalize().ok().filter(|path| path.starts_with("/usr"));
    let lib = fs::read_dir(venv.join("lib")).ok();
    let folders = lib.into_iter().flatten().flatten().map(|python| python.path().join("site-packages"));
    let folder = folders.into_iter().find(|folder| folder.join(name).is_dir());
    let package = python.zip(folder).map(|(python, folder)| Package { python, folder });
    if package.is_none() {
        skip(
            test,
            &format!("no {name} for a Python below /usr in {}: run `cargo xtask setup`", venv.display()),
        );
    }
    package
}

/// A container that runs a program of this machine. It may read what programs consist of, and change nothing.
pub fn machine(program: &Path, args: &[&str]) -> Bundle {
    let program = program.to_str().expect("a path");
    let words: Vec<&str> = [program].iter().chain(args).copied().collect();
    let there = PROGRAMS.iter().filter(|path| Path::new(path).is_dir());
    there.fold(Bundle::new(&words), |bundle, path| bundle.mount(path, "bind", path, &["rbind", "ro"]))
}

/// A function of `workloads/traps.wat`, called by wasmtime as a library of Python.
pub fn wasmtime(package: &Package, function: &str) -> Bundle {
    let folder = package.folder.to_str().expect("a path");
    machine(&package.python, &["/call.py", "/packages", "/traps.wasm", function])
        .mount("/packages", "bind", folder, &["rbind", "ro"])
        .file("call.py", &workload::source("wasmtime_call.py"))
        .file("traps.wasm", &workload::wasm("traps"))
}

/// A function of `workloads/traps.wat` called by Node.js, and how often if not once; without one it runs no Wasm at all.
pub fn node(node: &Path, call: &[&str]) -> Bundle {
    let module: &[&str] = if call.is_empty() { &[] } else { &["/traps.wasm"] };
    machine(node, &[&["/call.cjs"], module, call].concat())
        .file("call.cjs", &workload::source("node_call.cjs"))
        .file("traps.wasm", &workload::wasm("traps"))
}

/// `workloads/Null.java`, compiled now. Interpreted, because compiled code soon tests what was null too often.
pub fn java(stage: &Stage, java: &Path, javac: &Path, options: &[&str]) -> Bundle {
    let classes = stage.path("classes");
    if !classes.exists() {
        let source = workload::SOURCES.to_owned() + "/Null.java";
        workload::build(Command::new(javac).arg("-d").arg(&classes).arg(source));
    }
    let class = fs::read(classes.join("Null.class")).expect("the class just compiled");
    let args = [&["-Xint", "-cp", "/classes"], options, &["Null"]].concat();
    machine(java, &args).file("classes/Null.class", &class)
}

/// `workloads/recovers.go`, built now.
pub fn go(stage: &Stage, go: &Path) -> Bundle {
    let (program, cache) = (stage.path("recovers"), stage.path("go-cache"));
    let mut command = Command::new(go);
    // Without C and with the options that the standard library was built with, it need not be built again.
    command.env("GOCACHE", cache).env("CGO_ENABLED", "0");
    command.env("GOTOOLCHAIN", "local").env("GO111MODULE", "off");
    workload::build(
        command.args(["build", "-o"]).arg(&program).arg(workload::SOURCES.to_owned() + "/recovers.go"),
    );
    Bundle::new(&["/bin/recovers"]).file("bin/recovers", &fs::read(program).expect("what was just built"))
}
