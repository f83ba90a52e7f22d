//! Certificates, keys and tokens from files, for whoever speaks TLS. What they hold is secret: errors name what is wrong
//! with a file, never what is in it.

use std::{fs, path::Path, sync::Arc};

use tokio_rustls::rustls::{
    ClientConfig, ConfigBuilder, RootCertStore, WantsVerifier,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};

/// Authorities that the system trusts, where nobody names any.
const SYSTEM: [&str; 2] = ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"];
/// A file that is longer is none of these.
const MAX_FILE: u64 = 1 << 20;

pub type Chain = Vec<CertificateDer<'static>>;

/// A regular file, short, and without waiting for a writer.
///
/// # Errors
/// It is none, or cannot be read.
pub fn read(path: &Path) -> Result<Vec<u8>, String> {
    let meta = fs::metadata(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    if !meta.is_file() || meta.len() > MAX_FILE {
        return Err(format!("{} is no file that could be meant", path.display()));
    }
    fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))
}

/// What the system trusts, if it says so.
pub fn of_system() -> Option<Vec<u8>> {
    SYSTEM.iter().find_map(|path| fs::read(path).ok())
}

/// Authorities, from PEM.
///
/// # Errors
/// There are none.
pub fn authorities(pem: &[u8]) -> Result<RootCertStore, &'static str> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        // Of many that a system trusts some may be of kinds that are not.
        let _ = roots.add(certificate.map_err(|_| "is no PEM")?);
    }
    if roots.is_empty() { Err("holds no certificate") } else { Ok(roots) }
}

/// A certificate with those that vouch for it, from PEM.
///
/// # Errors
/// There is none.
pub fn chain(pem: &[u8]) -> Result<Chain, &'static str> {
    let chain: Result<Chain, _> = CertificateDer::pem_slice_iter(pem).collect();
    let chain = chain.map_err(|_| "is no PEM")?;
    if chain.is_empty() { Err("holds no certificate") } else { Ok(chain) }
}

/// A private key, from PEM.
///
/// # Errors
/// There is none.
pub fn key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, &'static str> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|_| "is no PEM of a key")
}

/// The name that a certificate has to have; addresses are written as URLs do.
///
/// # Errors
/// No certificate could have it.
pub fn server_name(host: &str) -> Result<ServerName<'static>, &'static str> {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    ServerName::try_from(host.to_owned()).map_err(|_| "has no name that a certificate could have")
}

pub fn provider() -> Arc<CryptoProvider> {
    ring::default_provider().into()
}

/// What every client begins with: the versions of TLS that are still safe.
///
/// # Errors
/// The provider knows none of them.
pub fn client() -> Result<ConfigBuilder<ClientConfig, WantsVerifier>, String> {
    let builder = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
    builder.map_err(|error| error.to_string())
}
