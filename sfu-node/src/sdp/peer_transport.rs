//! The client's end of the transport: ICE credentials, DTLS fingerprints, and attributes that stand at either level.

use super::SdpError;
use super::attributes::{first, values};
use super::credentials::Credentials;
use super::steps::{self, Walk};
use super::text::clip;
use mediasoup::types::data_structures::DtlsFingerprint;
use sdp_types::{Attribute, Fingerprint, HashFunc, Session};
use std::str::FromStr;

/// Every set of credentials in an offer; sections of one bundle mostly repeat the same.
pub(super) fn credentials(session: &Session) -> Result<Vec<Credentials>, SdpError> {
    let of = |ufrag: Option<&str>, pwd: Option<&str>| Some((ufrag?.to_owned(), pwd?.to_owned()));
    let (ufrag, pwd) = ("ice-ufrag", "ice-pwd");
    let at = |attributes: &[Attribute]| of(first(attributes, ufrag), first(attributes, pwd));
    let at_session = at(&session.attributes);
    let at_media = session.medias.iter().filter_map(|media| at(&media.attributes));
    let mut found: Vec<Credentials> = Vec::new();
    for (ufrag, pwd) in at_session.into_iter().chain(at_media) {
        let credentials = Credentials { ufrag, pwd };
        // One for each m-section at most.
        if !found.iter().walked().any(|there| *there == credentials) {
            found.push(credentials);
        }
    }
    if found.is_empty() {
        let missing = if first_value(session, ufrag).is_some() {
            "a=ice-pwd"
        } else {
            "a=ice-ufrag"
        };
        return Err(SdpError::malformed(missing, format!("there is no {missing}")));
    }
    Ok(found)
}

/// Value of an attribute at session level, else in the first m-section that has it.
pub(super) fn first_value(session: &Session, name: &str) -> Option<String> {
    let at_media = || session.medias.iter().find_map(|media| first(&media.attributes, name));
    first(&session.attributes, name).or_else(at_media).map(str::to_owned)
}

pub(super) fn fingerprints(session: &Session) -> Result<Vec<DtlsFingerprint>, SdpError> {
    let lists = std::iter::once(&session.attributes).chain(session.medias.iter().map(|media| &media.attributes));
    let mut found: Vec<DtlsFingerprint> = Vec::new();
    for value in lists.flat_map(|attributes| values(attributes, "fingerprint")) {
        steps::add(value.len());
        let parsed = Fingerprint::from_str(value).map_err(|error| {
            let detail = format!("a=fingerprint:{}: {error}", clip(value));
            SdpError::malformed("a=fingerprint", detail)
        })?;
        // Bounded to a few for each m-section, and each line is far longer than such a list.
        if let Some(fingerprint) = fingerprint(&parsed)
            && !found.iter().walked().any(|there| *there == fingerprint)
        {
            found.push(fingerprint);
        }
    }
    if found.is_empty() {
        return Err(SdpError::malformed(
            "a=fingerprint",
            "the offer has no a=fingerprint of sha-256 or a sibling",
        ));
    }
    found.sort_by_key(|f| !matches!(f, DtlsFingerprint::Sha256 { .. }));
    Ok(found)
}

fn fingerprint(parsed: &Fingerprint) -> Option<DtlsFingerprint> {
    let bytes = parsed.fingerprint.as_slice();
    match parsed.hash_func {
        HashFunc::Sha1 => Some(DtlsFingerprint::Sha1 {
            value: bytes.try_into().ok()?,
        }),
        HashFunc::Sha224 => Some(DtlsFingerprint::Sha224 {
            value: bytes.try_into().ok()?,
        }),
        HashFunc::Sha256 => Some(DtlsFingerprint::Sha256 {
            value: bytes.try_into().ok()?,
        }),
        HashFunc::Sha384 => Some(DtlsFingerprint::Sha384 {
            value: bytes.try_into().ok()?,
        }),
        HashFunc::Sha512 => Some(DtlsFingerprint::Sha512 {
            value: bytes.try_into().ok()?,
        }),
        HashFunc::Md5 | HashFunc::Md2 | HashFunc::Other(_) => None,
    }
}
