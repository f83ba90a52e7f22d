//! The head of a request: whether it is one, and its `traceparent`
//! (<https://www.w3.org/TR/trace-context/#traceparent-header>).

use super::Parent;

const NAME: &[u8] = b"traceparent";
/// `00-` 32 digits `-` 16 digits `-` 2 digits.
const LEN: usize = 55;

/// `None`: it is no request of HTTP/1. Within, `None`: it says nothing valid of a trace, or not once, or what says it is cut.
pub(super) fn context(head: &[u8]) -> Option<Option<Parent>> {
    let mut lines = Lines(head);
    let (_, rest) = split(lines.next()?, b' ')?;
    let version = rest.rsplit(|byte| *byte == b' ').next()?;
    if !version.starts_with(b"HTTP/1.") {
        return None;
    }
    let mut said = lines.filter_map(|line| {
        let (name, value) = split(line, b':')?;
        name.eq_ignore_ascii_case(NAME).then(|| parent(value.trim_ascii()))
    });
    let first = said.next().flatten();
    // Who is told two parents is told none.
    Some(first.filter(|_| said.next().is_none()))
}

/// Whole lines, up to the empty one.
struct Lines<'a>(&'a [u8]);

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (line, rest) = split(self.0, b'\n')?;
        self.0 = rest;
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        (!line.is_empty()).then_some(line)
    }
}

fn split(text: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let at = text.iter().position(|byte| *byte == at)?;
    Some((&text[..at], &text[at + 1..]))
}

/// The value of a `traceparent`.
pub(in crate::probes) fn parent(value: &[u8]) -> Option<Parent> {
    let (known, more) = value.split_at_checked(LEN)?;
    let [version] = hex(&known[..2])?;
    // Later versions may say more, behind a hyphen; 255 is none.
    let is_whole = more.is_empty() || version != 0 && more[0] == b'-';
    let hyphens = [2, 35, 52].iter().all(|at| known[*at] == b'-');
    if version == 0xff || !is_whole || !hyphens {
        return None;
    }
    let [flags] = hex(&known[53..])?;
    let found = Parent { trace: hex(&known[3..35])?, span: hex(&known[36..52])?, flags };
    (found.trace != [0; 16] && found.span != [0; 8]).then_some(found)
}

/// Lower case only, as the specification has it.
fn hex<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    if digits.len() != 2 * N {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

fn digit(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    const SPAN: &str = "b7ad6b7169203331";

    fn request(lines: &str) -> Option<Option<Parent>> {
        context(format!("GET /a?secret=1 HTTP/1.1\r\nHost: x\r\n{lines}\r\n").as_bytes())
    }

    fn of(value: &str) -> Option<Parent> {
        request(&format!("TraceParent:  {value} \r\n")).expect("a request")
    }

    #[test]
    fn a_parent_is_read_whatever_its_name_s_case() {
        let found = of(&format!("00-{TRACE}-{SPAN}-01")).unwrap();
        assert_eq!((found.trace[0], found.trace[15], found.span[0], found.flags), (0x0a, 0x9c, 0xb7, 1));
        assert!(found.is_sampled());
        assert!(!of(&format!("00-{TRACE}-{SPAN}-00")).unwrap().is_sampled());
        // Of a later version what is known is read.
        assert_eq!(of(&format!("01-{TRACE}-{SPAN}-01-more")), Some(found));
        assert_eq!(of(&format!("cc-{TRACE}-{SPAN}-01")), Some(found));
    }

    #[test]
    fn what_is_not_valid_is_none() {
        let zeros = "0".repeat(32);
        for wrong in [
            format!("00-{zeros}-{SPAN}-01"),
            format!("00-{TRACE}-{}-01", &zeros[..16]),
            format!("ff-{TRACE}-{SPAN}-01"),
            format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
            format!("00-{TRACE}-{SPAN}-01-more"),
            format!("01-{TRACE}-{SPAN}-01.more"),
            format!("00-{TRACE}-{SPAN}-1"),
            format!("00-{TRACE}-{SPAN}-0g"),
            format!("00_{TRACE}-{SPAN}-01"),
            String::new(),
        ] {
            assert_eq!(of(&wrong), None, "{wrong}");
        }
        let valid = format!("traceparent: 00-{TRACE}-{SPAN}-01\r\n");
        assert!(request(&valid).unwrap().is_some());
        assert_eq!(request(&valid.repeat(2)), Some(None), "two of them");
        assert_eq!(request(&format!("x-{valid}")), Some(None), "another header");
        assert_eq!(request(&format!("\r\n{valid}")), Some(None), "in the body");
    }

    #[test]
    fn what_is_cut_says_nothing() {
        let whole = format!("GET / HTTP/1.1\r\ntraceparent: 00-{TRACE}-{SPAN}-01\r\n\r\n");
        assert!(context(whole.as_bytes()).unwrap().is_some());
        for len in 0..whole.len() - 2 {
            assert_eq!(context(&whole.as_bytes()[..len]).flatten(), None, "{len}");
        }
    }

    #[test]
    fn what_is_no_request_is_nothing() {
        for other in ["", "GET key\r\n", "POST / HTTP/2.0\r\n\r\n", "GET \r\n", "\r\n"] {
            assert_eq!(context(other.as_bytes()), None, "{other:?}");
        }
    }
}
