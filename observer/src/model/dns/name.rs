//! Which names a resolver may ask one after the other for one look-up.

/// What is looked up, if two names are steps through a list of search domains: they begin alike, and what follows is
/// nothing in one of them (the name itself), or the end of what follows in the other (`shop.svc.cluster.local` and
/// `svc.cluster.local`, as Kubernetes has it).
pub fn base(one: &str, other: &str) -> Option<String> {
    let (one, other): (Vec<&str>, Vec<&str>) = (labels(one), labels(other));
    let alike = one.iter().zip(&other).take_while(|(one, other)| one == other).count();
    let (rest, other_rest) = (&one[alike..], &other[alike..]);
    let are_steps =
        rest.len() != other_rest.len() && (rest.ends_with(other_rest) || other_rest.ends_with(rest));
    (alike > 0 && are_steps).then(|| one[..alike].join("."))
}

/// Whether a name is this one, or this one in some domain.
pub fn begins_with(name: &str, base: &str) -> bool {
    labels(name).starts_with(&labels(base))
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
            let asked = base(one, other).unwrap_or_else(|| panic!("{one} {other}"));
            assert_eq!(base(other, one), Some(asked.clone()));
            assert!(asked == "db" || asked == "api.example.com", "{asked}");
            assert!(begins_with(one, &asked) && begins_with(other, &asked));
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
            assert_eq!((base(one, other), base(other, one)), (None, None), "{one} {other}");
        }
    }

    #[test]
    fn a_name_in_a_domain_begins_with_it() {
        assert!(begins_with("api.example.com.ec2.internal", "api.example.com"));
        assert!(!begins_with("api.example.community", "api.example.com"));
        assert!(!begins_with("example.com", "api.example.com"));
    }

    #[test]
    fn a_zone_is_the_end_of_a_name() {
        assert_eq!(zone("db.shop.svc.cluster.local"), "cluster.local");
        assert_eq!(zone("localhost"), "localhost");
        assert_eq!(zone("."), ".");
        assert_eq!(zone("a.b\\.c.test"), "b\\.c.test");
    }
}
