//! Arguments and environments of any program: the first line of the input is the file name, the rest both.
#![no_main]

use libfuzzer_sys::fuzz_target;
use observer::probes::invocation::{Invocation, from_arguments, from_environment};

fuzz_target!(|bytes: &[u8]| {
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(0);
    let words = bytes.get(end + 1..).unwrap_or_default();
    let filename = String::from_utf8_lossy(&bytes[..end]);
    for invocation in [from_arguments(&filename, words), from_environment(words)] {
        // Nothing is invented: all text is a part of the words, in which bad bytes may have grown threefold.
        assert!(
            text(&invocation).into_iter().flatten().map(|text| text.len()).sum::<usize>() <= 3 * words.len()
        );
        assert!(text(&invocation).into_iter().flatten().all(|text| !text.contains('\0')));
    }
});

fn text(invocation: &Invocation) -> [&Option<String>; 4] {
    match invocation {
        Invocation::Unknown | Invocation::Program(_) => [&None; 4],
        Invocation::Runtime { id, bundle, .. } => [id, bundle, &None, &None],
        Invocation::Shim { id, namespace, bundle, .. } => [id, namespace, bundle, &None],
        Invocation::Conmon { id, name, bundle, log_path } => [id, name, bundle, log_path],
        Invocation::Cni { container_id, netns, interface, .. } => [container_id, netns, interface, &None],
        Invocation::Tool { image, .. } => [image, &None, &None, &None],
    }
}
