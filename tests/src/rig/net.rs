//! Two network namespaces of our own with a cable between them, and containers in one of them.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    os::{
        fd::{AsFd, AsRawFd},
        unix::fs::MetadataExt,
    },
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
    thread,
};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::{
    Bundle, Ran, Stage, program,
    run::Run,
    stage::Running,
    stdio::{Cat, Container, Streams},
    workload,
};

/// Where containers are, and where servers are.
pub struct Cable {
    name: String,
    pub near: Ipv4Addr,
    pub far: Ipv4Addr,
}

static CABLES: AtomicU32 = AtomicU32::new(0);

impl Cable {
    /// # Panics
    /// It cannot be laid.
    pub fn lay() -> Cable {
        let number = CABLES.fetch_add(1, Ordering::Relaxed);
        let end = |last: u8| Ipv4Addr::new(10, 201, number as u8, last);
        Cable::between(number, end(1), end(2))
    }

    /// Another one, with the same addresses at its ends.
    ///
    /// # Panics
    /// It cannot be laid.
    pub fn twin(&self) -> Cable {
        Cable::between(CABLES.fetch_add(1, Ordering::Relaxed), self.near, self.far)
    }

    fn between(number: u32, near: Ipv4Addr, far: Ipv4Addr) -> Cable {
        let cable = Cable { name: format!("obs{}-{number}", std::process::id()), near, far };
        let (near, far) = (cable.namespace("near"), cable.namespace("far"));
        for namespace in [&near, &far] {
            ip(&["netns", "add", namespace]);
            ip(&["-n", namespace, "link", "set", "lo", "up"]);
        }
        let ends = ["type", "veth", "peer", "name", "eth1", "netns", &far];
        cable.ip_near(&[&["link", "add", "name", "eth0"][..], &ends].concat());
        for (namespace, device, address) in [(&near, "eth0", cable.near), (&far, "eth1", cable.far)] {
            ip(&["-n", namespace, "address", "add", &format!("{address}/24"), "dev", device]);
            ip(&["-n", namespace, "link", "set", device, "up"]);
        }
        cable
    }

    fn namespace(&self, end: &str) -> String {
        format!("{}-{end}", self.name)
    }

    /// `ip -n NEAR ..`.
    pub fn ip_near(&self, words: &[&str]) {
        ip(&[&["-n", &self.namespace("near")], words].concat());
    }

    pub fn ip_far(&self, words: &[&str]) {
        ip(&[&["-n", &self.namespace("far")], words].concat());
    }

    /// Rules of a table `t` with a chain `c`, at the far end: `add rule inet t c ..`.
    pub fn nft_far(&self, hook: &str, rule: &str) {
        let chain = format!("add chain inet t c {{ type filter hook {hook} priority 0; }}");
        for words in ["add table inet t", &chain, &format!("add rule inet t c {rule}")] {
            let mut command = Command::new(program("ip"));
            command.args(["netns", "exec", &self.namespace("far")]).arg(program("nft")).arg(words);
            succeed(&mut command);
        }
    }

    /// A ruleset at an end.
    ///
    /// # Panics
    /// It is refused.
    pub fn rules(&self, stage: &Stage, end: &str, rules: &str) {
        let file = stage.path(format!("{end}.nft"));
        fs::write(&file, rules).expect("a file");
        let mut command = Command::new(program("ip"));
        command.args(["netns", "exec", &self.namespace(end)]).arg(program("nft")).arg("-f").arg(file);
        succeed(&mut command);
    }

    /// The number by which the kernel knows an end.
    ///
    /// # Panics
    /// It is not there.
    pub fn number(&self, end: &str) -> u64 {
        fs::metadata(self.path(end)).expect("a network namespace").ino()
    }

    fn path(&self, end: &str) -> String {
        format!("/var/run/netns/{}", self.namespace(end))
    }

    /// Does something at the far end, on a thread of its own.
    ///
    /// # Panics
    /// Whatever it does panics.
    pub fn at_far<T: Send>(&self, what: impl FnOnce() -> T + Send) -> T {
        self.at("far", what)
    }

    /// Sets a switch of an end's network: a path below `/proc/sys/net`.
    ///
    /// # Panics
    /// It has none like that.
    pub fn set(&self, end: &str, switch: &str, value: &str) {
        let path = format!("/proc/sys/net/{switch}");
        self.at(end, || fs::write(&path, value).unwrap_or_else(|error| panic!("{path}: {error}")));
    }

    /// Does something at an end, on a thread of its own.
    ///
    /// # Panics
    /// Whatever it does panics.
    pub fn at<T: Send>(&self, end: &str, what: impl FnOnce() -> T + Send) -> T {
        let path = self.path(end);
        thread::scope(|scope| {
            let there = move || {
                let file = fs::File::open(path).expect("a network namespace");
                let kind = Some(LinkNameSpaceType::Network);
                move_into_link_name_space(file.as_fd(), kind).expect("to go there");
                what()
            };
            scope.spawn(there).join().expect("what was done there")
        })
    }

    /// A server at the far end that accepts nobody: the kernel answers for it.
    ///
    /// # Panics
    /// It cannot listen.
    pub fn listens(&self, port: u16) -> TcpListener {
        let address = SocketAddr::from((self.far, port));
        self.at_far(|| TcpListener::bind(address).expect("a port"))
    }

    /// A container at the near end that dials; what it is told is in `tests/workloads/dialer.c`.
    pub fn dials(&self, stage: &Stage, name: &str, words: &str) -> Dialed {
        self.contains(stage, name, "dialer", words)
    }

    /// A container at the near end with many connections at once, by `tests/workloads/fan.c`.
    pub fn fan(&self, stage: &Stage, name: &str, words: &str) -> Dialed {
        self.contains(stage, name, "fan", words)
    }

    /// A container at the near end that dials again and again, by `tests/workloads/agent.c`.
    pub fn agent(&self, stage: &Stage, name: &str, words: &str) -> Dialed {
        self.contains(stage, name, "agent", words)
    }

    /// The same in a pod, NAMESPACE and NAME.
    pub fn agent_in(&self, stage: &Stage, (namespace, pod): (&str, &str), words: &str) -> Dialed {
        let args: Vec<&str> = ["/bin/agent"].into_iter().chain(words.split(' ')).collect();
        let bytes = fs::read(built(stage, "agent")).expect("the workload just built");
        let of_pod = |bundle: Bundle, (key, value): (&str, &str)| {
            bundle.annotation(&format!("io.kubernetes.cri.{key}"), value)
        };
        let pod_of = [("sandbox-namespace", namespace), ("sandbox-name", pod), ("container-name", "app")];
        let bundle = pod_of.into_iter().fold(Bundle::new(&args).file("bin/agent", &bytes), of_pod);
        self.holds(stage, pod, bundle)
    }

    fn contains(&self, stage: &Stage, name: &str, workload: &str, words: &str) -> Dialed {
        let program = format!("/bin/{workload}");
        let args: Vec<&str> = [program.as_str()].into_iter().chain(words.split(' ')).collect();
        let bytes = fs::read(built(stage, workload)).expect("the workload just built");
        self.holds(stage, name, Bundle::new(&args).file(&program[1..], &bytes))
    }

    /// A container at the near end.
    pub fn holds(&self, stage: &Stage, name: &str, bundle: Bundle) -> Dialed {
        let (near, path) = self.by_descriptor("near");
        let bundle = bundle.joins("network", &path);
        let (streams, out) = Streams::merged();
        let out = Cat::begin(stage, &format!("{name}-out"), out);
        Dialed { container: Container::of(stage, name, bundle, streams), out, _near: near }
    }

    /// A process at the near end, in no container, that is called `name` and dials again and again.
    ///
    /// # Panics
    /// It cannot be started.
    pub fn component(&self, stage: &Stage, name: &str, words: &str) -> Component {
        let copy = stage.path(name);
        fs::copy(built(stage, "agent"), &copy).expect("a copy of the workload");
        let words: Vec<&str> = words.split(' ').collect();
        self.runs_at("near", stage, &copy, &words)
    }

    /// A process at an end, in no container.
    ///
    /// # Panics
    /// It cannot be started.
    pub fn runs_at(&self, end: &str, stage: &Stage, program_there: &Path, words: &[&str]) -> Component {
        let (namespace, path) = self.by_descriptor(end);
        let mut command = stage.command(program("nsenter"));
        command.arg(format!("--net={path}")).arg(program_there).args(words);
        Component { running: stage.spawn(&mut command).expect("a component"), _namespace: namespace }
    }

    /// Runs the command that it is given at an end.
    pub fn inside(&self, end: &str) -> Command {
        let mut command = Command::new(program("nsenter"));
        command.arg(format!("--net={}", self.path(end)));
        command
    }

    /// The stage has mounts of its own, without those of `ip netns`.
    fn by_descriptor(&self, end: &str) -> (fs::File, String) {
        let namespace = fs::File::open(self.path(end)).expect("a network namespace");
        let path = format!("/proc/{}/fd/{}", std::process::id(), namespace.as_raw_fd());
        (namespace, path)
    }
}

/// A workload, built once for a stage.
fn built(stage: &Stage, name: &str) -> PathBuf {
    let path = stage.path(name);
    if path.exists() { path } else { workload::static_program(name, &stage.path("")) }
}

/// A process of the node.
pub struct Component {
    pub running: Running,
    // It is moved there by this process's descriptor.
    _namespace: fs::File,
}

impl Component {
    pub fn pid(&self) -> i32 {
        self.running.pid().as_raw_nonzero().get()
    }

    /// # Panics
    /// It fails.
    pub fn ends(self) -> String {
        self.running.finish().and_then(Ran::success).expect("a component").stdout
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        for end in ["near", "far"] {
            let _ = Command::new(program("ip")).args(["netns", "del", &self.namespace(end)]).status();
        }
    }
}

/// A container that has dialled.
pub struct Dialed {
    pub container: Container,
    out: Cat,
    // The runtime opens it by this process's descriptor.
    _near: fs::File,
}

impl Dialed {
    /// Its id and what it said, once it was killed.
    ///
    /// # Panics
    /// It cannot be.
    pub fn is_killed(mut self, stage: &Stage) -> (String, String) {
        stage.runtime(program("crun")).delete(&self.container.id).expect("crun");
        self.container.ends();
        (self.container.id.clone(), self.out.said())
    }

    /// Its id and what it said, once it has ended and the observer has seen it.
    ///
    /// # Panics
    /// It fails.
    pub fn ends(mut self, run: &Run) -> (String, String) {
        let code = self.container.ends();
        let said = self.out.said();
        assert_eq!(code, 0, "{said}");
        let id = self.container.id.clone();
        run.wait_for("its end", |object| object["container"]["id"] == *id && object["action"] == "exit");
        (id, said)
    }
}

fn ip(words: &[&str]) {
    succeed(Command::new(program("ip")).args(words));
}

fn succeed(command: &mut Command) {
    let ran = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(ran.status.success(), "{command:?}: {}", String::from_utf8_lossy(&ran.stderr));
}
