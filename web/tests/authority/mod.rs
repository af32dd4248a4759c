//! A CA, and the files of certificates that come from it.

#![allow(dead_code, reason = "each test uses a part")]
#![allow(clippy::unwrap_used, reason = "a part of tests")]

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, KeyUsagePurpose};
use sfumato_admin_api::files::TrustedCa;
use sfumato_admin_api::server::tls::KeyFiles;
use tempfile::TempDir;

pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub fn trusted(&self) -> TrustedCa {
        TrustedCa::from_pem("the CA", self.0.pem().as_bytes()).unwrap()
    }

    /// A certificate for this name that is valid until the beginning of a year.
    pub fn certify(&self, name: &str, until: i32) -> (TempDir, KeyFiles) {
        let folder = tempfile::tempdir().unwrap();
        let files = KeyFiles {
            cert: folder.path().join("tls.crt"),
            key: folder.path().join("tls.key"),
        };
        self.write(&files, name, until);
        (folder, files)
    }

    /// Puts such a certificate and its key into these files.
    pub fn write(&self, files: &KeyFiles, name: &str, until: i32) {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(until, 1, 1);
        let key = KeyPair::generate().unwrap();
        std::fs::write(&files.cert, params.signed_by(&key, &self.0).unwrap().pem()).unwrap();
        std::fs::write(&files.key, key.serialize_pem()).unwrap();
    }
}
