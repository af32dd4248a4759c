//! How much a description may hold. Checked in one pass over its bytes, before anything else looks at it: whoever walks a
//! list later knows that it is short.
//!
//! Browsers' offers have up to 60 payload types and 20 header extensions in a section, and about 300 lines altogether. The
//! bounds are far above that.

use super::SdpError;
use super::steps::{self, Walk};

/// Most lines of a description.
pub const MAX_LINES: usize = 2_048;
/// Longest line, in bytes.
pub const MAX_LINE: usize = 4_096;
/// Most m-sections; WHIP and WHEP need two.
pub const MAX_SECTIONS: usize = 16;
/// Most formats of an m-line: there are 128 payload types.
pub const MAX_FORMATS: usize = 128;
/// Most attributes of an m-section, and of the session.
pub const MAX_ATTRIBUTES: usize = 1_024;
/// Most `a=rtpmap` of an m-section: one for each payload type.
pub const MAX_RTPMAPS: usize = 128;
/// Most `a=fmtp` of an m-section: one for each payload type.
pub const MAX_FMTPS: usize = 128;
/// Most parameters of one `a=fmtp`; those of opus, which has the most, are ten.
pub const MAX_FMTP_PARAMETERS: usize = 32;
/// Most `a=rtcp-fb` of an m-section: six for each payload type.
pub const MAX_FEEDBACKS: usize = 768;
/// Most `a=rid` of an m-section, and most layers with their alternatives in `a=simulcast`.
pub const MAX_RIDS: usize = 16;
/// Most restrictions of one `a=rid`.
pub const MAX_RID_RESTRICTIONS: usize = 32;
/// Most `a=simulcast` of an m-section (RFC 8853 allows one).
pub const MAX_SIMULCASTS: usize = 2;
/// Most `a=extmap` of an m-section. Ids of one byte end at 14, and few clients use longer ones.
pub const MAX_EXTENSIONS: usize = 64;
/// Most `a=ssrc` of an m-section: four for each SSRC of three layers with RTX are 24.
pub const MAX_SSRCS: usize = 128;
/// Most `a=ssrc-group` of an m-section.
pub const MAX_SSRC_GROUPS: usize = 32;
/// Most `a=candidate` of an m-section.
pub const MAX_CANDIDATES: usize = 512;
/// Most words of one `a=candidate`, its extensions included.
pub const MAX_CANDIDATE_WORDS: usize = 64;
/// Most `a=fingerprint` of an m-section, and of the session.
pub const MAX_FINGERPRINTS: usize = 8;
/// Longest `a=fingerprint`, in bytes; sha-512 takes 200.
pub const MAX_FINGERPRINT: usize = 512;
/// Most `a=ice-ufrag` and most `a=ice-pwd` of an m-section, and of the session.
pub const MAX_CREDENTIALS: usize = 4;
/// Longest user name fragment or password of ICE, in bytes (RFC 8839 section 5.4).
pub const MAX_CREDENTIAL: usize = 256;
/// Most `a=group` of a session.
pub const MAX_GROUPS: usize = 16;
/// Most words of one `a=group`, one `a=ssrc-group`, or one list in `a=simulcast`.
pub const MAX_MEMBERS: usize = 64;

/// The bounds of one kind of attribute.
struct Bound {
    name: &'static str,
    /// Most lines of it in an m-section, or in the session.
    lines: usize,
    /// Longest value in bytes.
    bytes: usize,
    /// Most parts of a value.
    parts: usize,
    /// What its parts stand between.
    separators: &'static [u8],
}

/// Attributes of one part each.
const fn whole(name: &'static str, lines: usize, bytes: usize) -> Bound {
    Bound {
        name,
        lines,
        bytes,
        parts: 1,
        separators: b"",
    }
}

/// Attributes that are lists.
const fn list(name: &'static str, lines: usize, parts: usize, separators: &'static [u8]) -> Bound {
    Bound {
        name,
        lines,
        bytes: MAX_LINE,
        parts,
        separators,
    }
}

/// How many kinds of attributes have bounds of their own.
const KINDS: usize = 13;

static BOUNDS: [Bound; KINDS] = [
    whole("rtpmap", MAX_RTPMAPS, MAX_LINE),
    list("fmtp", MAX_FMTPS, MAX_FMTP_PARAMETERS, b";"),
    whole("rtcp-fb", MAX_FEEDBACKS, MAX_LINE),
    list("rid", MAX_RIDS, MAX_RID_RESTRICTIONS, b"; "),
    list("simulcast", MAX_SIMULCASTS, MAX_RIDS, b";, "),
    whole("extmap", MAX_EXTENSIONS, MAX_LINE),
    whole("ssrc", MAX_SSRCS, MAX_LINE),
    list("ssrc-group", MAX_SSRC_GROUPS, MAX_MEMBERS, b" "),
    list("candidate", MAX_CANDIDATES, MAX_CANDIDATE_WORDS, b" "),
    whole("fingerprint", MAX_FINGERPRINTS, MAX_FINGERPRINT),
    whole("ice-ufrag", MAX_CREDENTIALS, MAX_CREDENTIAL),
    whole("ice-pwd", MAX_CREDENTIALS, MAX_CREDENTIAL),
    list("group", MAX_GROUPS, MAX_MEMBERS, b" "),
];

/// Where in a description a line stands: the session, or the m-section of this number, counted from 1.
#[derive(Clone, Copy)]
struct Place(usize);

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            0 => f.write_str("the session"),
            number => write!(f, "m-section {number}"),
        }
    }
}

/// What an m-section has held so far.
#[derive(Default)]
struct Held {
    attributes: usize,
    of: [usize; KINDS],
}

/// Refuses a description that holds more than it may, whatever it means. Fragments and answers have the same bounds.
pub(super) fn check(description: &[u8]) -> Result<(), SdpError> {
    // Each byte is looked at a fixed number of times: for the end of its line, and for what its parts stand between.
    steps::add(description.len());
    let (mut place, mut held) = (Place(0), Held::default());
    // What follows the last line end is no line.
    let lines = description.strip_suffix(b"\n").unwrap_or(description);
    for (index, line) in lines.split(|byte| *byte == b'\n').walked().enumerate() {
        if index >= MAX_LINES {
            return Err(beyond("body", format!("has more than {MAX_LINES} lines")));
        }
        if line.len() > MAX_LINE {
            return Err(beyond("body", format!("has a line of more than {MAX_LINE} bytes")));
        }
        match line {
            [b'm', b'=', rest @ ..] => {
                (place, held) = (Place(place.0 + 1), Held::default());
                media(rest, place)?;
            }
            [b'a', b'=', rest @ ..] => held.attribute(rest, place)?,
            _ => {}
        }
    }
    Ok(())
}

fn beyond(field: impl Into<String>, what: impl std::fmt::Display) -> SdpError {
    SdpError::unsupported(
        field,
        format!("the description {what}, the most that this server takes"),
    )
}

/// `KIND PORT PROTOCOL FORMAT ...`.
fn media(line: &[u8], place: Place) -> Result<(), SdpError> {
    if place.0 > MAX_SECTIONS {
        return Err(beyond("m=", format!("has more than {MAX_SECTIONS} m-sections")));
    }
    let words = line.split(u8::is_ascii_whitespace).walked();
    if words.filter(|word| !word.is_empty()).take(MAX_FORMATS + 4).count() > MAX_FORMATS + 3 {
        let what = format!("has more than {MAX_FORMATS} formats (payload types) in {place}");
        return Err(beyond("m=", what));
    }
    Ok(())
}

impl Held {
    fn attribute(&mut self, line: &[u8], place: Place) -> Result<(), SdpError> {
        self.attributes += 1;
        if self.attributes > MAX_ATTRIBUTES {
            return Err(beyond(
                "a=",
                format!("has more than {MAX_ATTRIBUTES} attributes in {place}"),
            ));
        }
        let end = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let (name, value) = line.split_at(end);
        let known = |bound: &Bound| name.trim_ascii_end().eq_ignore_ascii_case(bound.name.as_bytes());
        let Some(index) = BOUNDS.iter().position(known) else {
            return Ok(());
        };
        let Bound {
            name,
            lines,
            bytes,
            parts,
            separators,
        } = &BOUNDS[index];
        let field = || format!("a={name}");
        self.of[index] += 1;
        if self.of[index] > *lines {
            return Err(beyond(
                field(),
                format!("has more than {lines} lines a={name} in {place}"),
            ));
        }
        // The colon is none of it, and neither is the end of the line.
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        if value.len() > *bytes {
            return Err(beyond(
                field(),
                format!("has an a={name} of more than {bytes} bytes in {place}"),
            ));
        }
        let found = value.split(|byte| separators.contains(byte)).walked();
        if found.filter(|part| !part.is_empty()).count() > *parts {
            return Err(beyond(
                field(),
                format!("has an a={name} of more than {parts} parts in {place}"),
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "bounds_tests.rs"]
mod tests;
