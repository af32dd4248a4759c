//! Which certificates a front door may show that is asked by https.

use super::http;
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use sfumato_admin_api::files::http_client;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// No certificate could be trusted.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// The file cannot be read.
    #[error("cannot read the CA in {path}: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// What is in the file is no CA.
    #[error("{path} cannot be used: {problem}; it must hold PEM certificates")]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// The machine has no certificates.
    #[error(
        "this machine has no CA certificates to check the front door's by: give --ca with the CA that has signed it"
    )]
    NoneHere,
    /// Somebody else has sent a request.
    #[error("requests were sent before it was said whom to trust")]
    TooLate,
}

/// Has all later requests of this process trust the CAs in this file, or those of the system.
///
/// # Errors
/// When there is none, or a request was sent already.
pub fn trust(ca: Option<&Path>) -> Result<(), TrustError> {
    let roots = match ca {
        Some(path) => of_file(path)?,
        None => of_the_system()?,
    };
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring supports the versions that rustls calls safe")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let client = http_client(None, |options| options.tls_backend_preconfigured(config));
    if http::set_client(client) {
        Ok(())
    } else {
        Err(TrustError::TooLate)
    }
}

fn of_file(path: &Path) -> Result<RootCertStore, TrustError> {
    let unusable = |problem: String| TrustError::Unusable {
        path: path.to_owned(),
        problem,
    };
    let pem = std::fs::read(path).map_err(|source| TrustError::Unreadable {
        path: path.to_owned(),
        source,
    })?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|error| unusable(error.to_string()))?;
        roots.add(certificate).map_err(|error| unusable(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(unusable("it holds no certificate".to_owned()));
    }
    Ok(roots)
}

/// Single certificates that cannot be read are left out: systems have some.
fn of_the_system() -> Result<RootCertStore, TrustError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err(TrustError::NoneHere);
    }
    Ok(roots)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_a_certificate_is_refused_with_what_it_must_hold() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "no PEM").unwrap();
        let error = of_file(file.path()).unwrap_err().to_string();
        assert!(error.contains("it must hold PEM certificates"), "{error}");
        let error = of_file(Path::new("/no/such/file")).unwrap_err().to_string();
        assert!(error.contains("cannot read the CA in /no/such/file"), "{error}");
    }
}
