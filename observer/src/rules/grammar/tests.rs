use super::*;

fn refusal(text: &str) -> String {
    Condition::parse(text).unwrap_err()
}

#[test]
fn everything_that_can_be_said() {
    let text = "dns.lookup_failed_count{outcome=timeout|servfail, drop!=x} >= 3 over 300s spanning 30s \
                since dns.lookup_answered_count{qtype=A, zone~cluster} at other backend";
    let condition = Condition::parse(text).unwrap();
    assert_eq!(condition.func, Func::Sum);
    assert_eq!(condition.of.signal, Signal::DnsFailed);
    assert_eq!(condition.of.matchers[0].values, ["timeout", "servfail"]);
    assert_eq!(condition.of.matchers[1].how, How::IsNoneOf);
    assert_eq!((condition.op, condition.bound), (Op::AtLeast, 3.0));
    assert_eq!((condition.over, condition.spanning), (Period::seconds(300), Some(Period::seconds(30))));
    assert_eq!(condition.since.unwrap().matchers.len(), 2);
    assert_eq!(condition.place, Place::Other(Label::Backend));
}

#[test]
fn measured_values_are_taken_at_their_highest_unless_said_otherwise() {
    let func = |text| Condition::parse(text).unwrap().func;
    assert_eq!(func("stdio.blocked_ms >= 5000 over 10s"), Func::Max);
    assert_eq!(func("min(cpu.throttled_percent) >= 25 over 1m"), Func::Min);
}

#[test]
fn what_is_wrong_is_said_with_what_comes_nearest() {
    assert_eq!(
        refusal("dns.lookup_faild_count >= 3 over 300s"),
        "there is no signal \"dns.lookup_faild_count\"; the nearest is \"dns.lookup_failed_count\""
    );
    assert!(refusal("dns.lookup_failed_count{outcom=x} >= 3 over 300s").contains("nearest is \"outcome\""));
    assert!(refusal("dns.lookup_failed_count >= 3").contains("over no time"));
    assert!(refusal("dns.lookup_failed_count >= 3 over 5 minutes").contains("is no time"));
    assert!(refusal("dns.lookup_failed_count >= many over 5m").contains("is no number"));
    assert!(refusal("dns.lookup_failed_count >= 3 over 5m near server").contains("there is no word"));
    assert!(refusal("avg(stdio.blocked_ms) >= 3 over 5m").contains("there is no function"));
    assert!(refusal("stdio.blocked_ms over 5m").contains("compares nothing"));
}

#[test]
fn labels_that_are_not_known_are_no_others() {
    let takes = |text, value| Selector::parse(text).unwrap().takes(|_| value);
    assert!(takes("dns.lookup_failed_count{outcome=timeout}", Some("timeout")));
    assert!(!takes("dns.lookup_failed_count{outcome=timeout}", None));
    assert!(takes("dns.lookup_failed_count{outcome!=timeout}", None));
    assert!(takes("dns.lookup_failed_count{outcome~time}", Some("timeout")));
    assert!(!takes("dns.lookup_failed_count{outcome!=timeout|refused}", Some("refused")));
}
