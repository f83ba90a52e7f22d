//! Who may send where others than this machine can: a certificate to receive with, a token that requests bring, an
//! authority that vouches for senders. Each is a file, read again while it is in use: certificates and tokens are
//! renewed. Of a token its digest is kept.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use http::{HeaderMap, header};
use sha2::{Digest, Sha256};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, server::WebPkiClientVerifier},
};

use super::ReceiverError;
use crate::credentials;

const CERTIFICATE: &str = "--otlp-listen-cert";
const KEY: &str = "--otlp-listen-key";
const TOKEN: &str = "--otlp-listen-token-file";
const CLIENTS: &str = "--otlp-listen-client-ca";

/// As typed.
#[derive(Clone, Debug, Default)]
pub struct GuardFiles {
    pub certificate: Option<PathBuf>,
    pub key: Option<PathBuf>,
    pub token: Option<PathBuf>,
    /// Who vouches for senders.
    pub clients: Option<PathBuf>,
}

impl GuardFiles {
    /// The options that were typed, in a fixed order, with their files.
    fn given(&self) -> impl Iterator<Item = (&'static str, &Path)> {
        let all = [
            (CERTIFICATE, &self.certificate),
            (KEY, &self.key),
            (TOKEN, &self.token),
            (CLIENTS, &self.clients),
        ];
        all.into_iter().filter_map(|(option, file)| Some((option, file.as_deref()?)))
    }

    /// The first that was typed.
    pub fn first(&self) -> Option<&'static str> {
        self.given().next().map(|(option, _)| option)
    }

    /// Whether what is received is encrypted, and whoever sends it known: enough for other machines.
    pub fn suffice(&self) -> bool {
        self.certificate.is_some() && self.key.is_some() && (self.token.is_some() || self.clients.is_some())
    }
}

/// See the module.
pub struct Guard {
    files: GuardFiles,
    current: Mutex<Current>,
}

/// What the files held when they were read last.
struct Current {
    digest: [u8; 32],
    tls: Option<TlsAcceptor>,
    token: Option<[u8; 32]>,
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.files.given()).finish()
    }
}

/// What it asks for, in words; empty if nothing.
impl fmt::Display for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let asked = [
            (self.files.certificate.is_some(), "TLS"),
            (self.files.clients.is_some(), "a certificate of senders"),
            (self.files.token.is_some(), "a token"),
        ];
        let asked: Vec<&str> = asked.into_iter().filter_map(|(is, what)| is.then_some(what)).collect();
        if asked.is_empty() { Ok(()) } else { write!(f, " (with {})", asked.join(", ")) }
    }
}

impl Guard {
    /// # Errors
    /// An option lacks another, or its file is not what it should be.
    pub fn open(files: GuardFiles) -> Result<Self, ReceiverError> {
        let needs = |option: &'static str, missing: &'static str| ReceiverError::Alone { option, missing };
        match (&files.certificate, &files.key, &files.clients) {
            (Some(_), None, _) => return Err(needs(CERTIFICATE, KEY)),
            (None, Some(_), _) => return Err(needs(KEY, CERTIFICATE)),
            (None, None, Some(_)) => return Err(needs(CLIENTS, CERTIFICATE)),
            _ => {}
        }
        let current = Mutex::new(Current::of(&Contents::read(&files)?)?);
        Ok(Guard { files, current })
    }

    /// Reads what may have been renewed. What it had stays if that cannot be used.
    ///
    /// # Errors
    /// It cannot be used.
    pub fn renew(&self) -> Result<(), ReceiverError> {
        let contents = Contents::read(&self.files)?;
        if self.current().digest == contents.digest() {
            return Ok(());
        }
        let current = Current::of(&contents)?;
        *self.current() = current;
        Ok(())
    }

    fn current(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `None`: what is received is not encrypted.
    pub(super) fn tls(&self) -> Option<TlsAcceptor> {
        self.current().tls.clone()
    }

    /// Whether a request brings the token, if one is asked for. Digests are compared: how long that takes says nothing.
    pub(super) fn admits(&self, headers: &HeaderMap) -> bool {
        let Some(expected) = self.current().token else { return true };
        let brought = headers.get(header::AUTHORIZATION).and_then(|value| {
            let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
        });
        brought.is_some_and(|token| <[u8; 32]>::from(Sha256::digest(token)) == expected)
    }
}

/// Of all files, by their options.
struct Contents(Vec<(&'static str, PathBuf, Vec<u8>)>);

impl Contents {
    fn read(files: &GuardFiles) -> Result<Self, ReceiverError> {
        let read = |(option, path): (&'static str, &Path)| {
            let bytes = credentials::read(path).map_err(|why| ReceiverError::Unread { option, why })?;
            Ok((option, path.to_owned(), bytes))
        };
        files.given().map(read).collect::<Result<_, _>>().map(Contents)
    }

    fn digest(&self) -> [u8; 32] {
        let mut digest = Sha256::new();
        for (_, _, bytes) in &self.0 {
            digest.update((bytes.len() as u64).to_le_bytes());
            digest.update(bytes);
        }
        digest.finalize().into()
    }

    /// What is made of a file, if there is one.
    fn make<T>(
        &self,
        option: &'static str,
        make: impl FnOnce(&[u8]) -> Result<T, &'static str>,
    ) -> Result<Option<T>, ReceiverError> {
        let Some((_, path, bytes)) = self.0.iter().find(|(of, ..)| *of == option) else { return Ok(None) };
        make(bytes).map(Some).map_err(|why| ReceiverError::File { option, path: path.clone(), why })
    }
}

impl Current {
    fn of(contents: &Contents) -> Result<Self, ReceiverError> {
        let chain = contents.make(CERTIFICATE, credentials::chain)?;
        let key = contents.make(KEY, credentials::key)?;
        let clients = contents.make(CLIENTS, credentials::authorities)?;
        let token = contents.make(TOKEN, digest_of_token)?;
        let unusable = |why: &dyn fmt::Display| ReceiverError::Unusable { why: why.to_string() };
        let tls = match chain.zip(key) {
            None => None,
            Some((chain, key)) => {
                let builder = ServerConfig::builder_with_provider(credentials::provider())
                    .with_safe_default_protocol_versions()
                    .map_err(|why| unusable(&why))?;
                let builder = match clients {
                    None => builder.with_no_client_auth(),
                    Some(roots) => {
                        let provider = credentials::provider();
                        let verifier =
                            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
                        builder.with_client_cert_verifier(verifier.map_err(|why| unusable(&why))?)
                    }
                };
                let mut config = builder.with_single_cert(chain, key).map_err(|why| unusable(&why))?;
                config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
                Some(TlsAcceptor::from(Arc::new(config)))
            }
        };
        Ok(Current { digest: contents.digest(), tls, token })
    }
}

/// What a token may be made of is what a header may: other than that, the file is not meant.
fn digest_of_token(text: &[u8]) -> Result<[u8; 32], &'static str> {
    match text.trim_ascii() {
        [] => Err("holds no token"),
        token if token.iter().all(u8::is_ascii_graphic) => Ok(Sha256::digest(token).into()),
        _ => Err("holds more than a token: one line of letters, digits and signs"),
    }
}

#[cfg(test)]
mod tests;
