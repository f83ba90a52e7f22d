use opentelemetry_proto::tonic::collector::trace::v1::ExportTracePartialSuccess;

use super::*;

fn answer(status: u16, retry_after: Option<&str>) -> Failure {
    let mut answer = Response::builder().status(status);
    if let Some(pause) = retry_after {
        answer = answer.header(header::RETRY_AFTER, pause);
    }
    answered(&answer.body(Bytes::new()).unwrap()).unwrap_err()
}

fn is_transient(failure: &Failure) -> bool {
    matches!(failure, Failure::Transient { .. })
}

#[test]
fn only_answers_that_may_change_are_worth_another_attempt() {
    for status in [429, 502, 503, 504] {
        assert!(is_transient(&answer(status, None)), "{status}");
    }
    for status in [301, 400, 401, 404, 413, 500, 501] {
        assert!(!is_transient(&answer(status, None)), "{status}");
    }
    for code in (0..=16).map(Code::from_i32) {
        let again = [
            Code::Cancelled,
            Code::DeadlineExceeded,
            Code::Aborted,
            Code::OutOfRange,
            Code::DataLoss,
            Code::Unavailable,
        ];
        assert_eq!(is_transient(&refused(&Status::new(code, "why"))), again.contains(&code), "{code:?}");
    }
}

#[test]
fn a_collector_may_ask_for_a_pause_within_bounds() {
    let pause = |text: &str| match answer(503, Some(text)) {
        Failure::Transient { pause, .. } => pause,
        other => panic!("{other:?}"),
    };
    assert_eq!(pause(" 2 "), Some(Duration::from_secs(2)));
    assert_eq!(pause("99999999"), Some(MAX_ASKED_PAUSE));
    assert_eq!(pause("-1"), None);
    assert_eq!(pause("Fri, 31 Dec 1999 23:59:59 GMT"), None);
}

#[test]
fn a_partial_success_says_what_was_rejected() {
    let of = |rejected_spans| {
        let partial = ExportTracePartialSuccess { rejected_spans, error_message: "too old".into() };
        taken(ExportTraceServiceResponse { partial_success: Some(partial) })
    };
    assert_eq!(of(3), Taken { rejected_spans: 3, message: "too old".into() });
    assert_eq!(of(-3).rejected_spans, 0);
    assert_eq!(taken(ExportTraceServiceResponse::default()), Taken::default());
}
