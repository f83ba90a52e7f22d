//! What looks like a secret in a line, replaced. It errs on the side of replacing too much.

use std::borrow::Cow;

use regex::bytes::{Captures, Regex, RegexBuilder, Replacer};

const REDACTED: &[u8] = b"[redacted]";

/// Patterns of secrets. What the groups named `keep` and `end` find stays.
const SECRETS: &[&str] = &[
    // Keys, whatever they were made for.
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*",
    // `https://user:password@host`.
    r"(?i)(?<keep>[a-z][a-z0-9+.-]*://)[^/\s\x22'@]+(?<end>@)",
    // Headers, of any scheme.
    r"(?i)(?<keep>\b(?:proxy-)?authorization\b[\x22']?\s*[:=]\s*[\x22'\[]?)(?:(?:digest|oauth|aws4-\S+)\s.*|(?:[a-z]+\s+)?[^\s\x22'\]]+)",
    r"(?i)(?<keep>\b(?:set-)?cookie\b[\x22']?\s*[:=]\s*[\x22']?)[^\x22'\r\n]+",
    r"(?i)(?<keep>\b(?:bearer|basic|digest|negotiate)\s+)[a-z0-9._~+/=-]{6,}",
    // `password=..`, `"apiKey": ".."`, `?access_token=..`, `X-Amz-Signature=..`.
    r"(?ix)(?<keep>[a-z0-9_.-]*
        (?:passw(?:or)?d|passphrase|pwd|secret|token|api_?-?key|access_?-?key|private_?-?key|signature|credential|session_?-?id)
        [a-z0-9_.-]*[\x22']?\s*[:=]\s*)(?:\x22[^\x22]*\x22?|'[^']*'?|[^\s\x22'&,;]+)",
    // `--token ..`.
    r"(?i)(?<keep>--?[a-z0-9-]*(?:password|secret|token|key)\s+)[^\s-]\S*",
    // JSON web tokens; what K3s, GitHub, GitLab, Slack and AWS give out.
    r"\beyJ[A-Za-z0-9_-]{4,}(?:\.[A-Za-z0-9_-]*){0,2}",
    r"\bK10[0-9a-f]{16,}\S*",
    r"\b(?:gh[a-z]_|github_pat_|glpat-|xox[a-z]-|AKIA|ASIA)[A-Za-z0-9_-]{10,}",
];

/// Longer runs of letters and digits that are neither words nor digests are taken for secrets.
const RUN: &str = r"[A-Za-z0-9+_=-]{32,}";

#[derive(Debug)]
pub struct Redactor {
    secrets: Vec<Regex>,
    run: Option<Regex>,
}

impl Default for Redactor {
    fn default() -> Redactor {
        let build = |pattern: &&str| RegexBuilder::new(pattern).unicode(false).build().ok();
        Redactor { secrets: SECRETS.iter().filter_map(build).collect(), run: build(&RUN) }
    }
}

impl Redactor {
    pub fn redact(&self, line: &[u8]) -> Vec<u8> {
        let mut line = Cow::Borrowed(line);
        for secret in &self.secrets {
            line = Cow::Owned(secret.replace_all(&line, Kept).into_owned());
        }
        match &self.run {
            Some(run) => run.replace_all(&line, Run).into_owned(),
            None => line.into_owned(),
        }
    }
}

struct Kept;

impl Replacer for Kept {
    fn replace_append(&mut self, captures: &Captures<'_>, to: &mut Vec<u8>) {
        let group = |name| captures.name(name).map_or(&b""[..], |group| group.as_bytes());
        to.extend_from_slice(group("keep"));
        to.extend_from_slice(REDACTED);
        to.extend_from_slice(group("end"));
    }
}

struct Run;

impl Replacer for Run {
    fn replace_append(&mut self, captures: &Captures<'_>, to: &mut Vec<u8>) {
        let run = captures.get(0).map_or(&b""[..], |group| group.as_bytes());
        let has = |is: fn(&u8) -> bool| run.iter().any(is);
        let is_mixed = has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase) && has(u8::is_ascii_digit);
        to.extend_from_slice(if is_mixed { REDACTED } else { run });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redacted(line: &str) -> String {
        String::from_utf8(Redactor::default().redact(line.as_bytes())).unwrap()
    }

    #[test]
    fn every_pattern_is_one() {
        let redactor = Redactor::default();
        assert_eq!((redactor.secrets.len(), redactor.run.is_some()), (SECRETS.len(), true));
    }

    #[test]
    fn secrets_are_replaced() {
        let hidden = "hunter2SECRET";
        for line in [
            "password=hunter2SECRET",
            "user=a password = hunter2SECRET host=b",
            r#"{"dbPassword":"hunter2SECRET, and more"}"#,
            "--token hunter2SECRET",
            "--registry-password=hunter2SECRET",
            "GET /v1?access_token=hunter2SECRET&x=1",
            "Authorization: Basic hunter2SECRET",
            "authorization=[Negotiate hunter2SECRET]",
            "sent Bearer hunter2SECRET to it",
            "authorization: Digest username=\"a\", response=\"hunter2SECRET\"",
            "Cookie: session=hunter2SECRET; b=hunter2SECRET",
            "pull https://me:hunter2SECRET@registry.example/x failed",
            "redis://:hunter2SECRET@10.0.0.1:6379",
            "client_secret: 'hunter2SECRET with blanks'",
            "eyJhbGciOiJIUzI1NiJ9.hunter2SECRET.c2lnbmF0dXJl",
            "K10aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa::server:hunter2SECRET",
            "ghp_hunter2SECRET0123456789",
            "-----BEGIN RSA PRIVATE KEY----- hunter2SECRET",
            "the key is Zm9vYmFyhunter2SECRETMDEyMzQ1Njc4OTAx",
        ] {
            let seen = redacted(line);
            assert!(seen.contains("[redacted]") && !seen.contains(hidden), "{line}: {seen}");
        }
    }

    #[test]
    fn what_says_what_is_wrong_stays() {
        let digest = "0123456789abcdef".repeat(4);
        for line in [
            r#"failed calling webhook "validation.gatekeeper.sh": context deadline exceeded"#,
            &format!(r#"PullImage "registry.example:5000/a/b@sha256:{digest}" failed"#),
            "token CA hash does not match the Cluster CA certificate hash",
            "unexpected status from HEAD request to http://127.0.0.1:5000/v2/a/manifests/1: 401 Unauthorized",
            "failed to authorize: insufficient_scope: authorization failed",
            "write /var/lib/rancher/k3s/server/db/state.db: no space left on device",
        ] {
            assert_eq!(redacted(line), line);
        }
    }
}
