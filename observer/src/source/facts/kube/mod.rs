//! The Kubernetes API, read: optional, bounded, and waited for by nothing. It may be what is broken; whatever it answers
//! instead of what was asked is a [`LookupError`], which is an answer, too.

mod access;
mod client;
mod objects;
mod one;

use crate::input::{Kube, KubeKind, LookupError};

pub use access::{Access, NoAccess, Which};
pub use client::{Client, Refused};
pub use one::pod;

/// All that is asked for in one round, each as it was answered. Once nobody can be reached nothing else is asked.
pub async fn round(access: &Access, node: &str) -> Vec<(KubeKind, Result<Kube, LookupError>)> {
    let mut client = Client::new(access);
    let mut answers = Vec::new();
    let mut gone = None;
    for kind in KubeKind::ALL {
        let (expected, path) = objects::place(kind, node);
        let answer = match &gone {
            Some(why) => Err(Refused::Unreachable(String::clone(why))),
            None => client.get(&path).await,
        };
        let answer = answer.and_then(|json| objects::read(kind, expected, &json).map_err(Refused::This));
        if let Err(Refused::Unreachable(why)) = &answer {
            gone = Some(why.clone());
        }
        let answer =
            answer.map_err(|why| LookupError { what: "the Kubernetes API".to_owned(), why: why.to_string() });
        answers.push((kind, answer));
    }
    answers
}
