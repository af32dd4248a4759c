//! M-sections that a client rejects by port 0 (RFC 3264 section 8.2): they keep their place and say nothing else. The
//! answer rejects them too, outside the bundle.

use super::SdpError;
use super::attributes::{first, has};
use sdp_types::{Attribute, Connection, Media, Session};
use std::net::{IpAddr, Ipv4Addr};

/// A rejected m-section, as its answer repeats it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// Its place among all m-sections, from 0.
    pub index: usize,
    media: String,
    proto: String,
    format: String,
    mid: Option<String>,
}

/// Takes them out of an offer, so that nothing of them counts. Answers them, and the places of those that are left.
///
/// # Errors
/// When none is left, or when an m-line cannot be repeated.
pub(super) fn take(session: &mut Session) -> Result<(Vec<Rejected>, Vec<usize>), SdpError> {
    let (mut rejected, mut places, mut left) = (Vec::new(), Vec::new(), Vec::new());
    for (index, media) in std::mem::take(&mut session.medias).into_iter().enumerate() {
        if is_rejected(&media) {
            rejected.push(Rejected::of(index, &media)?);
        } else {
            places.push(index);
            left.push(media);
        }
    }
    if left.is_empty() {
        return Err(SdpError::unsupported(
            "m=",
            "every m-section has port 0, which rejects it: offer audio, video or both with port 9",
        ));
    }
    session.medias = left;
    Ok((rejected, places))
}

/// Port 0 with `a=bundle-only` asks for a place in the bundle instead (RFC 9143 section 6).
fn is_rejected(media: &Media) -> bool {
    media.port == 0 && !has(&media.attributes, "bundle-only")
}

impl Rejected {
    fn of(index: usize, media: &Media) -> Result<Self, SdpError> {
        let format = media.fmt.split_ascii_whitespace().next().unwrap_or_default();
        let is_word = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        if ![&media.media, &media.proto, format].into_iter().all(is_word) {
            let detail = format!("m-section {} is not m=KIND PORT PROTOCOL FORMAT", index + 1);
            return Err(SdpError::malformed("m=", detail));
        }
        Ok(Self {
            index,
            media: media.media.clone(),
            proto: media.proto.clone(),
            format: format.to_owned(),
            mid: first(&media.attributes, "mid")
                .filter(|mid| is_word(mid))
                .map(str::to_owned),
        })
    }

    /// Its m-section in the answer.
    pub(super) fn answer(&self) -> Media {
        let mut media = Media {
            media: self.media.clone(),
            port: 0,
            num_ports: None,
            proto: self.proto.clone(),
            fmt: self.format.clone(),
            media_title: None,
            connections: vec![Connection::from_ip_addr(IpAddr::V4(Ipv4Addr::UNSPECIFIED))],
            bandwidths: Vec::new(),
            key: None,
            attributes: Vec::new(),
        };
        if let Some(mid) = &self.mid {
            media.add_attribute(Attribute::with_value("mid", mid.clone()));
        }
        media.add_attribute(Attribute::new("inactive"));
        media
    }
}
