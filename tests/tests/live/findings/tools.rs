//! What is concluded of policy tools that are run on the node and fail, by what they say and how they end; and nothing of
//! what only looks like it.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use observer_tests::rig::{
    Bundle, Stage, program, stage,
    verdict::{Verdicts, only, quiet},
    workload,
};

/// STAND-IN: no registry offers opa or cosign; a program under their names says the lines that they are known to say.
struct Tools<'stage>(&'stage Stage);

impl<'stage> Tools<'stage> {
    fn on(stage: &'stage Stage) -> Tools<'stage> {
        eprintln!("STAND-IN: opa and cosign are a program under their names");
        let built = workload::static_program("policy_tool", &stage.path(""));
        for name in ["opa", "cosign"] {
            fs::copy(&built, stage.path(name)).expect("a copy");
        }
        Tools(stage)
    }

    /// Runs it as `words` say.
    fn runs(&self, words: &str, says: &str, ends: u8) {
        self.runs_in(&self.0.path(""), words, says, ends);
    }

    /// The same by a script of its name: whoever looks at its words finds those of its interpreter first.
    fn runs_by_a_script(&self, words: &str, says: &str, ends: u8) {
        let tool = words.split(' ').next().expect("a name");
        let folder = self.0.path("scripts");
        fs::create_dir_all(&folder).expect("a folder");
        let script = folder.join(tool);
        fs::write(&script, "#!/bin/sh\nprintf %s \"$SAYS\" >&2\nexit $ENDS\n").expect("a script");
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("a script");
        self.runs_in(&folder, words, says, ends);
    }

    fn runs_in(&self, folder: &Path, words: &str, says: &str, ends: u8) {
        let mut words = words.split(' ');
        let tool = words.next().expect("a name");
        let mut command = self.0.command(folder.join(tool));
        command.args(words).env("SAYS", says).env("ENDS", ends.to_string());
        let ran = self.0.run(&mut command).expect(tool);
        assert_eq!(ran.code(), i32::from(ends), "{}", ran.stderr);
    }

    /// The same in a container, by what that is made for, or as a command that somebody runs there later; which one.
    fn in_a_container(&self, words: &str, says: &str, ends: u8, is_later: bool) -> String {
        let tool = words.split(' ').next().expect("a name");
        let binary = fs::read(self.0.path(tool)).expect("the tool just built");
        let script = format!("SAYS='{says}' ENDS={ends} /bin/{words}");
        let command: &[&str] = if is_later { &["/bin/sleep", "1000"] } else { &["/bin/sh", "-c", &script] };
        let bundle = Bundle::new(command).file(&format!("bin/{tool}"), &binary);
        let name = if is_later { "later" } else { "at-once" };
        let bundle = bundle.write(self.0, &format!("{name}-{}", self.0.id())).expect("bundle");
        let crun = self.0.runtime(program("crun"));
        if is_later {
            crun.create(&bundle).expect("create").success().expect("create");
            crun.start(&bundle.id).expect("start").success().expect("start");
            let ran = crun.exec(&bundle.id, &["/bin/sh", "-c", &script]).expect("exec");
            assert_eq!(ran.code(), i32::from(ends), "{}", ran.stderr);
            crun.delete(&bundle.id).expect("delete");
        } else {
            crun.run(&bundle).expect("crun");
        }
        bundle.id
    }
}

/// Both are heard, as workloads.
fn are_heard(verdicts: &Verdicts, containers: &[String]) {
    for id in containers {
        let line = verdicts.run.wait_for("what it has said", |object| {
            object["probe"] == "text" && object["container"]["id"] == **id
        });
        assert_eq!(line["component"], false, "{line}");
    }
}

fn policy(file: &str, what: &str) -> String {
    format!("error: 1 error occurred: {file}:3: {what}\n")
}

const SYNTAX: &str = "rego_parse_error: unexpected eof token";
const MISSING: &str = "rego_type_error: undefined function data.lib.allowed";
const PROBES: &[&str] = &["--probes", "process,text"];

#[test]
fn policies_that_cannot_be_compiled() {
    let stage = stage();
    let tools = Tools::on(&stage);
    let verdicts = Verdicts::begin(&stage, "opa-build-failed", PROBES);
    for _ in 0..2 {
        tools.runs("opa build -t wasm broken.rego", &policy("broken.rego", SYNTAX), 1);
    }
    tools.runs_by_a_script("opa build lacking.rego", &policy("lacking.rego", MISSING), 1);
    let told = [("broken.rego", "syntax"), ("lacking.rego", "missing-dependency")];
    for (file, _) in told {
        verdicts.awaits("opa-build-failed", file);
    }
    let seen = verdicts.end();
    for (file, cause) in told {
        let finding = only(&seen, file, &format!("opa-build-failed/{cause} proved"));
        assert_eq!(finding["subject"]["process"]["comm"], "opa");
        let said = finding["evidence"][0]["text"].as_str().unwrap_or_default();
        assert!(said.starts_with("opa build ended with exit status 1; it wrote: "), "{said}");
    }
}

#[test]
fn policies_that_are_compiled_and_tools_that_fail_otherwise() {
    let stage = stage();
    let tools = Tools::on(&stage);
    let verdicts = Verdicts::begin(&stage, "opa-build-failed-not-only-said", PROBES);
    tools.runs("opa build warned.rego", &policy("warned.rego", SYNTAX), 0);
    tools.runs("opa build mistyped.rego", "Error: unknown flag: --tagret\n", 1);
    tools.runs("opa test tested.rego", &policy("tested.rego", SYNTAX), 2);
    let contained = policy("contained.rego", SYNTAX);
    let containers = [false, true]
        .map(|is_later| tools.in_a_container("opa build contained.rego", &contained, 1, is_later));
    are_heard(&verdicts, &containers);
    let seen = verdicts.end();
    ["warned.rego", "mistyped.rego", "tested.rego", "contained.rego"]
        .iter()
        .for_each(|name| quiet(&seen, name));
    containers.iter().for_each(|id| quiet(&seen, id));
    assert!(!seen.stdout.contains("\"id\":\"opa-build-failed\""), "{}", seen.stdout);
}

const UNSIGNED: &str =
    "Error: no signatures found\nmain.go:74: error during command execution: no signatures found\n";
const OTHER_KEY: &str =
    "Error: no matching signatures: invalid signature when validating ASN.1 encoded signature\n";

#[test]
fn signatures_that_are_none_and_those_of_another_key() {
    let stage = stage();
    let tools = Tools::on(&stage);
    let verdicts = Verdicts::begin(&stage, "signature-verify-failed", PROBES);
    tools.runs("cosign verify --key cosign.pub registry.local/unsigned:1", UNSIGNED, 10);
    tools.runs("cosign verify registry.local/foreign:1 --key cosign.pub", OTHER_KEY, 12);
    let told =
        [("registry.local/unsigned:1", "invalid proved"), ("registry.local/foreign:1", "wrong-key likely")];
    for (image, _) in told {
        verdicts.awaits("signature-verify-failed", image);
    }
    let seen = verdicts.end();
    for (image, cause) in told {
        let finding = only(&seen, image, &format!("signature-verify-failed/{cause}"));
        assert_eq!(finding["subject"]["kind"], "image");
    }
}

#[test]
fn signatures_that_are_good_and_what_is_no_image() {
    let stage = stage();
    let tools = Tools::on(&stage);
    let verdicts = Verdicts::begin(&stage, "signature-verify-failed-not-refused", PROBES);
    // One of several signatures is by another key, and one is by the right one.
    tools.runs("cosign verify --key cosign.pub registry.local/good:1", OTHER_KEY, 0);
    tools.runs("cosign verify registry.local/away:1", "Error: GET https://registry.local/v2/: timeout\n", 1);
    tools.runs("cosign verify-blob --key cosign.pub file", OTHER_KEY, 1);
    let words = "cosign verify registry.local/contained:1";
    let containers = [false, true].map(|is_later| tools.in_a_container(words, UNSIGNED, 10, is_later));
    are_heard(&verdicts, &containers);
    let seen = verdicts.end();
    containers.iter().for_each(|id| quiet(&seen, id));
    assert!(!seen.stdout.contains("\"id\":\"signature-verify-failed\""), "{}", seen.stdout);
}
