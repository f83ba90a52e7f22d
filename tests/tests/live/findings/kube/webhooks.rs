//! Webhooks that nobody but the Kubernetes API names: as long as it does.

use observer_tests::rig::{
    kube::Api,
    run::Run,
    stage,
    stdio::until,
    verdict::{Verdicts, is_about},
    webhook::{Certificate, SIGHT, curl, server},
};
use serde_json::Value;

/// What is told of a webhook, by its name or by where it is.
fn of_webhook(object: &Value, name: &str, port: u16) -> bool {
    object["id"] == "webhook-timeout"
        && (is_about(object, name) || is_about(object, &format!("127.0.0.1:{port}")))
}

#[test]
fn webhooks_that_only_the_api_names() {
    let stage = stage();
    let api = Api::begin(&stage);
    api.create(include_str!("../../../../fixtures/kube/webhooks.yaml"));
    let own = Certificate::new(&stage, "own");
    let _servers = [8461, 8462].map(|port| server(&stage, ("127.0.0.1", port), Some(&own), &[]));
    let options = ["--kubeconfig", &api.kubeconfig];
    let verdicts = Verdicts::begin(&stage, "webhook-timeout-named-by-the-api", &options);
    let is_told = |object: &Value| object["type"] == "finding" && of_webhook(object, "slow.gate.test", 8461);
    // Those before it has heard of them are not seen.
    until("a webhook that does not answer", || {
        for (port, path) in [(8461, "/hang"), (8462, "/fast")] {
            curl(&stage, &own, port, &[path], &["--max-time", "2"]);
        }
        verdicts.run.has_said(is_told).then_some(())
    });
    let seen = verdicts.end();
    let calls = seen.calls_of("quick.gate.test");
    assert!(calls.iter().any(|call| call["outcome"] == "answered"), "{calls:#?}");
    let quick = |object: &&Value| of_webhook(object, "quick.gate.test", 8462);
    assert_eq!(seen.objects.iter().find(quick), None);
}

/// How often a webhook was told to have answered, by now.
fn answered(run: &Run, name: &str) -> usize {
    let said = run.said();
    let objects = said.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    objects.filter(|object| object["name"] == name && object["outcome"] == "answered").count()
}

#[test]
fn webhooks_that_the_api_names_no_more() {
    let stage = stage();
    let api = Api::begin(&stage);
    let objects = include_str!("../../../../fixtures/kube/webhooks.yaml");
    api.create(&objects.replace("8461", "8463").replace("8462", "8464"));
    let own = Certificate::new(&stage, "own");
    let _servers = [8463, 8464].map(|port| server(&stage, ("127.0.0.1", port), Some(&own), &[]));
    let run = Run::of(&["run", "--probes", SIGHT, "--kubeconfig", &api.kubeconfig]);
    let (stays, goes) = ("slow.gate.test", "quick.gate.test");
    // Both are called, the one that stays last, until that is told of it.
    let calls_both = || {
        let before = answered(&run, stays);
        for port in [8464, 8463] {
            assert_eq!(curl(&stage, &own, port, &["/fast"], &[]).code(), 0, "{port}");
        }
        until("the one that stays", || (answered(&run, stays) > before).then_some(()));
    };
    // Those before it has heard of them are not seen.
    until("both", || {
        for port in [8464, 8463] {
            curl(&stage, &own, port, &["/fast"], &[]);
        }
        [goes, stays].iter().all(|name| answered(&run, name) > 0).then_some(())
    });
    api.delete("mutatingwebhookconfiguration", "gate");
    // A call may be told a little later than one that came after it, but not so much later.
    let told_of_three = || {
        let before = answered(&run, goes);
        (0..3).for_each(|_| calls_both());
        answered(&run, goes) - before
    };
    until("that it is gone", || (told_of_three() == 0).then_some(()));
    let before = answered(&run, goes);
    assert_eq!(told_of_three(), 0);
    assert_eq!(run.end().calls_of(goes).len(), before);
}
