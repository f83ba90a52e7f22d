use super::*;
use crate::{
    input::{Input, KubeService, KubeSlice},
    model::Model,
};

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn state(answers: Vec<(KubeKind, Kube)>) -> KubeState {
    let mut state = KubeState::default();
    answers.into_iter().for_each(|(kind, answer)| state.take(kind, &Ok(answer)));
    state
}

fn service() -> KubeService {
    KubeService {
        namespace: "shop".to_owned(),
        name: "web".to_owned(),
        addresses: vec![address("10.43.0.9")],
        ports: vec![("https".to_owned(), 443)],
    }
}

fn slice(ready: &[&str]) -> KubeSlice {
    KubeSlice {
        namespace: "shop".to_owned(),
        service: "web".to_owned(),
        ready: ready.iter().map(|text| address(text)).collect(),
        ports: vec![("https".to_owned(), 8443), ("metrics".to_owned(), 9090)],
    }
}

#[test]
fn a_service_is_known_only_with_its_endpoints() {
    let alone = state(vec![(KubeKind::Services, Kube::Services(vec![service()]))]);
    assert_eq!(alone.service_at(address("10.43.0.9"), 443), None, "what is ready is not known");
    let with = |slices: Vec<KubeSlice>| {
        state(vec![
            (KubeKind::Services, Kube::Services(vec![service()])),
            (KubeKind::Slices, Kube::Slices(slices)),
        ])
    };
    let ready = |state: &KubeState| state.service_at(address("10.43.0.9"), 443).map(|service| service.ready);
    assert_eq!(ready(&with(Vec::new())), Some(0));
    assert_eq!(ready(&with(vec![slice(&["10.42.0.2"]), slice(&["10.42.0.2", "10.42.0.3"])])), Some(2));
    assert_eq!(with(Vec::new()).service_at(address("10.43.0.9"), 80), None, "that port is nobody's");
}

#[test]
fn what_is_refused_later_is_known_no_more() {
    let mut state = state(vec![(KubeKind::Services, Kube::Services(vec![service()]))]);
    let error = LookupError { what: "the Kubernetes API".to_owned(), why: "403".to_owned() };
    state.take(KubeKind::Services, &Err(error));
    assert!(state.services().is_none() && state.refusals().count() == 1);
    // An answer of one kind to a question for another is none.
    state.take(KubeKind::Pods, &Ok(Kube::Services(vec![service()])));
    assert!(state.pods().is_none());
}

fn policy(name: &str, key: &str, how: Requires, values: &[&str], ingress: Option<Allows>) -> KubePolicy {
    let values = values.iter().map(|value| (*value).to_owned()).collect();
    KubePolicy {
        namespace: "shop".to_owned(),
        name: name.to_owned(),
        created: 100,
        selector: vec![KubeRequirement { key: key.to_owned(), how, values }],
        ingress,
        egress: None,
    }
}

#[test]
fn a_pod_is_isolated_only_if_no_policy_lets_anybody_in() {
    let pod = KubePod {
        namespace: "shop".to_owned(),
        name: "db".to_owned(),
        labels: BTreeMap::from([("app".to_owned(), "db".to_owned())]),
        ..KubePod::default()
    };
    let (nothing, some) = (Some(Allows::Nothing), Some(Allows::Some));
    let isolated = |policies: Vec<KubePolicy>, since: i64| {
        let state = state(vec![(KubeKind::Policies, Kube::Policies(policies))]);
        state.isolates(&pod, Way::In, since).map(|policy| policy.name.clone())
    };
    let deny = || policy("deny", "app", Requires::In, &["db"], nothing);
    assert_eq!(isolated(vec![deny()], 200).as_deref(), Some("deny"));
    assert_eq!(isolated(vec![deny()], 100), None, "too young");
    assert_eq!(isolated(vec![deny(), policy("let", "app", Requires::Exists, &[], some)], 200), None);
    let others = policy("others", "app", Requires::NotIn, &["db"], some);
    assert_eq!(isolated(vec![deny(), others], 200).as_deref(), Some("deny"), "of others");
    let unreadable = policy("new", "app", Requires::Other, &[], some);
    assert_eq!(isolated(vec![deny(), unreadable], 200), None, "nobody knows whom it selects");
    assert_eq!(isolated(vec![policy("out", "app", Requires::In, &["db"], None)], 200), None);
    let state = state(vec![(KubeKind::Policies, Kube::Policies(vec![deny()]))]);
    assert_eq!(state.isolates(&pod, Way::Out, 200), None);
}

#[test]
fn webhooks_are_at_their_service_and_behind_it_until_no_configuration_names_them() {
    let webhook = |name: &str| KubeWebhook {
        name: name.to_owned(),
        timeout_s: 3,
        fails: true,
        service: Some(("shop".to_owned(), "web".to_owned(), 443, Some(format!("/{name}")))),
    };
    let by_url = KubeWebhook { service: None, ..webhook("elsewhere") };
    let mut model = Model::new(0, true);
    let say = |model: &mut Model, kind, result: Result<Kube, LookupError>| {
        let what = FactKind::Kube { kind, result: Box::new(result) };
        model.step(&Input::Fact(Fact { time: Time(1), what }), &mut |_| {});
    };
    let watched = |model: &Model| {
        let places = model.webhook_places().iter().enumerate().filter(|(_, place)| place.is_watched);
        places.map(|(at, it)| format!("{at} {}:{}", it.target.title(), it.target.port)).collect::<Vec<_>>()
    };
    say(&mut model, KubeKind::Services, Ok(Kube::Services(vec![service()])));
    say(&mut model, KubeKind::Slices, Ok(Kube::Slices(vec![slice(&["10.42.0.3"])])));
    say(
        &mut model,
        KubeKind::ValidatingWebhooks,
        Ok(Kube::Webhooks(vec![by_url, webhook("a"), webhook("b")])),
    );
    assert_eq!(watched(&model), ["0 a:443", "1 a:8443", "2 b:443", "3 b:8443"]);
    assert_eq!(model.webhook_places()[0].target.timeout_ns, Some(3_000_000_000));
    // A backend that is not ready any more may be called yet.
    say(&mut model, KubeKind::Slices, Ok(Kube::Slices(vec![slice(&["10.42.0.1"])])));
    assert_eq!(watched(&model).len(), 6);
    // While the other list is not known nothing is known to be gone; nor where one is refused.
    say(&mut model, KubeKind::ValidatingWebhooks, Ok(Kube::Webhooks(vec![webhook("b")])));
    assert_eq!(watched(&model).len(), 6);
    say(&mut model, KubeKind::MutatingWebhooks, Ok(Kube::Webhooks(Vec::new())));
    let of_b = ["2 b:443", "3 b:8443", "5 b:8443"];
    assert_eq!(watched(&model), of_b);
    let refusal = LookupError { what: "the Kubernetes API".to_owned(), why: "403".to_owned() };
    say(&mut model, KubeKind::ValidatingWebhooks, Err(refusal));
    assert_eq!(watched(&model), of_b);
    let mut again = Model::new(0, true);
    model.open_inputs(Time(2)).iter().for_each(|input| again.step(input, &mut |_| {}));
    assert_eq!(again.webhook_places(), model.webhook_places(), "a recording that begins here has the same");
}
