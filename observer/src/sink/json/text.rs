//! `event` of probe `text`: a line with a keyword in it.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::output::Text;

#[derive(Serialize)]
pub(super) struct TextJson<'a> {
    keyword: &'a str,
    layer: &'a str,
    component: bool,
    fd: u32,
    line: &'a str,
    cut: bool,
    captures: BTreeMap<&'a str, &'a str>,
    datastore: Option<&'a str>,
}

impl<'a> TextJson<'a> {
    pub(super) fn of(text: &'a Text) -> Self {
        TextJson {
            keyword: &text.keyword,
            layer: &text.layer,
            component: text.component,
            fd: text.fd,
            line: &text.line,
            cut: text.is_cut,
            captures: text.captures.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect(),
            datastore: text.datastore.as_deref(),
        }
    }
}
