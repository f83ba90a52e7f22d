//! Tokens that match and that do not, and files that are none; certificates are the live tests'.

use std::fs;

use http::HeaderValue;
use tempfile::TempDir;

use super::*;

const PLANTED: &str = "planted-where-nobody-may-find-it";

/// A file of these bytes.
fn file(dir: &TempDir, name: &str, text: &str) -> PathBuf {
    let path = dir.path().join(name);
    fs::write(&path, text).unwrap();
    path
}

fn of_token(dir: &TempDir, text: &str) -> Result<Guard, ReceiverError> {
    Guard::open(GuardFiles { token: Some(file(dir, "token", text)), ..GuardFiles::default() })
}

fn admits(guard: &Guard, value: &str) -> bool {
    let mut headers = HeaderMap::new();
    headers.insert(header::AUTHORIZATION, HeaderValue::from_str(value).unwrap());
    guard.admits(&headers)
}

#[test]
fn only_the_token_itself_is_taken_and_it_is_shown_nowhere() {
    let dir = TempDir::new().unwrap();
    let guard = of_token(&dir, &format!("{PLANTED}\n")).unwrap();
    assert!(!guard.admits(&HeaderMap::new()));
    for (value, is) in [
        (format!("Bearer {PLANTED}"), true),
        (format!("bearer  {PLANTED} "), true),
        (PLANTED.to_owned(), false),
        (format!("Basic {PLANTED}"), false),
        (format!("Bearer {PLANTED}x"), false),
        ("Bearer ".to_owned(), false),
    ] {
        assert_eq!(admits(&guard, &value), is, "{value}");
    }
    assert!(!format!("{guard:?}{guard}").contains(PLANTED));
    assert_eq!(guard.to_string(), " (with a token)");
    assert!(Guard::open(GuardFiles::default()).unwrap().admits(&HeaderMap::new()), "nothing was asked for");
}

#[test]
fn a_token_that_was_renewed_is_the_only_one_and_a_broken_one_changes_nothing() {
    let dir = TempDir::new().unwrap();
    let guard = of_token(&dir, "first").unwrap();
    file(&dir, "token", "second");
    assert!(admits(&guard, "Bearer first"), "it was not read yet");
    guard.renew().unwrap();
    assert!(admits(&guard, "Bearer second") && !admits(&guard, "Bearer first"));
    file(&dir, "token", "");
    assert!(guard.renew().unwrap_err().to_string().ends_with("it holds no token"));
    fs::remove_file(dir.path().join("token")).unwrap();
    assert!(guard.renew().is_err());
    assert!(admits(&guard, "Bearer second") && !admits(&guard, "Bearer "));
}

#[test]
fn what_is_missing_or_wrong_is_said_and_holds_no_secret() {
    let dir = TempDir::new().unwrap();
    let no_pem = Some(file(&dir, "no-pem", PLANTED));
    let halves =
        |certificate: &Option<PathBuf>, key: &Option<PathBuf>, clients: &Option<PathBuf>| GuardFiles {
            certificate: certificate.clone(),
            key: key.clone(),
            clients: clients.clone(),
            token: None,
        };
    let absent = Some(dir.path().join("absent"));
    for (files, says) in [
        (halves(&no_pem, &None, &None), "--otlp-listen-cert: it is of no use without --otlp-listen-key"),
        (halves(&None, &no_pem, &None), "--otlp-listen-key: it is of no use without --otlp-listen-cert"),
        (halves(&None, &None, &no_pem), "--otlp-listen-client-ca: it is of no use without"),
        (halves(&no_pem, &no_pem, &None), "no-pem: it holds no certificate"),
        (halves(&absent, &no_pem, &None), "--otlp-listen-cert: cannot read"),
        (
            GuardFiles { token: Some("/dev/zero".into()), ..GuardFiles::default() },
            "no file that could be meant",
        ),
    ] {
        let error = Guard::open(files).unwrap_err().to_string();
        assert!(error.contains(says) && !error.contains(PLANTED), "{error}");
    }
    for text in [format!("{PLANTED} {PLANTED}"), format!("a\n{PLANTED}")] {
        let error = of_token(&dir, &text).unwrap_err().to_string();
        assert!(error.contains("holds more than a token") && !error.contains(PLANTED), "{error}");
    }
}

#[test]
fn other_machines_need_a_certificate_and_proof() {
    let some = || Some(PathBuf::from("/f"));
    let (certificate, key) = (some(), some());
    let guarded = GuardFiles { certificate, key, token: some(), clients: None };
    assert!(guarded.suffice());
    assert!(GuardFiles { token: None, clients: some(), ..guarded.clone() }.suffice());
    for lacks in [
        GuardFiles { token: None, ..guarded.clone() },
        GuardFiles { key: None, ..guarded.clone() },
        GuardFiles { certificate: None, ..guarded },
    ] {
        assert!(!lacks.suffice(), "{lacks:?}");
        let settings = super::super::ReceiverSettings::resolve(Some("0.0.0.0:0"), None, lacks.clone());
        assert!(settings.unwrap_err().to_string().contains("neither encrypted"), "{lacks:?}");
        let error = super::super::ReceiverSettings::resolve(None, None, lacks).unwrap_err().to_string();
        assert!(error.contains("nothing is received"), "{error}");
    }
}
