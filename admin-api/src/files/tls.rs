//! TLS of the listeners inside a cluster on Kubernetes: every cluster has a CA of its own, and every certificate is made out to one
//! name, [`ADMIN_SERVER_NAME`]. Addresses of pods come and go; what is proven is that a node belongs to this cluster.

use crate::program::task;
use parking_lot::RwLock;
use reqwest::{Client, ClientBuilder};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// The name that every certificate of a node is made out to: its admin listener and its listener for front doors show it.
pub const ADMIN_SERVER_NAME: &str = "admin.sfumato.internal";
/// How often a file is looked at. Its content is compared, not its time: a Secret's mount swaps symbolic links.
pub const REREAD_INTERVAL: Duration = Duration::from_secs(2);

/// Certificates cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The file cannot be read.
    #[error("cannot read {path}: {source}")]
    Unreadable { path: PathBuf, source: io::Error },
    /// What is in it is no certificate, or no CA.
    #[error("{what} cannot be used: {problem}; it must hold PEM certificates")]
    Unusable {
        /// File or Secret.
        what: String,
        /// What is wrong.
        problem: String,
    },
}

/// The CAs that are trusted at present. Cheap to clone; replacing them takes effect for every connection made afterwards.
#[derive(Debug, Clone)]
pub struct TrustedCa {
    verifier: Arc<RwLock<Arc<WebPkiServerVerifier>>>,
}

impl TrustedCa {
    /// Trusts the certificates in `pem`: the current CA, and during a rotation the next or the previous one as well.
    ///
    /// # Errors
    /// When `pem` holds no usable certificate. `what` names it in the message.
    pub fn from_pem(what: &str, pem: &[u8]) -> Result<Self, TlsError> {
        Ok(Self {
            verifier: Arc::new(RwLock::new(verifier(what, pem)?)),
        })
    }

    /// Trusts other certificates from now on; on an error those of before.
    ///
    /// # Errors
    /// When `pem` holds no usable certificate.
    pub fn replace(&self, what: &str, pem: &[u8]) -> Result<(), TlsError> {
        let new = verifier(what, pem)?;
        *self.verifier.write() = new;
        Ok(())
    }

    /// Trusts what the file holds, and follows it while it changes. Must be called within a Tokio runtime; the following
    /// ends with the last clone.
    ///
    /// # Errors
    /// When there is nothing usable to begin with. Later failures keep the last good certificates and are logged.
    pub fn follow(path: &Path) -> Result<Self, TlsError> {
        let read = |path: &Path| {
            std::fs::read(path).map_err(|source| TlsError::Unreadable {
                path: path.to_owned(),
                source,
            })
        };
        let mut content = read(path)?;
        let ca = Self::from_pem(&path.display().to_string(), &content)?;
        let (followed, path) = (Arc::downgrade(&ca.verifier), path.to_owned());
        task::serving(task::process(), "following the trusted CAs", async move {
            let mut complained = false;
            loop {
                tokio::time::sleep(REREAD_INTERVAL).await;
                let Some(held) = followed.upgrade() else { return };
                let outcome = read(&path).and_then(|now| {
                    if now != content {
                        *held.write() = verifier(&path.display().to_string(), &now)?;
                        content = now;
                        tracing::info!(path = %path.display(), "the trusted CAs have changed");
                    }
                    Ok(())
                });
                if let Err(error) = &outcome
                    && !complained
                {
                    tracing::warn!(%error, "the last good CAs stay trusted");
                }
                complained = outcome.is_err();
            }
        });
        Ok(ca)
    }
}

fn verifier(what: &str, pem: &[u8]) -> Result<Arc<WebPkiServerVerifier>, TlsError> {
    let unusable = |problem: String| TlsError::Unusable {
        what: what.to_owned(),
        problem,
    };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| unusable(error.to_string()))?;
        roots.add(certificate).map_err(|error| unusable(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(unusable("it holds no certificate".to_owned()));
    }
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider())
        .build()
        .map_err(|error| unusable(error.to_string()))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// Checks a certificate against the trusted CAs of the moment, and against [`ADMIN_SERVER_NAME`] whatever the address.
#[derive(Debug)]
struct ByClusterCa(TrustedCa);

impl ByClusterCa {
    fn now(&self) -> Arc<WebPkiServerVerifier> {
        Arc::clone(&self.0.verifier.read())
    }
}

impl ServerCertVerifier for ByClusterCa {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _address: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let name = ServerName::try_from(ADMIN_SERVER_NAME)
            .map_err(|_| rustls::Error::General("the admin server name is no name".to_owned()))?;
        self.now()
            .verify_server_cert(end_entity, intermediates, &name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.now().verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.now().verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.now().supported_verify_schemes()
    }
}

/// An HTTP client that speaks TLS only with nodes of the cluster of `ca`; with none, without TLS. All our clients are made
/// here: none reads the system's certificates or its proxies. `options` sets timeouts, redirects and the like.
///
/// # Panics
/// When `options` asks for what must be loaded, such as certificates, and that fails. None of ours do.
#[must_use]
pub fn http_client(ca: Option<&TrustedCa>, options: impl FnOnce(ClientBuilder) -> ClientBuilder) -> Client {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("ring supports the versions that rustls calls safe");
    let config = match ca {
        Some(ca) => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(ByClusterCa(ca.clone())))
            .with_no_client_auth(),
        None => builder
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth(),
    };
    #[allow(clippy::disallowed_methods, reason = "the one place that gives it a TLS provider")]
    let client = options(Client::builder().tls_backend_preconfigured(config).no_proxy()).build();
    client.expect("a client with its own TLS settings, resolver and no proxy has nothing that could fail to load")
}

/// What is wrong with the certificate that was shown, if a call of [`http_client`] failed for that: then nothing was sent.
#[must_use]
pub fn refused_certificate(error: &(dyn Error + 'static)) -> Option<String> {
    std::iter::successors(Some(error), |error| inner(*error))
        .filter_map(|error| error.downcast_ref::<rustls::Error>())
        .find(|error| matches!(error, rustls::Error::InvalidCertificate(_)))
        .map(ToString::to_string)
}

/// What an error has inside: those of I/O name as their source that of what they were made from, and leave this out.
fn inner<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(inside) => Some(inside),
        None => error.source(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::CertificateError;

    #[test]
    fn a_refused_certificate_is_found_however_deep_an_error_has_it() {
        let refused = || rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
        let once = io::Error::new(io::ErrorKind::InvalidData, refused());
        let twice = io::Error::other(io::Error::new(io::ErrorKind::InvalidData, refused()));
        for error in [&refused() as &(dyn Error + 'static), &once, &twice] {
            assert!(
                refused_certificate(error).is_some_and(|why| why.contains("UnknownIssuer")),
                "{error:?}"
            );
        }
        let others = [
            io::Error::other(rustls::Error::DecryptError),
            io::ErrorKind::ConnectionRefused.into(),
        ];
        for error in &others {
            assert_eq!(refused_certificate(error), None, "{error:?}");
        }
    }
}
