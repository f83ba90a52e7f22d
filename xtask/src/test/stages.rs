//! The stages of `test`, in order of cost.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use super::{listen::Heard, tally::Tally, verdicts};
use crate::{
    build,
    cmd::{self, Cmd},
    paths::{self, find_program},
    tidy,
    vm::{self, VmArgs},
};

pub(super) struct Stage {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) run: fn(&mut Tally),
}

pub(super) const STAGES: &[Stage] = &[
    Stage { name: "fmt", about: "the format", run: fmt },
    Stage { name: "tidy", about: "the house rules", run: |tally| tally.one("tidy", tidy::run()) },
    // What compiles observer after this embeds them, and compiles it once.
    Stage { name: "kernel", about: "kernel programs", run: kernel },
    Stage { name: "clippy", about: "lints, warnings are errors", run: clippy },
    Stage { name: "unit", about: "unit and replay tests: no root", run: unit },
    Stage { name: "build", about: "observer, and an image of it", run: super::build },
    Stage { name: "live", about: "real containers and faults on this kernel (root)", run: live },
    Stage { name: "fuzz", about: "whatever parses untrusted bytes, a minute in all", run: fuzz },
    Stage { name: "vm", about: "container starts on other kernels, in QEMU", run: vm },
];

/// Seconds of fuzzing, over all targets.
const FUZZ_SECONDS: usize = 60;

/// Where tests name what they could not do, one line each: `<test>: <reason>`. Runners hide the output of
/// tests that pass, so this is how a skip stays loud. Tests find it in `OBSERVER_TEST_SKIPS`.
pub(super) fn skips_file() -> PathBuf {
    paths::target().join("test-skips")
}

fn fmt(tally: &mut Tally) {
    tally.one("fmt", Cmd::cargo().args(["fmt", "--all", "--check"]).run());
}

fn kernel(tally: &mut Tally) {
    tally.one("kernel programs", build::kernel_programs(build::Arch::HOST));
}

fn clippy(tally: &mut Tally) {
    let clippy = Cmd::cargo().args(["clippy", "--all-targets", "--locked"]).args(EVERYTHING);
    tally.one("clippy", clippy.args(["--", "-D", "warnings"]).run());
}

fn unit(tally: &mut Tally) {
    tests(tally, "unit", false);
}

fn live(tally: &mut Tally) {
    if !cmd::is_root() {
        return tally.skip("live: needs root to load kernel programs and start containers".to_owned());
    }
    if !Path::new("/sys/kernel/btf/vmlinux").exists() {
        return tally.skip("live: this kernel has no BTF (/sys/kernel/btf/vmlinux)".to_owned());
    }
    tests(tally, "live", true);
}

/// One choice of packages and features for all that is compiled here: another one would compile it again.
const EVERYTHING: [&str; 3] = ["--workspace", "--features", "observer-tests/live"];

/// Runs tests with nextest where it is there, which ones as `.config/nextest.toml` says. What passes at the second
/// attempt only is said in the last lines.
fn tests(tally: &mut Tally, stage: &str, live: bool) {
    let cargo =
        Cmd::cargo().env("OBSERVER_TEST_SKIPS", skips_file()).env("OBSERVER_TEST_VERDICTS", verdicts::file());
    let command = if find_program("cargo-nextest").is_some() {
        let run = ["nextest", "run", "--locked", "--no-fail-fast", "--no-tests=pass", "--color=never"];
        cargo.args(run).args(EVERYTHING).args(live.then_some("--profile=live"))
    } else {
        let of_all = ["--workspace", "--lib", "--bins", "--tests"].as_slice();
        let which = if live { &["-p", "observer-tests", "--features=live", "--test=live"] } else { of_all };
        let run = cargo.args(["test", "--locked", "--no-fail-fast", "--color=never"]).args(which).arg("--");
        run.args(live.then_some("--test-threads=1"))
    };
    let mut heard = Heard::default();
    let result = command.watch(|line| heard.line(line));
    let skips = take_skips();
    tally.passed += heard.counts.passed.saturating_sub(skips.len());
    tally.skips.extend(skips.into_iter().map(|skip| format!("{stage}: {skip}")));
    tally.skips.extend((0..heard.counts.ignored).map(|_| format!("{stage}: a test marked #[ignore]")));
    let told = |tests: BTreeMap<String, String>| {
        tests.into_iter().map(move |(name, why)| format!("{stage}: {name}: {why}"))
    };
    tally.again.extend(told(heard.flaky));
    match result {
        Ok(true) => {}
        Ok(false) if heard.counts.failed > 0 => {
            tally.failed += heard.counts.failed;
            tally.failures.extend(told(heard.failed));
        }
        Ok(false) => tally.fail(format!("{stage}: the tests do not build or do not run, see above")),
        Err(error) => tally.fail(format!("{stage}: {error:#}")),
    }
}

fn take_skips() -> Vec<String> {
    let text = fs::read_to_string(skips_file()).unwrap_or_default();
    let _ = fs::remove_file(skips_file());
    text.lines().map(str::to_owned).collect()
}

fn fuzz(tally: &mut Tally) {
    let dir = paths::repo().join("tests/fuzz");
    if find_program("cargo-fuzz").is_none() {
        return tally.skip("fuzz: no cargo-fuzz: run `cargo xtask setup`".to_owned());
    }
    let cargo_fuzz = |command: &str| {
        // Coverage instrumentation is unstable, and every stable compiler has it.
        Cmd::cargo().env("RUSTC_BOOTSTRAP", "1").args(["fuzz", command, "--fuzz-dir"]).arg(&dir)
    };
    let targets = match cargo_fuzz("list").output() {
        Ok(targets) => targets,
        Err(error) => return tally.fail(format!("fuzz: {error:#}")),
    };
    let targets: Vec<&str> = targets.lines().collect();
    for target in &targets {
        let seconds = format!("-max_total_time={}", FUZZ_SECONDS / targets.len());
        // The code under test has no `unsafe`, so no sanitizer: panics, hangs and memory are what is looked for.
        // What is found goes to the corpus; the seeds are the repository's.
        let inputs = [dir.join("corpus").join(target), dir.join("seeds").join(target)];
        if let Err(error) = fs::create_dir_all(&inputs[0]) {
            tally.fail(format!("{target}: cannot make {}: {error}", inputs[0].display()));
            continue;
        }
        let inputs = inputs.iter().filter(|inputs| inputs.is_dir());
        let run = cargo_fuzz("run").args(["--sanitizer", "none", target]).args(inputs).arg("--").arg(seconds);
        tally.one(target, run.args(["-timeout=10", "-rss_limit_mb=1024", "-print_final_stats=1"]).run());
    }
}

fn vm(tally: &mut Tally) {
    match vm::run(&VmArgs { kernel: "all".to_owned() }) {
        Ok(outcome) => {
            tally.passed += outcome.passed();
            if outcome.failed() > 0 {
                tally.failed += outcome.failed();
                tally.failures.push(format!("vm: {} cases, see above", outcome.failed()));
            }
            for (machine, why) in outcome.skipped() {
                tally.skip(format!("vm {machine}: {why}"));
            }
        }
        Err(error) => tally.fail(format!("vm: {error:#}")),
    }
}
