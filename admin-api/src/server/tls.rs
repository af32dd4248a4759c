//! A listener with TLS: certificate and key from files that are read again when they change.

use super::serving::Handshake;
use crate::files::REREAD_INTERVAL;
use crate::program::task;
use parking_lot::RwLock;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// The handshake of a listener, or of several with one certificate.
#[derive(Clone)]
pub struct Tls(TlsAcceptor);

/// Certificate and key in files.
#[derive(Debug, Clone)]
pub struct KeyFiles {
    /// Certificate chain, PEM.
    pub cert: PathBuf,
    /// Private key, PEM.
    pub key: PathBuf,
}

impl Tls {
    /// Reads the files, and follows them from now on. Must be called within a Tokio runtime.
    ///
    /// # Errors
    /// When there is no usable certificate to begin with; the message names the file. Later failures keep the last good one and
    /// are logged.
    pub fn start(files: KeyFiles) -> Result<Self, String> {
        let certificate = Arc::new(Followed(RwLock::new(load(&files)?)));
        follow(&certificate, files);
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_no_client_auth()
            .with_cert_resolver(certificate);
        Ok(Self(TlsAcceptor::from(Arc::new(config))))
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}

impl Handshake for Tls {
    type Io = TlsStream<TcpStream>;

    async fn shake(self, stream: TcpStream) -> io::Result<Self::Io> {
        self.0.accept(stream).await
    }
}

/// The certificate of the moment.
#[derive(Debug)]
struct Followed(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Followed {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read()))
    }
}

fn follow(certificate: &Arc<Followed>, files: KeyFiles) {
    let followed = Arc::downgrade(certificate);
    task::serving(task::process(), "following a certificate", async move {
        let mut failures = 0_u32;
        loop {
            tokio::time::sleep(REREAD_INTERVAL).await;
            let Some(held) = followed.upgrade() else { return };
            match load(&files) {
                Ok(now) => {
                    failures = 0;
                    if now.cert != held.0.read().cert {
                        *held.0.write() = now;
                        tracing::info!(path = %files.cert.display(), "the certificate has changed");
                    }
                }
                Err(error) => {
                    failures = failures.saturating_add(1);
                    // Once, and not at the first: a renewal may fall between the reading of certificate and key.
                    if failures == 2 {
                        tracing::warn!(%error, "the last good certificate stays in use");
                    }
                }
            }
        }
    });
}

fn load(files: &KeyFiles) -> Result<Arc<CertifiedKey>, String> {
    let at = |path: &Path, error: &dyn fmt::Display| format!("{}: {error}", path.display());
    let chain: Result<Vec<CertificateDer<'static>>, _> = CertificateDer::pem_file_iter(&files.cert)
        .map_err(|error| at(&files.cert, &error))?
        .collect();
    let chain = chain.map_err(|error| at(&files.cert, &error))?;
    if chain.is_empty() {
        return Err(at(&files.cert, &"it holds no certificate"));
    }
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| at(&files.key, &error))?;
    let key = CertifiedKey::from_der(chain, key, &ring::default_provider()).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => {
            let cert = files.cert.display();
            at(&files.key, &format!("it is not the key of the certificate in {cert}"))
        }
        rustls::Error::InvalidCertificate(_) => at(&files.cert, &error),
        _ => at(&files.key, &error),
    })?;
    Ok(Arc::new(key))
}
