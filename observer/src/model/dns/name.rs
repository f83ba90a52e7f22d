//! Which names a resolver may ask one after the other for one look-up.

/// Whether two names may be steps through a list of search domains: they begin alike, and what follows is nothing in
/// one of them (the name itself), or the end of what follows in the other (`shop.svc.cluster.local` and
/// `svc.cluster.local`, as Kubernetes has it).
pub fn are_steps(one: &str, other: &str) -> bool {
    let (one, other): (Vec<&str>, Vec<&str>) = (labels(one), labels(other));
    let alike = one.iter().zip(&other).take_while(|(one, other)| one == other).count();
    let (rest, other_rest) = (&one[alike..], &other[alike..]);
    alike > 0 && rest.len() != other_rest.len() && (rest.ends_with(other_rest) || other_rest.ends_with(rest))
}

/// Backslashes escape dots inside of labels.
fn labels(name: &str) -> Vec<&str> {
    let mut labels = Vec::new();
    let (mut start, mut escaped) = (0, false);
    for (at, byte) in name.bytes().enumerate() {
        if byte == b'.' && !escaped {
            labels.push(&name[start..at]);
            start = at + 1;
        }
        escaped = byte == b'\\' && !escaped;
    }
    if start < name.len() {
        labels.push(&name[start..]);
    }
    labels
}

/// What a name is counted under: its last two labels.
pub fn zone(name: &str) -> String {
    let labels = labels(name);
    let zone = labels[labels.len().saturating_sub(2)..].join(".");
    if zone.is_empty() { ".".to_owned() } else { zone }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_through_search_domains_belong_together() {
        for (one, other) in [
            ("db.shop.svc.cluster.local", "db.svc.cluster.local"),
            ("db.svc.cluster.local", "db.cluster.local"),
            ("db.cluster.local", "db"),
            ("api.example.com.shop.svc.cluster.local", "api.example.com"),
            ("api.example.com", "api.example.com.corp.test"),
        ] {
            assert!(are_steps(one, other) && are_steps(other, one), "{one} {other}");
        }
    }

    #[test]
    fn other_names_do_not() {
        for (one, other) in [
            ("www.a.test", "www.b.test"),
            ("db.shop.test", "cache.shop.test"),
            ("a.test", "a.test"),
            ("a\\.b.test", "a.b.test"),
            (".", "test"),
        ] {
            assert!(!are_steps(one, other) && !are_steps(other, one), "{one} {other}");
        }
    }

    #[test]
    fn a_zone_is_the_end_of_a_name() {
        assert_eq!(zone("db.shop.svc.cluster.local"), "cluster.local");
        assert_eq!(zone("localhost"), "localhost");
        assert_eq!(zone("."), ".");
        assert_eq!(zone("a.b\\.c.test"), "b\\.c.test");
    }
}
