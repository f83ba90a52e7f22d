//! Name servers and resolvers of every kind, on a stage of their own; and what the observer said of look-ups.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use serde_json::Value;

use super::{
    Bundle, Ran, Stage, program,
    stage::Running,
    stdio::until,
    watch::Seen,
    workload::{self, SOURCES, build},
};

/// dnsmasq: `good.test` (both addresses), `four.test` (IPv4 only), `db.cluster.test`; nothing else below `test`.
pub const DNSMASQ: &str = "127.0.1.1";
/// The same by IPv6.
pub const DNSMASQ6: &str = "::1";
/// unbound: `refused.test`, `nothing.test` (no data), `silent.test`, `big.test` (too much for a datagram), and
/// `dead.test`, whose own server is not there.
pub const UNBOUND: &str = "127.0.1.2";
/// Where that server would be.
pub const DEAD: &str = "127.0.1.9";
/// `workloads/nameserver.c`.
pub const OWN: &str = "127.0.1.3";

/// Servers that answer, and what asks them.
pub struct Names<'stage> {
    pub stage: &'stage Stage,
    servers: Vec<Running>,
}

impl<'stage> Names<'stage> {
    /// Returns once all of them answer.
    ///
    /// # Panics
    /// One cannot be started, or never answers.
    pub fn new(stage: &'stage Stage) -> Names<'stage> {
        fs::write(stage.path("resolv.conf"), "").expect("resolv.conf");
        let bind = "mount --bind $0 /etc/resolv.conf";
        ran(stage, stage.command("/bin/sh").args(["-c", bind]).arg(stage.path("resolv.conf")));
        workload::compile("nameserver", stage.path("nameserver"), &["-static"]);
        let servers = vec![dnsmasq(stage), unbound(stage), own(stage, OWN, 53)];
        let names = Names { stage, servers };
        for (server, name) in
            [(DNSMASQ, "good.test"), (DNSMASQ6, "good.test"), (UNBOUND, "nothing.test"), (OWN, "ready.test")]
        {
            until("a name server", || {
                let mut dig = stage.command(program("dig"));
                dig.args(["+time=1", "+tries=1", &format!("@{server}"), name]);
                let ran = stage.run(&mut dig).expect("dig");
                (ran.code() == 0 && ran.stdout.contains("status: NOERROR")).then_some(())
            });
        }
        names
    }

    /// What resolvers on the stage are told from now on.
    ///
    /// # Panics
    /// It cannot be written.
    pub fn configure(&self, lines: &[&str]) {
        fs::write(self.stage.path("resolv.conf"), lines.join("\n") + "\n").expect("resolv.conf");
    }

    pub fn ask(&self, server: &str) {
        self.configure(&[&format!("nameserver {server}")]);
    }

    /// glibc: addresses of all kinds.
    pub fn getent(&self, name: &str) -> Ran {
        self.ran(self.stage.command(program("getent")).args(["ahosts", name]))
    }

    pub fn run(&self, program: PathBuf, name: &str) -> Ran {
        self.ran(self.stage.command(program).arg(name))
    }

    fn ran(&self, command: &mut Command) -> Ran {
        self.stage.run(command).expect("a resolver")
    }

    /// What the server of ours was asked since it began: bytes, type and name of each.
    pub fn asked(&self) -> Vec<String> {
        let said = self.servers[2].stdout();
        said.lines().skip(1).map(str::to_owned).collect()
    }

    /// Makes an address that of a service, as kube-proxy does: what is sent to it goes to a server.
    ///
    /// # Panics
    /// It cannot be done.
    pub fn serve(&self, service: &str, server: &str) {
        self.balance(service, server);
    }

    /// The same by turns: `to` is what nft sends it to.
    ///
    /// # Panics
    /// It cannot be done.
    pub fn balance(&self, service: &str, to: &str) {
        let rules = format!(
            "table ip services {{\nchain output {{\ntype nat hook output priority -100\n\
             ip daddr {service} udp dport 53 dnat to {to}\n}}\n}}\n"
        );
        ran(
            self.stage,
            self.stage.command(program("ip")).args([
                "route",
                "add",
                service,
                "dev",
                "lo",
                "src",
                "127.0.0.1",
            ]),
        );
        ran(self.stage, self.stage.command(program("nft")).arg(rules));
    }

    /// Has what is sent to a server dropped before it gets there.
    ///
    /// # Panics
    /// It cannot be done.
    pub fn drop_to(&self, server: &str) {
        self.filter_to(server, "drop");
    }

    /// Has a rule of the node judge what is sent to a server: `drop`, `reject`.
    ///
    /// # Panics
    /// It cannot be done.
    pub fn filter_to(&self, server: &str, verdict: &str) {
        let rules = format!(
            "table inet drops {{\nchain input {{\ntype filter hook input priority 0\n\
             ip daddr {server} udp dport 53 {verdict}\n}}\n}}\n"
        );
        ran(self.stage, self.stage.command(program("nft")).arg(rules));
    }

    /// Has a rule of the node drop what is sent to a server before it leaves who sends it.
    ///
    /// # Panics
    /// It cannot be done.
    pub fn withhold_from(&self, server: &str) {
        let rules = format!(
            "table inet withheld {{\nchain output {{\ntype filter hook output priority 0\n\
             ip daddr {server} udp dport 53 drop\n}}\n}}\n"
        );
        ran(self.stage, self.stage.command(program("nft")).arg(rules));
    }

    /// A second server of ours, on another port.
    pub fn on_port(&self, port: u16) -> Running {
        own(self.stage, OWN, port)
    }
}

fn ran(stage: &Stage, command: &mut Command) {
    stage.run(command).and_then(Ran::success).expect("a command on the stage");
}

fn dnsmasq(stage: &Stage) -> Running {
    let mut command = stage.command(program("dnsmasq"));
    command.args([
        "--keep-in-foreground",
        "--conf-file=/dev/null",
        "--no-resolv",
        "--no-hosts",
        "--user=root",
    ]);
    command.args(["--pid-file=", "--bind-interfaces", "--local=/test/", "--cache-size=0"]);
    command.args([DNSMASQ, DNSMASQ6].map(|address| format!("--listen-address={address}")));
    let records = ["good.test,10.1.2.3,fd00::3", "four.test,10.1.2.4", "db.cluster.test,10.1.2.5"];
    command.args(records.map(|record| format!("--host-record={record}")));
    stage.spawn(&mut command).expect("dnsmasq")
}

fn unbound(stage: &Stage) -> Running {
    let many = (1..=60).map(|n| format!("  local-data: \"big.test. A 10.2.0.{n}\"\n"));
    let config = format!(
        "server:\n  interface: {UNBOUND}\n  do-daemonize: no\n  chroot: \"\"\n  username: \"\"\n  \
         directory: \"/\"\n  pidfile: \"\"\n  use-syslog: no\n  do-not-query-localhost: no\n  \
         module-config: \"iterator\"\n  local-zone: \"refused.test.\" always_refuse\n  \
         local-zone: \"nothing.test.\" always_nodata\n  local-zone: \"silent.test.\" always_deny\n  \
         local-zone: \"dead.test.\" transparent\n  local-zone: \"big.test.\" static\n{}\
         remote-control:\n  control-enable: no\n\
         forward-zone:\n  name: \"dead.test.\"\n  forward-addr: {DEAD}\n",
        many.collect::<String>()
    );
    let path = stage.path("unbound.conf");
    fs::write(&path, config).expect("unbound.conf");
    stage.spawn(stage.command(program("unbound")).arg("-d").arg("-c").arg(path)).expect("unbound")
}

fn own(stage: &Stage, address: &str, port: u16) -> Running {
    let mut command = stage.command(stage.path("nameserver"));
    let server = stage.spawn(command.args([address, &port.to_string()])).expect("the server");
    until("the server of ours", || server.stdout().starts_with("ready").then_some(()));
    server
}

/// A resolver that is musl's, without any library at run time.
pub fn musl(stage: &Stage) -> PathBuf {
    let path = stage.path("resolve-musl");
    let mut command = Command::new(program("musl-gcc"));
    build(command.args(["-static", "-O2", "-o"]).arg(&path).arg(format!("{SOURCES}/resolve.c")));
    path
}

pub fn cares(stage: &Stage) -> PathBuf {
    workload::compile("resolve_cares", stage.path("resolve-cares"), &["-lcares"])
}

/// Go's own resolver, which a program gets that is built without C.
pub fn go(stage: &Stage) -> PathBuf {
    let path = stage.path("resolve-go");
    let mut command = Command::new(program("go"));
    command.env("CGO_ENABLED", "0").env("GOCACHE", stage.path("go-cache"));
    command.env("GOTOOLCHAIN", "local").env("GO111MODULE", "off");
    build(command.args(["build", "-o"]).arg(&path).arg(format!("{SOURCES}/resolve.go")));
    path
}

/// A container that has `getent`, which asks by glibc, on the network of the stage. `resolv_conf`: `None` is none
/// at all.
pub fn contained(resolv_conf: Option<&str>, args: &[&str]) -> Bundle {
    let bundle = with_libraries(Bundle::new(args).host_network(), &program("getent"));
    match resolv_conf {
        Some(text) => bundle.file("etc/resolv.conf", text.as_bytes()),
        None => bundle,
    }
}

/// A bundle that has a program of this machine below `bin`, and its libraries.
fn with_libraries(bundle: Bundle, program: &Path) -> Bundle {
    let listed = Command::new(super::program("ldd")).arg(program).output().expect("ldd");
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    let name = program.file_name().expect("a name").to_string_lossy();
    let bundle = bundle.file(&format!("bin/{name}"), &fs::read(program).expect("a program"));
    // Each line has one path: that of the library, or of the loader.
    let libraries = listed.split_whitespace().filter(|word| word.starts_with('/'));
    libraries.fold(bundle, |bundle, path| bundle.file(&path[1..], &fs::read(path).expect("a library")))
}

/// A container that looks names up by glibc as `workloads/resolve_how.c` is told; it lives until it is removed. Its
/// resolver knows these hosts, and this configuration.
pub fn asks_how(stage: &Stage, hosts: &str, nsswitch: &str, resolv: &str, words: &str) -> Bundle {
    let built = workload::compile("resolve_how", stage.path("resolve_how"), &[]);
    let args: Vec<&str> = ["/bin/resolve_how"].into_iter().chain(words.split(' ')).collect();
    let bundle = with_libraries(Bundle::new(&args).host_network(), &built);
    let files = [("etc/hosts", hosts), ("etc/nsswitch.conf", nsswitch), ("etc/resolv.conf", resolv)];
    files.into_iter().fold(bundle, |bundle, (path, text)| bundle.file(path, text.as_bytes()))
}

/// A container that asks for a name again and again, and goes on to live: what fails while it ends is no evidence.
pub struct Asker {
    pub id: String,
    pub crun: Running,
}

impl Asker {
    /// # Panics
    /// It cannot be started.
    pub fn begin(stage: &Stage, name: &str, server: Option<&str>, asks: &str) -> Asker {
        let resolv = server.map(|server| format!("nameserver {server}\noptions timeout:1 attempts:1\n"));
        Asker::configured(stage, name, resolv.as_deref(), asks, "sleep 1000")
    }

    /// # Panics
    /// It cannot be started.
    pub fn configured(stage: &Stage, name: &str, resolv: Option<&str>, asks: &str, then: &str) -> Asker {
        let ask = format!("for n in 1 2 3 4 5 6 7 8; do getent ahosts {asks}; sleep 0.7; done; {then}");
        let bundle = contained(resolv, &["/bin/sh", "-c", &ask]);
        let written = bundle.write(stage, &format!("{name}-{}", stage.id())).expect("bundle");
        let crun = stage.spawn(&mut stage.runtime(program("crun")).run_command(&written)).expect("crun");
        Asker { id: written.id, crun }
    }

    /// # Panics
    /// It cannot be removed.
    pub fn ends(self, stage: &Stage) -> String {
        stage.runtime(program("crun")).delete(&self.id).expect("crun");
        self.crun.finish().expect("crun");
        self.id
    }
}

/// How long the observer may need to tell what has ended: more than it waits for a sibling, or a next step.
pub const TOLD_AFTER: Duration = Duration::from_millis(1_500);

impl Seen {
    /// The look-ups of one program.
    pub fn lookups_by(&self, comm: &str) -> Vec<&Value> {
        let events = self.of_type("event").filter(|event| event["probe"] == "dns");
        events.filter(|event| event["process"]["comm"] == comm).collect()
    }

    /// The one look-up of a program that ended with this name.
    ///
    /// # Panics
    /// There is none, or more.
    pub fn lookup(&self, comm: &str, name: &str) -> &Value {
        let all: Vec<&Value> =
            self.lookups_by(comm).into_iter().filter(|event| event["name"] == name).collect();
        let [one] = all[..] else {
            panic!("{comm} {name}: {} look-ups instead of one: {all:#?}\n{}", all.len(), self.stdout)
        };
        one
    }
}
