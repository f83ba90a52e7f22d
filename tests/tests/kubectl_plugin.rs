//! `kubectl observer`: which pod of the observer is asked, and with which words. In kubectl's place stands a script that
//! writes down what it was called with, since what is tested is what the plugin hands on.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Output},
};

use observer_tests::deploy;

/// Knows one pod on a node, and an observer on each of two nodes; `gone` is remembered by the second.
const KUBECTL: &str = r#"#!/bin/sh
{ for word; do printf '[%s]' "$word"; done; echo; } >> "$CALLS"
case "$*" in
*"get pod "*web-0) printf node-a ;;
*"get pod "*) ;;
*"get pods"*spec.nodeName=node-a,*) echo watch/observer-a ;;
*"get pods"*spec.nodeName=*) ;;
*"get pods"*) printf 'watch/observer-a\nwatch/observer-b\n' ;;
*exec*observer-a*shop/gone*) exit 4 ;;
*exec*observer-b*shop/gone*) echo it was here ;;
*exec*) echo said; exit ${STATUS:-0} ;;
esac
"#;

struct Asked {
    out: Output,
    calls: Vec<String>,
}

fn ask(shell: &[&str], words: &[&str], status: &str) -> Asked {
    let folder = tempfile::tempdir().expect("a folder");
    let kubectl = folder.path().join("kubectl");
    fs::write(&kubectl, KUBECTL).expect("a script");
    fs::set_permissions(&kubectl, fs::Permissions::from_mode(0o755)).expect("its mode");
    let calls = folder.path().join("calls");
    fs::write(&calls, "").expect("a file");
    let plugin = deploy::folder().join("kubectl/kubectl-observer");
    let mut command = Command::new(shell[0]);
    command.args(&shell[1..]).arg(plugin).args(words);
    let path = std::env::var("PATH").unwrap_or_default();
    command
        .env("PATH", format!("{}:{path}", folder.path().display()))
        .env("CALLS", &calls)
        .env("STATUS", status);
    let out = command.current_dir(folder.path()).output().expect("a shell");
    let calls = fs::read_to_string(&calls).expect("calls").lines().map(str::to_owned).collect();
    let left: Vec<_> =
        fs::read_dir(folder.path()).expect("the folder").flatten().map(|it| it.file_name()).collect();
    assert_eq!(left.len(), 2, "nothing was made: {left:?}");
    Asked { out, calls }
}

fn asked(words: &[&str]) -> Asked {
    ask(&["sh"], words, "0")
}

impl Asked {
    fn exec(&self) -> &str {
        self.calls
            .iter()
            .find(|call| call.starts_with("[exec]"))
            .unwrap_or_else(|| panic!("{:?}", self.calls))
    }

    fn said(&self) -> String {
        String::from_utf8_lossy(&self.out.stderr).into_owned()
    }
}

#[test]
fn the_observer_on_the_pods_node_is_asked() {
    for (words, expected) in [
        (&["describe", "shop/web-0", "-o", "json"][..], "[observer][describe][shop/web-0][-o][json]"),
        (&["coldstart", "shop/web-0"], "[observer][coldstart][--pod=shop/web-0][--for=10m]"),
        (&["coldstart", "shop/web-0", "--for", "5s"], "[observer][coldstart][--pod=shop/web-0][--for][5s]"),
        (&["report", "shop/web-0"], "[observer][report][--last=30m]"),
        (&["--node", "node-a", "report", "shop/gone", "--last=2h"], "[observer][report][--last=2h]"),
        (&["--node", "node-a", "doctor"], "[observer][doctor]"),
        (&["describe", "shop/web-0", "a b; $(touch x)"], "[observer][describe][shop/web-0][a b; $(touch x)]"),
    ] {
        let asked = asked(words);
        let call =
            format!("[exec][--namespace=watch][--container=observer][--stdin][observer-a][--]{expected}");
        assert_eq!(asked.exec(), call, "{words:?}");
        assert_eq!(asked.out.status.code(), Some(0), "{}", asked.said());
    }
    assert_eq!(
        ask(&["sh"], &["describe", "shop/web-0"], "3").out.status.code(),
        Some(3),
        "the observer's own status"
    );
}

#[test]
fn a_pod_that_is_gone_is_looked_for_everywhere() {
    let asked = asked(&["describe", "shop/gone"]);
    assert_eq!(String::from_utf8_lossy(&asked.out.stdout), "it was here\n", "{}", asked.said());
    assert_eq!(asked.calls.iter().filter(|call| call.starts_with("[exec]")).count(), 2);
}

#[test]
fn what_is_no_name_is_not_handed_on() {
    for who in [
        "",
        "web-0",
        "shop/",
        "/web-0",
        "shop/web 0",
        "shop/$(touch x)",
        "shop/-v",
        "--all/x",
        "shop/we*",
        "a/b/c",
        "shop/x\ny",
        "Shop/x",
    ] {
        let asked = asked(&["describe", who]);
        assert_eq!(asked.out.status.code(), Some(2), "{who:?}: {}", asked.said());
        assert!(asked.calls.is_empty(), "{who:?}: {:?}", asked.calls);
    }
    for node in ["", "-x", "a,b=c", "a b"] {
        let asked = asked(&["--node", node, "doctor"]);
        assert_eq!(asked.out.status.code(), Some(2), "{node:?}: {}", asked.said());
        assert!(asked.calls.is_empty(), "{node:?}: {:?}", asked.calls);
    }
    let nowhere = asked(&["--node", "node-z", "doctor"]);
    assert!(nowhere.said().contains("no observer runs on node node-z"), "{}", nowhere.said());
    assert_ne!(nowhere.out.status.code(), Some(0));
}

#[test]
fn other_shells_read_it_alike() {
    let shells: [&[&str]; 3] = [&["dash"], &["bash", "--posix"], &["busybox", "sh"]];
    let mut tried = 0;
    for shell in shells {
        let is_there = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
            .any(|folder| Path::new(&folder).join(shell[0]).is_file());
        if is_there {
            let asked = ask(shell, &["describe", "shop/web-0", "a b"], "0");
            assert!(asked.exec().ends_with("[describe][shop/web-0][a b]"), "{shell:?}: {:?}", asked.calls);
            tried += 1;
        }
    }
    assert!(tried > 0, "no shell at all");
}
