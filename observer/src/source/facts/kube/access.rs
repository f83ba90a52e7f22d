//! How the Kubernetes API may be reached: a kubeconfig, or what a pod is given. What it holds is secret, and is shown
//! nowhere: not by `Debug`, not by an error.

use std::{
    env, fmt,
    path::{Path, PathBuf},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;
use tokio_rustls::rustls::{ClientConfig, pki_types::ServerName};

use super::super::HostRoot;
use crate::credentials::{self, read};

/// Which kubeconfig is meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Which {
    /// What a pod is given, else `$KUBECONFIG`, else K3s's own; none is no error.
    #[default]
    Auto,
    File(PathBuf),
    Off,
}

/// See the module.
pub struct Access {
    pub host: String,
    pub port: u16,
    /// `None`: not encrypted.
    pub tls: Option<(std::sync::Arc<ClientConfig>, ServerName<'static>)>,
    pub(super) token: Option<Token>,
    /// Where it was found.
    pub from: PathBuf,
}

pub(super) enum Token {
    Is(String),
    /// Tokens of pods are renewed.
    In(PathBuf),
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{} by {}", self.host, self.port, self.from.display())
    }
}

/// Why the API cannot be asked. It names files and fields, never what is in them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {why}", from.display())]
pub struct NoAccess {
    pub from: PathBuf,
    pub why: String,
}

const IN_POD: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
const OF_K3S: &str = "/etc/rancher/k3s/k3s.yaml";

#[derive(Deserialize)]
struct Config {
    #[serde(default, rename = "current-context")]
    current: String,
    #[serde(default)]
    contexts: Vec<Named<ContextOf>>,
    #[serde(default)]
    clusters: Vec<Named<ClusterOf>>,
    #[serde(default)]
    users: Vec<Named<User>>,
}

#[derive(Deserialize)]
struct Named<T> {
    name: String,
    #[serde(flatten)]
    of: T,
}

#[derive(Deserialize)]
struct ContextOf {
    context: Context,
}

#[derive(Deserialize)]
struct Context {
    cluster: String,
    #[serde(default)]
    user: String,
}

#[derive(Deserialize)]
struct ClusterOf {
    cluster: Cluster,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Cluster {
    server: String,
    certificate_authority: Option<PathBuf>,
    certificate_authority_data: Option<String>,
    tls_server_name: Option<String>,
    #[serde(default)]
    insecure_skip_tls_verify: bool,
    proxy_url: Option<String>,
}

#[derive(Deserialize)]
struct User {
    user: Option<Credentials>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Credentials {
    token: Option<String>,
    #[serde(rename = "tokenFile")]
    token_file: Option<PathBuf>,
    client_certificate: Option<PathBuf>,
    client_certificate_data: Option<String>,
    client_key: Option<PathBuf>,
    client_key_data: Option<String>,
}

impl Access {
    /// What there is. `Ok(None)`: nothing, and nothing was asked for.
    ///
    /// # Errors
    /// There is something, and it cannot be used.
    pub fn find(which: &Which, host: &HostRoot) -> Result<Option<Access>, NoAccess> {
        match which {
            Which::Off => Ok(None),
            Which::File(path) => Access::of_file(path).map(Some),
            Which::Auto => {
                let place =
                    env::var("KUBERNETES_SERVICE_HOST").ok().zip(env::var("KUBERNETES_SERVICE_PORT").ok());
                if let Some((address, port)) = place
                    && Path::new(IN_POD).join("token").exists()
                {
                    return Access::of_pod(&address, &port).map(Some);
                }
                if let Some(path) = env::var_os("KUBECONFIG").filter(|path| !path.is_empty()) {
                    return Access::of_file(Path::new(&path)).map(Some);
                }
                let k3s = host.path(OF_K3S);
                if k3s.exists() { Access::of_file(&k3s).map(Some) } else { Ok(None) }
            }
        }
    }

    fn of_pod(address: &str, port: &str) -> Result<Access, NoAccess> {
        let folder = Path::new(IN_POD);
        let wrong = |why: String| NoAccess { from: folder.to_owned(), why };
        let port = port.parse().map_err(|_| wrong("KUBERNETES_SERVICE_PORT is no port".to_owned()))?;
        let authority = read(&folder.join("ca.crt")).map_err(wrong)?;
        let tls = client(&authority, None).map_err(wrong)?;
        let name = server_name(address).map_err(wrong)?;
        Ok(Access {
            host: address.to_owned(),
            port,
            tls: Some((tls, name)),
            token: Some(Token::In(folder.join("token"))),
            from: folder.to_owned(),
        })
    }

    fn of_file(path: &Path) -> Result<Access, NoAccess> {
        let wrong = |why: String| NoAccess { from: path.to_owned(), why };
        let text = read(path).map_err(wrong)?;
        let text = std::str::from_utf8(&text).map_err(|_| wrong("it is no text".to_owned()))?;
        // What a parser says of it may quote it.
        let config: Config = serde_saphyr::from_str(text)
            .map_err(|_| wrong("it is no kubeconfig that can be read".to_owned()))?;
        let folder = path.parent().unwrap_or(Path::new("/"));
        config.access(path, folder).map_err(wrong)
    }

    /// What proves who asks, as a header.
    pub(super) fn authorization(&self) -> Result<Option<String>, String> {
        // Nobody on the way may have it.
        if self.tls.is_none() {
            return Ok(None);
        }
        let token = match &self.token {
            None => return Ok(None),
            Some(Token::Is(token)) => token.clone(),
            Some(Token::In(path)) => {
                String::from_utf8(read(path)?).map_err(|_| "the token is no text".to_owned())?
            }
        };
        Ok(Some(format!("Bearer {}", token.trim())))
    }
}

impl Config {
    fn access(self, from: &Path, folder: &Path) -> Result<Access, String> {
        let found = self.contexts.into_iter().find(|context| context.name == self.current);
        let context = found.ok_or("its current-context is none of its contexts")?.of.context;
        let found = self.clusters.into_iter().find(|cluster| cluster.name == context.cluster);
        let cluster = found.ok_or("the cluster of its current context is none of its clusters")?.of.cluster;
        let user =
            self.users.into_iter().find(|user| user.name == context.user).and_then(|user| user.of.user);
        let user = user.unwrap_or_default();
        for (is_there, what) in [
            (cluster.insecure_skip_tls_verify, "insecure-skip-tls-verify"),
            (cluster.proxy_url.is_some(), "proxy-url"),
        ] {
            if is_there {
                return Err(format!("{what} is not supported: write a kubeconfig without it"));
            }
        }
        let (host, port, is_encrypted) = place(&cluster.server)?;
        let either = |data: Option<String>, file: Option<PathBuf>, what: &str| match (data, file) {
            (Some(data), _) => {
                STANDARD.decode(data.trim()).map(Some).map_err(|_| format!("{what}-data is no base64"))
            }
            (None, Some(file)) => read(&folder.join(file)).map(Some).map_err(|why| format!("{what}: {why}")),
            (None, None) => Ok(None),
        };
        let tls = if is_encrypted {
            let authority = either(
                cluster.certificate_authority_data,
                cluster.certificate_authority,
                "certificate-authority",
            )?;
            let authority = authority.map_or_else(of_system, Ok)?;
            let certificate =
                either(user.client_certificate_data, user.client_certificate, "client-certificate")?;
            let key = either(user.client_key_data, user.client_key, "client-key")?;
            let name = server_name(cluster.tls_server_name.as_deref().unwrap_or(&host))?;
            Some((client(&authority, certificate.zip(key))?, name))
        } else {
            None
        };
        let token =
            user.token.map(Token::Is).or_else(|| user.token_file.map(|file| Token::In(folder.join(file))));
        Ok(Access { host, port, tls, token, from: from.to_owned() })
    }
}

/// Host, port, and whether it is encrypted.
fn place(url: &str) -> Result<(String, u16, bool), String> {
    let uri: http::Uri = url.parse().map_err(|_| "its server is no URL".to_owned())?;
    let authority = uri.authority().ok_or("its server is no URL")?;
    if authority.as_str().contains('@') {
        return Err("its server holds a name or a password".to_owned());
    }
    if !matches!(uri.path(), "" | "/") {
        return Err("its server has a path: that is not supported".to_owned());
    }
    let is_encrypted = match uri.scheme_str() {
        Some("https") => true,
        Some("http") => false,
        _ => return Err("its server is neither https nor http".to_owned()),
    };
    let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
    Ok((host, authority.port_u16().unwrap_or(if is_encrypted { 443 } else { 80 }), is_encrypted))
}

fn of_system() -> Result<Vec<u8>, String> {
    credentials::of_system()
        .ok_or_else(|| "it names no certificate-authority, and the system has none".to_owned())
}

fn server_name(host: &str) -> Result<ServerName<'static>, String> {
    credentials::server_name(host).map_err(|why| format!("its server {why}"))
}

/// Who may be spoken to, and who speaks.
fn client(authority: &[u8], own: Option<(Vec<u8>, Vec<u8>)>) -> Result<std::sync::Arc<ClientConfig>, String> {
    let authorities =
        credentials::authorities(authority).map_err(|why| format!("its certificate-authority {why}"))?;
    let builder = credentials::client()?.with_root_certificates(authorities);
    let config = match own {
        None => builder.with_no_client_auth(),
        Some((certificates, key)) => {
            let chain =
                credentials::chain(&certificates).map_err(|why| format!("its client-certificate {why}"))?;
            let key = credentials::key(&key).map_err(|why| format!("its client-key {why}"))?;
            let config = builder.with_client_auth_cert(chain, key);
            config.map_err(|_| "its client-certificate and client-key do not belong together")?
        }
    };
    Ok(config.into())
}

#[cfg(test)]
mod tests;
