//! Connections to a collector that speaks TLS: whom they trust, who they are, and how they are made. Certificates are not
//! passed over: there is no option for that.

use std::{
    fmt, io,
    path::Path,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::{
    client::legacy::connect::{Connected, Connection},
    rt::TokioIo,
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream, rustls::ClientConfig};
use tower::Service;

use super::Protocol;
use crate::credentials;

const PORT: u16 = 443;

/// Files by the environment variables that OTLP has for them.
#[derive(Debug, Default)]
pub(super) struct Files {
    pub(super) authority: Option<(&'static str, String)>,
    pub(super) certificate: Option<(&'static str, String)>,
    pub(super) key: Option<(&'static str, String)>,
}

/// Makes connections to one collector.
#[derive(Clone)]
pub struct Connector(Arc<ClientConfig>);

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TLS")
    }
}

impl Connector {
    /// # Errors
    /// A file is not what it should be, or there is nobody to trust. It says which, and nothing of what it holds.
    pub(super) fn new(files: &Files, protocol: Protocol) -> Result<Self, String> {
        let read = |(variable, path): &(&'static str, String)| {
            credentials::read(Path::new(path)).map_err(|why| format!("{variable}: {why}"))
        };
        let wrong =
            |(variable, path): &(&'static str, String), why: &str| format!("{variable}: {path} {why}");
        let own = match (&files.certificate, &files.key) {
            (None, None) => None,
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (Some((variable, _)), None) | (None, Some((variable, _))) => {
                return Err(format!("{variable}: a certificate and its key are of use together only"));
            }
        };
        let roots = match &files.authority {
            Some(file) => credentials::authorities(&read(file)?).map_err(|why| wrong(file, why))?,
            None => {
                let system = credentials::of_system().ok_or(
                    "this system trusts nobody: name who vouches for it in OTEL_EXPORTER_OTLP_CERTIFICATE",
                )?;
                credentials::authorities(&system).map_err(|why| format!("what this system trusts {why}"))?
            }
        };
        let builder = credentials::client()?.with_root_certificates(roots);
        let mut config = match own {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let chain = credentials::chain(&read(certificate)?).map_err(|why| wrong(certificate, why))?;
                let of_key = credentials::key(&read(key)?).map_err(|why| wrong(key, why))?;
                let config = builder.with_client_auth_cert(chain, of_key);
                config.map_err(|why| format!("{}, {}: {why}", certificate.0, key.0))?
            }
        };
        config.alpn_protocols = match protocol {
            Protocol::Grpc => vec![b"h2".to_vec()],
            Protocol::HttpProtobuf => vec![b"http/1.1".to_vec()],
        };
        Ok(Connector(config.into()))
    }
}

impl Service<Uri> for Connector {
    type Response = Secure;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Secure>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let tls = TlsConnector::from(Arc::clone(&self.0));
        Box::pin(async move {
            let host = to.host().unwrap_or_default();
            let name = credentials::server_name(host).map_err(|why| io::Error::other(format!("it {why}")))?;
            let bare = host.trim_start_matches('[').trim_end_matches(']');
            let stream = TcpStream::connect((bare, to.port_u16().unwrap_or(PORT))).await?;
            stream.set_nodelay(true)?;
            Ok(Secure(TokioIo::new(tls.connect(name, stream).await?)))
        })
    }
}

/// An encrypted connection.
pub struct Secure(TokioIo<TlsStream<TcpStream>>);

impl Connection for Secure {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl Read for Secure {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl Write for Secure {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
