//! SDP fragments (`application/trickle-ice-sdpfrag`, RFC 8840 section 9): a few lines of a session description, without
//! `v=`, `o=`, `s=` and `t=`. Clients send them to trickle and to restart ICE; a restart is answered with one.

use super::lines::candidate_values;
use super::steps::{self, Walk};
use super::text::clip;
use super::{SdpError, bounds};
use mediasoup::types::data_structures::{IceCandidate, IceParameters};

/// What a client's fragment says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fragment {
    /// User name fragment, at session level or of the first m-section that has one.
    pub ufrag: Option<String>,
    /// Password, likewise.
    pub pwd: Option<String>,
    /// Candidates, with and without a transport that we know.
    pub candidates: usize,
    /// The client has no more candidates.
    pub end_of_candidates: bool,
}

impl Fragment {
    /// Parses the body of a PATCH. Candidates are checked and then dropped, as are attributes that mean nothing here:
    /// this server is ICE lite and learns the client's addresses from its checks.
    pub fn parse(body: &[u8]) -> Result<Self, SdpError> {
        bounds::check(body)?;
        let text =
            std::str::from_utf8(body).map_err(|_| SdpError::malformed("body", "the fragment is not UTF-8 text"))?;
        let mut fragment = Self::default();
        for line in text.lines().walked().map(str::trim_end).filter(|line| !line.is_empty()) {
            fragment.line(line)?;
        }
        Ok(fragment)
    }

    fn line(&mut self, line: &str) -> Result<(), SdpError> {
        let bytes = line.as_bytes();
        if bytes.len() < 2 || !bytes[0].is_ascii_lowercase() || bytes[1] != b'=' {
            let detail = format!("`{}` is not a line of an SDP fragment (RFC 8840)", clip(line));
            return Err(SdpError::malformed("body", detail));
        }
        // Each line is read a fixed number of times.
        steps::add(line.len());
        let value = &line[2..];
        match bytes[0] {
            b'm' if value.split_ascii_whitespace().count() < 4 => Err(SdpError::malformed(
                "m=",
                format!("`{}` is not m=KIND PORT PROTOCOL FORMAT", clip(line)),
            )),
            b'a' => self.attribute(value),
            _ => Ok(()),
        }
    }

    fn attribute(&mut self, attribute: &str) -> Result<(), SdpError> {
        let (name, value) = attribute.split_once(':').unwrap_or((attribute, ""));
        match name {
            "ice-ufrag" => credential("a=ice-ufrag", value, 4).map(|value| {
                self.ufrag.get_or_insert(value);
            }),
            "ice-pwd" => credential("a=ice-pwd", value, 22).map(|value| {
                self.pwd.get_or_insert(value);
            }),
            "end-of-candidates" => {
                self.end_of_candidates = true;
                Ok(())
            }
            // Browsers say the end with an empty candidate.
            "candidate" if value.trim().is_empty() => {
                self.end_of_candidates = true;
                Ok(())
            }
            "candidate" => {
                self.candidates += 1;
                candidate(value)
            }
            _ => Ok(()),
        }
    }
}

/// ice-char (RFC 8839 section 5.4): letters, digits, `+` and `/`. Some stacks use more, so any visible character passes.
pub(super) fn credential(field: &str, value: &str, least: usize) -> Result<String, SdpError> {
    let fine = (least..=256).contains(&value.len()) && value.bytes().all(|b| b.is_ascii_graphic());
    fine.then(|| value.to_owned())
        .ok_or_else(|| SdpError::malformed(field, format!("{field} must be {least} to 256 visible characters")))
}

/// RFC 8839 section 5.1. Transport, address and type are not judged: what we do not know is dropped silently.
fn candidate(value: &str) -> Result<(), SdpError> {
    let words: Vec<&str> = value.split_ascii_whitespace().collect();
    let fine = match words.as_slice() {
        [
            foundation,
            component,
            _transport,
            priority,
            _address,
            port,
            "typ",
            _kind,
            ..,
        ] => {
            foundation.len() <= 32
                && component.parse::<u16>().is_ok_and(|c| (1..=256).contains(&c))
                && priority.parse::<u32>().is_ok()
                && port.parse::<u16>().is_ok()
        }
        _ => false,
    };
    fine.then_some(()).ok_or_else(|| {
        let detail = format!(
            "`{}` is not FOUNDATION COMPONENT TRANSPORT PRIORITY ADDRESS PORT typ TYPE",
            clip(value)
        );
        SdpError::malformed("a=candidate", detail)
    })
}

/// What a fragment of ours repeats of the description that the session began with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BundleTag {
    /// The line of the first m-section in the bundle, whole: the bundle is named by it (RFC 9143 section 7.2).
    media: String,
    mid: String,
    mids: String,
}

impl BundleTag {
    /// Reads it from a description that this server wrote.
    pub fn of(description: &str) -> Self {
        let lines = || description.lines();
        let or = |line: Option<&str>, prefix: &str| line.unwrap_or(prefix).to_owned();
        let mut from_media = lines().skip_while(|line| !is_in_bundle(line));
        Self {
            media: or(from_media.next(), "m="),
            mid: or(from_media.find(|line| line.starts_with("a=mid:")), "a=mid:"),
            mids: or(lines().find(|line| line.starts_with(BUNDLE)), BUNDLE),
        }
    }
}

const BUNDLE: &str = "a=group:BUNDLE";

/// Whether this is the line of an m-section that is not rejected by port 0.
fn is_in_bundle(line: &str) -> bool {
    let media = line.strip_prefix("m=");
    media.is_some_and(|media| media.split(' ').nth(1) != Some("0"))
}

/// The answer to an ICE restart: the same ICE options as in the answer to the offer, new credentials, all candidates.
pub fn write(tag: &BundleTag, ice: &IceParameters, candidates: &[IceCandidate]) -> String {
    let mut lines = vec![
        "a=ice-lite".to_owned(),
        super::lines::ICE_OPTIONS_LINE.to_owned(),
        tag.mids.clone(),
        tag.media.clone(),
        tag.mid.clone(),
        format!("a=ice-ufrag:{}", ice.username_fragment),
        format!("a=ice-pwd:{}", ice.password),
    ];
    let values = candidate_values(candidates).into_iter();
    lines.extend(values.map(|value| format!("a=candidate:{value}")));
    lines.push("a=end-of-candidates".to_owned());
    lines.push(String::new());
    lines.join("\r\n")
}

#[cfg(test)]
#[path = "fragment_tests.rs"]
mod tests;
