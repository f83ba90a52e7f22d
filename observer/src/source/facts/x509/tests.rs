//! Certificates that openssl has made, whole and damaged.

use super::*;

/// Until 19 November 2036.
pub(in crate::source::facts) const TEN_YEARS: &str = "\
-----BEGIN CERTIFICATE-----
MIIBhTCCASugAwIBAgIUIlRJdRJZIkid8U23UtHs8gPMlIUwCgYIKoZIzj0EAwIw
GDEWMBQGA1UEAwwNazNzLXNlcnZlci1jYTAeFw0yNjExMjIwMzAyNDBaFw0zNjEx
MTkwMzAyNDBaMBgxFjAUBgNVBAMMDWszcy1zZXJ2ZXItY2EwWTATBgcqhkjOPQIB
BggqhkjOPQMBBwNCAASdYvMKWbGnPt9L/DQQCqsCIZMWiYWf8zDvhvzcRu6h8Bqu
zgIimPHx6bUn13aCdCZxGqUhLdsc1DHlQX9Opfpho1MwUTAdBgNVHQ4EFgQUyqWY
YjwwML1FdsqF9h4pqnDF33QwHwYDVR0jBBgwFoAUyqWYYjwwML1FdsqF9h4pqnDF
33QwDwYDVR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDAgNIADBFAiEA5rWoNGToR5O9
uoNauVOWhiAS4j/splDpRfAAgFgjd7oCIAn89YYTgd78aMG113fthdpW5Iw3mkEb
f5ignVcasZ4o
-----END CERTIFICATE-----
";

/// Until 25 August 2081: beyond what the short notation can say.
pub(in crate::source::facts) const LONG: &str = "\
-----BEGIN CERTIFICATE-----
MIIBdDCCARugAwIBAgIUT5YETrtc/kwi2Toy81bjCZ35UoAwCgYIKoZIzj0EAwIw
DzENMAsGA1UEAwwEbG9uZzAgFw0yNjExMjIwMzAyNDBaGA8yMDgxMDgyNTAzMDI0
MFowDzENMAsGA1UEAwwEbG9uZzBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABO2F
AJMc1JMeLX39d8U3tw6PF+weil8hgPR7M3+mv5Jl+rE3dL8fv+b/bpiXFQQOhn7O
K1tEu4D/j6VZ0araJl6jUzBRMB0GA1UdDgQWBBRQZ83aMJLE8fJuDn9j/gGGDFCX
4DAfBgNVHSMEGDAWgBRQZ83aMJLE8fJuDn9j/gGGDFCX4DAPBgNVHRMBAf8EBTAD
AQH/MAoGCCqGSM49BAMCA0cAMEQCIB1f4imCA4uuYsOXqpx0xIIYN31NOs/eWjkZ
X4Es7fPqAiBqodzN/boAqKEx1QHQYdPSWUFeO2rCmMGudSnJLgxq3Q==
-----END CERTIFICATE-----
";

#[test]
fn either_notation_of_time_is_read() {
    assert_eq!(not_after(TEN_YEARS), Some(2_110_676_560));
    assert_eq!(not_after(LONG), Some(3_523_316_560));
}

#[test]
fn the_first_of_a_chain_counts() {
    assert_eq!(not_after(&format!("bag of words\n{TEN_YEARS}{LONG}")), Some(2_110_676_560));
    assert_eq!(not_after(&format!("{LONG}{TEN_YEARS}")), Some(3_523_316_560));
}

#[test]
fn what_is_no_certificate_has_no_end() {
    assert_eq!(not_after(""), None);
    assert_eq!(not_after(&TEN_YEARS.replace("CERTIFICATE", "EC PRIVATE KEY")), None);
    assert_eq!(not_after(&TEN_YEARS.replace("MIIB", "M\u{ff}IB")), None);
    // Cut anywhere before its validity ends, it says nothing; after that it does.
    let (_, body) = TEN_YEARS.split_once("-----\n").expect("a header");
    let whole = decode(body.split_once("-----").expect("an end").0).expect("base64");
    for len in 0..whole.len() {
        assert_eq!(valid_until(&whole[..len]), None, "{len}");
    }
    assert!(valid_until(&whole).is_some());
}

#[test]
fn the_short_notation_is_of_this_century_until_2049() {
    assert_eq!(seconds(UTC_TIME, "700101000000Z"), Some(0));
    assert_eq!(seconds(UTC_TIME, "490101000000Z"), seconds(GENERALIZED_TIME, "20490101000000Z"));
    assert_eq!(seconds(UTC_TIME, "491301000000Z"), None);
    assert_eq!(seconds(GENERALIZED_TIME, "20490101000000"), None);
}
