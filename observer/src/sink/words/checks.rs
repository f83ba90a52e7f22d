//! What was looked at, in words.

use crate::output::{Check, CheckState};

/// `L-4: faults of Wasm code; L-3: look-ups that failed, connections that failed`: those in this state, layer by layer.
pub(in crate::sink) fn checks(all: &[Check], state: CheckState) -> String {
    let mut text = String::new();
    let mut layer = None;
    for check in all.iter().filter(|check| check.state == state) {
        let begins = match layer.replace(check.layer) {
            Some(before) if before == check.layer => ", ".to_owned(),
            Some(_) => format!("; {}: ", check.layer.name()),
            None => format!("{}: ", check.layer.name()),
        };
        text.push_str(&begins);
        text.push_str(&check.what);
        text.push_str(&usual(check));
    }
    if text.is_empty() { "nothing".to_owned() } else { text }
}

/// None is only told together with what was looked at.
pub(in crate::sink) fn none_found(all: &[Check]) -> String {
    format!("No findings. Looked at, and normal: {}", checks(all, CheckState::Ok))
}

/// What it is usually here, where that has been learned.
pub(in crate::sink) fn usual(check: &Check) -> String {
    let why = check.why.as_deref().filter(|_| check.basis == "baseline");
    why.map(|why| format!(" ({why})")).unwrap_or_default()
}
