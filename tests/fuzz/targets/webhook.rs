//! First bytes of messages and of TLS handshakes: whatever they are, what is kept of them is a part of them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use observer::probes::webhook::{Target, head};

fuzz_target!(|bytes: &[u8]| {
    // Bad bytes may have grown threefold.
    let most = 3 * bytes.len();
    if let Some(request) = head::request(bytes) {
        assert!(bytes.starts_with(request.method.as_bytes()));
        assert!(request.path.is_none_or(|path| path.len() <= most && !path.contains('?')));
    }
    let hello = head::hello(bytes);
    assert!(hello.server_name.is_none_or(|name| name.len() <= most));
    if let Some(status) = head::answer(bytes) {
        assert!(String::from_utf8_lossy(bytes).contains(&status.to_string()));
    }
    if let Ok(target) = String::from_utf8_lossy(bytes).parse::<Target>() {
        assert_ne!((target.port, target.host.as_str()), (0, ""));
    }
});
