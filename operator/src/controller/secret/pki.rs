//! The CA of one cluster, and the certificate of its nodes' admin listeners. What is due is decided by the clock that is
//! passed in. What is dated after that clock was made while it was wrong, and is due at once: its certificate would not be
//! valid before that date.
//!
//! A CA is replaced in three steps, each of which leaves everybody with certificates that the others trust: the next one
//! is trusted besides the current one; after [`SETTLE`] it signs, and the old one stays trusted; after another [`SETTLE`]
//! the old one goes. Pods read the mounted files again by themselves.

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PublicKeyData, SignatureAlgorithm, SigningKey,
};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;
use serde::{Deserialize, Serialize};
use sfumato_admin_api::files::ADMIN_SERVER_NAME;

const DAY: i64 = 24 * 60 * 60;
/// How long a CA is valid, in seconds.
const CA_VALID: i64 = 5 * 365 * DAY;
/// When a CA gets a successor, in seconds after it was made.
const CA_REPLACED: i64 = 4 * 365 * DAY;
/// How long a listener's certificate is valid, in seconds.
const LEAF_VALID: i64 = 90 * DAY;
/// When it is made anew, in seconds after it was made.
const LEAF_REPLACED: i64 = 60 * DAY;
/// Certificates begin this long ago, in seconds: clocks of hosts differ.
const SKEW: i64 = 60 * 60;
/// How long a step of a rotation is left alone, in seconds: every pod has read the files by then. The kubelet takes up to
/// two minutes.
pub const SETTLE: i64 = 60 * 60;

/// Keys and certificates cannot be made or read.
#[derive(Debug, thiserror::Error)]
#[error("the certificates of the admin listeners cannot be made: {0}")]
pub struct PkiError(#[from] rcgen::Error);

/// Everything that has to be kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pki {
    /// Signs.
    current: Ca,
    /// Will sign.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    next: Option<Ca>,
    /// Has signed, and is still trusted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    previous: Option<Retired>,
    /// The certificate of the admin listeners.
    leaf: Leaf,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Ca {
    cert: String,
    key: String,
    made: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Retired {
    cert: String,
    since: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Leaf {
    cert: String,
    key: String,
    made: Timestamp,
}

impl Pki {
    /// What is wanted now: `kept` with whatever is due done to it, or all of it made.
    ///
    /// # Errors
    /// When keys cannot be drawn, or those that were kept cannot be read.
    pub fn advance(kept: Option<Self>, now: Timestamp) -> Result<Self, PkiError> {
        let Some(mut pki) = kept else {
            let current = Ca::make(now)?;
            let leaf = current.sign(now)?;
            return Ok(Self {
                current,
                next: None,
                previous: None,
                leaf,
            });
        };
        // A clock that was ahead for a moment must not last for as long as it was ahead.
        let is_ahead = |made: Timestamp| made.duration_since(now) > SignedDuration::from_secs(SKEW);
        let passed = |since: Timestamp, seconds: i64| {
            is_ahead(since) || now.duration_since(since) >= SignedDuration::from_secs(seconds)
        };
        // Steps of a rotation are left alone for their time all the same: whether pods have read the files, nobody knows.
        if pki.next.as_ref().is_some_and(|next| is_ahead(next.made)) {
            pki.next = Some(Ca::make(now)?);
        }
        if let Some(previous) = pki.previous.as_mut().filter(|it| is_ahead(it.since)) {
            previous.since = now;
        }
        if pki
            .previous
            .as_ref()
            .is_some_and(|previous| passed(previous.since, SETTLE))
        {
            pki.previous = None;
        }
        match pki.next.take() {
            Some(next) if passed(next.made, SETTLE) => {
                let old = std::mem::replace(&mut pki.current, next);
                pki.previous = Some(Retired {
                    cert: old.cert,
                    since: now,
                });
                pki.leaf = pki.current.sign(now)?;
            }
            Some(next) => pki.next = Some(next),
            None if passed(pki.current.made, CA_REPLACED) => pki.next = Some(Ca::make(now)?),
            None => {}
        }
        if passed(pki.leaf.made, LEAF_REPLACED) {
            pki.leaf = pki.current.sign(now)?;
        }
        Ok(pki)
    }

    /// The CAs that are to be trusted, PEM.
    #[must_use]
    pub fn trusted(&self) -> String {
        let next = self.next.as_ref().map(|ca| ca.cert.as_str());
        let previous = self.previous.as_ref().map(|ca| ca.cert.as_str());
        [Some(self.current.cert.as_str()), next, previous]
            .into_iter()
            .flatten()
            .collect()
    }

    /// Certificate of the admin listeners, PEM.
    #[must_use]
    pub fn certificate(&self) -> &str {
        &self.leaf.cert
    }

    /// Its key, PEM.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.leaf.key
    }
}

impl Ca {
    fn make(now: Timestamp) -> Result<Self, PkiError> {
        let (key, pem) = Key::draw()?;
        let cert = ca_params(now)?.self_signed(&key)?.pem();
        Ok(Self {
            cert,
            key: pem,
            made: now,
        })
    }

    fn sign(&self, now: Timestamp) -> Result<Leaf, PkiError> {
        let issuer = Issuer::new(ca_params(self.made)?, Key::read(&self.key)?);
        let (key, pem) = Key::draw()?;
        let mut params = CertificateParams::new(vec![ADMIN_SERVER_NAME.to_owned()])?;
        params.distinguished_name = name("Sfumato admin listener".to_owned());
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        valid(&mut params, now, LEAF_VALID);
        let cert = params.signed_by(&key, &issuer)?.pem();
        Ok(Leaf {
            cert,
            key: pem,
            made: now,
        })
    }
}

/// An ECDSA key on P-256. rcgen's own `KeyPair` would be aws-lc's, which other programs of the workspace turn on in it, and
/// with it 1.4 MB of this one.
struct Key(EcdsaKeyPair);

impl Key {
    /// A new key, and its PEM (PKCS #8).
    fn draw() -> Result<(Self, String), PkiError> {
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &SystemRandom::new())
            .map_err(|_| rcgen::Error::RingUnspecified)?;
        let text = pem::encode(&pem::Pem::new("PRIVATE KEY", document.as_ref()));
        Ok((Self::read_der(document.as_ref())?, text))
    }

    fn read(text: &str) -> Result<Self, PkiError> {
        let key = PrivatePkcs8KeyDer::from_pem_slice(text.as_bytes())
            .map_err(|error| rcgen::Error::PemError(error.to_string()))?;
        Self::read_der(key.secret_pkcs8_der())
    }

    fn read_der(der: &[u8]) -> Result<Self, PkiError> {
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, der, &SystemRandom::new())
            .map_err(|error| rcgen::Error::RingKeyRejected(error.to_string()))?;
        Ok(Self(key))
    }
}

impl PublicKeyData for Key {
    fn der_bytes(&self) -> &[u8] {
        self.0.public_key().as_ref()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ECDSA_P256_SHA256
    }
}

impl SigningKey for Key {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let signature = self.0.sign(&SystemRandom::new(), message);
        Ok(signature.map_err(|_| rcgen::Error::RingUnspecified)?.as_ref().to_vec())
    }
}

/// The same parameters for the same time, so that a CA can sign later without its certificate being read. The time in the
/// name tells a CA from its successor.
fn ca_params(made: Timestamp) -> Result<CertificateParams, PkiError> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name = name(format!("Sfumato cluster CA {}", made.as_second()));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    valid(&mut params, made, CA_VALID);
    Ok(params)
}

fn name(common: String) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common);
    name
}

fn valid(params: &mut CertificateParams, from: Timestamp, seconds: i64) {
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let at = |second: i64| epoch + std::time::Duration::from_secs(u64::try_from(second).unwrap_or(0));
    params.not_before = at(from.as_second() - SKEW);
    params.not_after = at(from.as_second() + seconds);
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use rustls::crypto::ring;
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
    use rustls::{RootCertStore, client::WebPkiServerVerifier, client::danger::ServerCertVerifier};
    use std::sync::Arc;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    /// Whether somebody who has read `reader`'s files trusts a listener that has read `listener`'s.
    fn trusts(reader: &Pki, listener: &Pki, now: Timestamp) -> bool {
        let mut roots = RootCertStore::empty();
        for cert in CertificateDer::pem_slice_iter(reader.trusted().as_bytes()) {
            roots.add(cert.unwrap()).unwrap();
        }
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::new(ring::default_provider()))
            .build()
            .unwrap();
        let leaf = CertificateDer::from_pem_slice(listener.certificate().as_bytes()).unwrap();
        let name = ServerName::try_from(ADMIN_SERVER_NAME).unwrap();
        let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(u64::try_from(now.as_second()).unwrap()));
        verifier.verify_server_cert(&leaf, &[], &name, &[], now).is_ok()
    }

    #[test]
    fn nothing_changes_before_something_is_due() {
        let first = Pki::advance(None, at(0)).unwrap();
        assert_eq!(Pki::advance(Some(first.clone()), at(LEAF_REPLACED - 1)).unwrap(), first);
    }

    #[test]
    fn a_cluster_does_not_trust_the_certificates_of_another() {
        let (one, other) = (Pki::advance(None, at(0)).unwrap(), Pki::advance(None, at(0)).unwrap());
        assert!(trusts(&one, &one, at(0)));
        assert!(!trusts(&one, &other, at(0)));
    }

    #[test]
    fn the_listeners_certificate_is_made_anew_well_before_it_expires_and_the_ca_stays() {
        let first = Pki::advance(None, at(0)).unwrap();
        let later = Pki::advance(Some(first.clone()), at(LEAF_REPLACED)).unwrap();
        assert_ne!(first.certificate(), later.certificate());
        assert_eq!(first.trusted(), later.trusted());
        assert!(trusts(&first, &later, at(LEAF_VALID)));
        assert!(!trusts(&first, &first, at(LEAF_VALID + 1)));
    }

    #[test]
    fn at_every_step_of_a_rotation_those_of_the_step_before_and_after_trust_each_other() {
        let first = Pki::advance(None, at(0)).unwrap();
        let (mut last, mut now) = (first.clone(), 0);
        while now < CA_REPLACED + DAY {
            now += if now < CA_REPLACED - 30 * DAY { 30 * DAY } else { SETTLE };
            let next = Pki::advance(Some(last.clone()), at(now)).unwrap();
            assert!(
                trusts(&last, &next, at(now)) && trusts(&next, &last, at(now)),
                "at {now}"
            );
            last = next;
        }
        assert_ne!(first.current, last.current, "the CA was replaced");
        assert_eq!(
            (&last.next, &last.previous),
            (&None, &None),
            "and nothing of it is left"
        );
        assert!(!trusts(&first, &last, at(now)));
    }

    #[test]
    fn a_certificate_of_a_clock_that_was_ahead_is_made_anew_when_the_clock_is_right_and_the_ca_stays() {
        let first = Pki::advance(None, at(0)).unwrap();
        let ahead = Pki::advance(Some(first.clone()), at(DAY + LEAF_REPLACED)).unwrap();
        assert!(!trusts(&first, &ahead, at(DAY)), "it is not valid yet");
        let right = Pki::advance(Some(ahead.clone()), at(DAY)).unwrap();
        assert!(trusts(&first, &right, at(DAY)) && trusts(&right, &right, at(DAY)));
        assert_eq!(right.trusted(), first.trusted());
        assert_eq!(Pki::advance(Some(right.clone()), at(DAY + 1)).unwrap(), right);
    }

    #[test]
    fn a_ca_of_a_clock_that_was_ahead_gets_a_successor_in_the_usual_steps() {
        let ahead = Pki::advance(None, at(60 * DAY)).unwrap();
        let begun = Pki::advance(Some(ahead.clone()), at(0)).unwrap();
        assert!(trusts(&ahead, &begun, at(0)) && trusts(&begun, &begun, at(0)));
        assert_eq!(Pki::advance(Some(begun.clone()), at(1)).unwrap(), begun);
        let signs = Pki::advance(Some(begun.clone()), at(SETTLE)).unwrap();
        assert!(
            trusts(&begun, &signs, at(SETTLE)),
            "its successor is trusted beforehand"
        );
        assert_eq!(signs.current.made, at(0));
        assert_eq!(Pki::advance(Some(signs), at(2 * SETTLE)).unwrap().previous, None);
    }

    #[test]
    fn a_rotation_that_a_clock_ahead_has_begun_or_ended_goes_on_by_the_right_clock() {
        let first = Pki::advance(None, at(0)).unwrap();
        let begun = Pki::advance(Some(first.clone()), at(CA_REPLACED)).unwrap();
        assert!(begun.next.is_some());
        let back = Pki::advance(Some(begun.clone()), at(DAY)).unwrap();
        let next = back.next.as_ref().unwrap();
        assert_eq!(next.made, at(DAY), "the next CA is valid now");
        let ended = Pki::advance(Some(begun), at(CA_REPLACED + SETTLE)).unwrap();
        let back = Pki::advance(Some(ended), at(DAY)).unwrap();
        assert!(trusts(&back, &back, at(DAY)));
        assert_eq!(back.previous.as_ref().unwrap().since, at(DAY));
    }

    #[test]
    fn clocks_that_differ_by_less_than_certificates_allow_change_nothing() {
        let first = Pki::advance(None, at(SKEW)).unwrap();
        assert_eq!(Pki::advance(Some(first.clone()), at(0)).unwrap(), first);
    }

    #[test]
    fn what_is_kept_reads_back_the_same() {
        let pki = Pki::advance(None, at(0)).unwrap();
        let text = serde_json::to_string(&pki).unwrap();
        assert_eq!(serde_json::from_str::<Pki>(&text).unwrap(), pki);
    }
}
