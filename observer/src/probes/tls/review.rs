//! What an AdmissionReview says: a bounded reading of JSON that may be cut anywhere. Only the fields named here are
//! kept; the object that is reviewed is passed over.

/// Levels of nesting that are followed.
const MAX_DEPTH: usize = 64;
/// Bytes of a text that are kept.
const MAX_TEXT: usize = 512;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Review {
    /// It calls itself an AdmissionReview.
    pub is_review: bool,
    pub request_uid: Option<String>,
    pub response_uid: Option<String>,
    pub allowed: Option<bool>,
    pub message: Option<String>,
    pub code: Option<u32>,
    /// The whole of it was there.
    pub is_whole: bool,
}

/// Reads as much as there is.
pub fn scan(json: &[u8]) -> Review {
    let mut scan = Scan { json, at: 0, path: Vec::new(), review: Review::default() };
    scan.review.is_whole = scan.document().is_some();
    scan.review
}

/// A member's name, as far as it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Name {
    Kind,
    Request,
    Response,
    Uid,
    Allowed,
    Status,
    Message,
    Code,
    Other,
}

/// What is open: an object at the member that is read, or an array.
type Path = Vec<(Name, Nest)>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Nest {
    Object,
    Array,
}

struct Scan<'a> {
    json: &'a [u8],
    at: usize,
    path: Path,
    review: Review,
}

impl Scan<'_> {
    /// `None`: it is cut, or no JSON from here on.
    fn document(&mut self) -> Option<()> {
        if self.next()? != b'{' {
            return None;
        }
        self.open_object()?;
        while !self.path.is_empty() {
            self.value_or_end()?;
        }
        Some(())
    }

    /// Behind a `{`: either it is empty, or the path points at its first member.
    fn open_object(&mut self) -> Option<()> {
        if self.path.len() >= MAX_DEPTH {
            return None;
        }
        if self.peek()? == b'}' {
            self.at += 1;
            return self.closed();
        }
        self.path.push((Name::Other, Nest::Object));
        self.member()
    }

    fn open_array(&mut self) -> Option<()> {
        if self.path.len() >= MAX_DEPTH {
            return None;
        }
        if self.peek()? == b']' {
            self.at += 1;
            return self.closed();
        }
        self.path.push((Name::Other, Nest::Array));
        Some(())
    }

    /// `"name":`
    fn member(&mut self) -> Option<()> {
        if self.next()? != b'"' {
            return None;
        }
        let name = match self.text()?.as_str() {
            "kind" => Name::Kind,
            "request" => Name::Request,
            "response" => Name::Response,
            "uid" => Name::Uid,
            "allowed" => Name::Allowed,
            "status" => Name::Status,
            "message" => Name::Message,
            "code" => Name::Code,
            _ => Name::Other,
        };
        self.path.last_mut()?.0 = name;
        (self.next()? == b':').then_some(())
    }

    fn value_or_end(&mut self) -> Option<()> {
        match self.next()? {
            b'{' => self.open_object(),
            b'[' => self.open_array(),
            b'"' => {
                let cut_at = self.at;
                let text = self.text();
                // A message may be cut: its beginning is worth having.
                let text = text.or_else(|| self.is_message().then(|| self.partial(cut_at)))?;
                self.take_text(text);
                self.closed()
            }
            first => {
                self.at -= 1;
                self.word(first)?;
                self.closed()
            }
        }
    }

    /// A value has ended: what follows, as often as something ends with it.
    fn closed(&mut self) -> Option<()> {
        loop {
            let Some(nest) = self.path.last().map(|(_, nest)| *nest) else { return Some(()) };
            match (self.next()?, nest) {
                (b',', Nest::Object) => return self.member(),
                (b',', Nest::Array) => return Some(()),
                (b'}', Nest::Object) | (b']', Nest::Array) => {
                    self.path.pop();
                }
                _ => return None,
            }
        }
    }

    /// A number or one of the three words.
    fn word(&mut self, first: u8) -> Option<()> {
        let rest = &self.json[self.at..];
        let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
        let len = rest.iter().position(|byte| !is_part(byte))?;
        let word = &rest[..len];
        self.at += len;
        match word {
            b"true" => self.take_bool(true),
            b"false" => self.take_bool(false),
            b"null" => {}
            _ if first == b'-' || first.is_ascii_digit() => self.take_number(word),
            _ => return None,
        }
        Some(())
    }

    fn names(&self) -> [Option<Name>; 4] {
        let name = |at: usize| self.path.get(at).map(|(name, _)| *name);
        [name(0), name(1), name(2), name(3)]
    }

    fn is_message(&self) -> bool {
        self.names() == [Some(Name::Response), Some(Name::Status), Some(Name::Message), None]
    }

    fn take_text(&mut self, text: String) {
        match self.names() {
            [Some(Name::Kind), None, ..] => self.review.is_review = text == "AdmissionReview",
            [Some(Name::Request), Some(Name::Uid), None, _] => self.review.request_uid = Some(text),
            [Some(Name::Response), Some(Name::Uid), None, _] => self.review.response_uid = Some(text),
            _ if self.is_message() => self.review.message = Some(text),
            _ => {}
        }
    }

    fn take_bool(&mut self, value: bool) {
        if let [Some(Name::Response), Some(Name::Allowed), None, _] = self.names() {
            self.review.allowed = Some(value);
        }
    }

    fn take_number(&mut self, digits: &[u8]) {
        if let [Some(Name::Response), Some(Name::Status), Some(Name::Code), None] = self.names() {
            self.review.code = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
        }
    }

    fn peek(&mut self) -> Option<u8> {
        while matches!(self.json.get(self.at)?, b' ' | b'\t' | b'\r' | b'\n') {
            self.at += 1;
        }
        self.json.get(self.at).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    /// The text behind a quote, at most [`MAX_TEXT`] bytes of it kept; `None`: it is cut.
    fn text(&mut self) -> Option<String> {
        let rest = &self.json[self.at..];
        let mut end = 0;
        loop {
            match rest.get(end)? {
                b'"' => break,
                b'\\' => end += 2,
                _ => end += 1,
            }
        }
        self.at += end + 1;
        Some(unescape(&rest[..end]))
    }

    fn partial(&self, from: usize) -> String {
        unescape(&self.json[from..])
    }
}

/// Text as it was meant. What is no text, or cut in the middle, is replaced.
fn unescape(escaped: &[u8]) -> String {
    let mut text = Vec::new();
    let mut rest = escaped;
    while let Some((first, behind)) = rest.split_first() {
        if text.len() >= MAX_TEXT {
            break;
        }
        rest = behind;
        if *first != b'\\' {
            text.push(*first);
            continue;
        }
        let Some((code, behind)) = rest.split_first() else { break };
        rest = behind;
        let plain = match code {
            b'n' => b'\n',
            b't' => b'\t',
            b'r' => b'\r',
            b'b' => 8,
            b'f' => 12,
            b'u' => {
                let (character, behind) = unicode(rest);
                rest = behind;
                text.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                continue;
            }
            other => *other,
        };
        text.push(plain);
    }
    let mut end = text.len().min(MAX_TEXT);
    // Not in the middle of a character.
    while end < text.len() && end > 0 && text[end] & 0xc0 == 0x80 {
        end -= 1;
    }
    String::from_utf8_lossy(&text[..end]).into_owned()
}

/// Behind `\u`: a character, of a pair of surrogates where there is one.
fn unicode(rest: &[u8]) -> (char, &[u8]) {
    let Some(first) = four_digits(rest) else { return (char::REPLACEMENT_CHARACTER, rest) };
    let rest = &rest[4..];
    if let 0xd800..0xdc00 = first
        && let Some(pair) = rest.strip_prefix(b"\\u")
        && let Some(second @ 0xdc00..0xe000) = four_digits(pair)
    {
        let both = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
        return (char::from_u32(both).unwrap_or(char::REPLACEMENT_CHARACTER), &pair[4..]);
    }
    (char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER), rest)
}

fn four_digits(text: &[u8]) -> Option<u32> {
    let digits = std::str::from_utf8(text.get(..4)?).ok()?;
    u32::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// What a JSON library finds.
    fn by_library(value: &Value) -> Review {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let (response, status) = (&value["response"], &value["response"]["status"]);
        Review {
            is_review: value["kind"] == "AdmissionReview",
            request_uid: text(&value["request"]["uid"]),
            response_uid: text(&response["uid"]),
            allowed: response["allowed"].as_bool(),
            message: text(&status["message"]),
            code: status["code"].as_u64().map(|code| code as u32),
            is_whole: true,
        }
    }

    fn samples() -> Vec<Value> {
        vec![
            json!({"kind": "AdmissionReview", "response": {"uid": "u-1", "allowed": false,
                "status": {"message": "no \"latest\" \\ tag\n\u{1f6ab} é", "code": 403}}}),
            json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": {"uid": "u-2",
                "object": {"kind": "Secret", "data": {"uid": "not this"}, "list": [[], {}, [1.5e3, -2, null, true]]},
                "uid2": {}}}),
            json!({"kind": "Secret", "data": {"kind": "AdmissionReview", "response": {"allowed": true}}}),
            json!({"list": [{"kind": "AdmissionReview"}], "response": [{"allowed": true}]}),
            json!({}),
            json!({"response": {"allowed": "true", "uid": 7, "status": {"code": -1, "message": ["x"]}}}),
        ]
    }

    #[test]
    fn it_finds_what_a_json_library_finds() {
        for value in samples() {
            for text in [value.to_string(), serde_json::to_string_pretty(&value).unwrap()] {
                assert_eq!(scan(text.as_bytes()), by_library(&value), "{text}");
            }
        }
    }

    #[test]
    fn escapes_of_characters_are_understood() {
        let text = br#"{"response":{"status":{"message":"\u00e9\ud83d\udeab\ud83dx\u12\/"}}}"#;
        assert_eq!(scan(text).message.as_deref(), Some("é🚫\u{fffd}x\u{fffd}12/"));
    }

    /// Whatever is cut off: what is there is found, nothing else is, and the message may be a part of itself.
    #[test]
    fn a_cut_review_gives_what_is_there() {
        for value in samples() {
            let (text, whole) = (value.to_string(), by_library(&value));
            for end in 0..text.len() {
                let found = scan(&text.as_bytes()[..end]);
                assert!(!found.is_whole, "{end} of {text}");
                assert!(!found.is_review || whole.is_review);
                assert!(found.allowed.is_none() || found.allowed == whole.allowed);
                assert!(found.code.is_none() || found.code == whole.code, "{end} of {text}: {found:?}");
                let message = found.message.unwrap_or_default();
                let message = message.trim_end_matches('\u{fffd}');
                assert!(whole.message.clone().unwrap_or_default().starts_with(message), "{message:?}");
            }
        }
    }

    #[test]
    fn what_is_no_json_and_what_is_too_deep_ends_the_reading() {
        for text in
            ["", "[]", "{]", r#"{"a":1 "b":2}"#, r#"{"a":}"#, r#"{"a":tru}"#, r#"{a:1}"#, r#"{"a":1,}"#]
        {
            assert!(!scan(text.as_bytes()).is_whole, "{text}");
        }
        let deep = [&b"{\"a\":"[..]; 100].concat();
        assert_eq!(scan(&deep), Review::default());
        let long = format!(r#"{{"response":{{"status":{{"message":"{}"}}}}}}"#, "é".repeat(4_000));
        assert_eq!(scan(long.as_bytes()).message.map(|message| message.len()), Some(MAX_TEXT));
    }
}
