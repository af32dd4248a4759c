//! Bounds on what is read from others: every number, list and text of these types has one, checked while it is decoded.
//!
//! A node may run an image that somebody else built, and what it says of itself must not fill the memory of those who read it.
//! Whatever is over a bound makes the whole answer unusable: half of a lie is no better. The bounds are well above what a node
//! of the largest cluster says; `docs/access.md` lists them. Only lists for people are read to their bound and no further: a
//! node may well have more streams than a reader has room for, and nothing that it does depends on who lists them.

use serde::de::{Error, IgnoredAny, SeqAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer};
use std::fmt;
use std::marker::PhantomData;

/// Most nodes of a cluster that are looked at, by whoever looks: twice as many as a cluster may have, since pods that leave
/// stand beside those that come.
pub const MAX_MEMBERS: usize = 64;
/// Most peers that a node may name.
pub const MAX_PEERS: usize = MAX_MEMBERS;
/// Most mediasoup workers of a node, and most lanes of a pair: `--workers` allows no more.
pub const MAX_WORKERS: u64 = 64;
/// Highest number of a lane; they are counted from 0.
pub const MAX_LANE: u64 = MAX_WORKERS - 1;
/// Most ends of links in one report or request: 31 peers with 64 lanes each are 1984.
pub const MAX_LINKS: usize = 2_048;
/// Most lanes that one request for links may name.
pub const MAX_LANES_ASKED: usize = 64;
/// Most publications that are read of one list of a node's report: its own, or those that it carries.
pub const MAX_REPORTED: usize = 4_096;
/// Most publications of one node, as its peers know them.
pub const MAX_PUBLICATIONS: usize = 16_384;
/// Most tracks of a publication. There are two kinds, and one of each.
pub const MAX_TRACKS: usize = 4;
/// Most simulcast layers of a track. Nodes accept four.
pub const MAX_LAYERS: usize = 8;
/// Most holders of one name on one node. Two during a take-over.
pub const MAX_HOLDERS: usize = 8;
/// Most reasons of a drain. They form a set of four.
pub const MAX_REASONS: usize = 16;
/// Most sessions of a node, open or listed: `--max-sessions` allows 100,000.
pub const MAX_SESSIONS: u64 = 1_000_000;
/// Most candidates that a session's client is said to have been given: 8 addresses for UDP and TCP are 16.
pub const MAX_CANDIDATES: usize = 32;
/// Longest host name, in bytes (RFC 1035 section 2.3.4).
pub const MAX_HOST: usize = 253;
/// Longest base URL, in bytes.
pub const MAX_URL: usize = 512;
/// Longest release, codec, rid and track id, in bytes.
pub const MAX_WORD: usize = 100;
/// Longest text for people, in bytes.
pub const MAX_TEXT: usize = 2_000;
/// Highest whole number: up to here every reader of JSON holds integers exactly. Counters, revisions and generations of nodes
/// never get there, and a few of them can be added without an overflow.
pub const MAX_WHOLE: u64 = 1 << 53;
/// Most pixels in a direction.
pub const MAX_PIXELS: u64 = 65_535;
/// Highest load. It is a share of a core; clocks of threads are coarse, so a little more than 1 may be measured.
pub const MAX_LOAD: f64 = 2.0;

/// A list of at most `MOST` entries. Reading ends with the first that is too many.
pub fn list<'de, D, T, const MOST: usize>(from: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    from.deserialize_seq(Bounded::<T, MOST> {
        skips: false,
        of: PhantomData,
    })
}

/// The first entries of a list, at most `MOST`. Those after them are skipped, whatever they are: what is read of an answer at
/// all is bounded where it comes in.
pub fn first<'de, D, T, const MOST: usize>(from: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    from.deserialize_seq(Bounded::<T, MOST> {
        skips: true,
        of: PhantomData,
    })
}

struct Bounded<T, const MOST: usize> {
    skips: bool,
    of: PhantomData<T>,
}

impl<'de, T: Deserialize<'de>, const MOST: usize> Visitor<'de> for Bounded<T, MOST> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of at most {MOST} entries")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Vec<T>, A::Error> {
        let mut list = Vec::new();
        while list.len() < MOST {
            match entries.next_element()? {
                Some(entry) => list.push(entry),
                None => return Ok(list),
            }
        }
        while entries.next_element::<IgnoredAny>()?.is_some() {
            if !self.skips {
                return Err(A::Error::custom(format_args!("more than {MOST} entries")));
            }
        }
        Ok(list)
    }
}

/// A text of at most `MOST` bytes without control characters, which would write into logs and terminals.
pub fn text<'de, D: Deserializer<'de>, const MOST: usize>(from: D) -> Result<String, D::Error> {
    checked_text::<D::Error, MOST>(String::deserialize(from)?)
}

/// The same, or nothing.
pub fn optional_text<'de, D: Deserializer<'de>, const MOST: usize>(from: D) -> Result<Option<String>, D::Error> {
    let text = Option::<String>::deserialize(from)?;
    text.map(checked_text::<D::Error, MOST>).transpose()
}

fn checked_text<E: Error, const MOST: usize>(text: String) -> Result<String, E> {
    if text.len() > MOST {
        return Err(E::custom(format_args!(
            "a text of {} bytes, at most {MOST} are allowed",
            text.len()
        )));
    }
    if text.contains(char::is_control) {
        return Err(E::custom("a text with control characters"));
    }
    Ok(text)
}

/// The base URL of a listener: `http://` or `https://`, without blanks.
pub fn url<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let expected = "a URL that begins with http:// or https://";
    checked_url(text::<D, MAX_URL>(from)?, &["http://", "https://"], expected)
}

/// The base URL of a listener with TLS, or nothing. What it is for must not end up in clear by a word of the node.
pub fn optional_secure_url<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    let url = optional_text::<D, MAX_URL>(from)?;
    url.map(|url| checked_url(url, &["https://"], "a URL that begins with https://"))
        .transpose()
}

fn checked_url<E: Error>(url: String, schemes: &[&str], expected: &str) -> Result<String, E> {
    let is_one = schemes.iter().any(|scheme| url.starts_with(scheme));
    if !is_one || url.contains(char::is_whitespace) {
        return Err(E::invalid_value(Unexpected::Str(clipped(&url)), &expected));
    }
    Ok(url)
}

/// A whole number of at most `MOST`.
pub fn whole<'de, D, T, const MOST: u64>(from: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: TryFrom<u64>,
{
    checked_whole::<D::Error, T, MOST>(u64::deserialize(from)?)
}

/// The same, or nothing.
pub fn optional_whole<'de, D, T, const MOST: u64>(from: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: TryFrom<u64>,
{
    let number = Option::<u64>::deserialize(from)?;
    number.map(checked_whole::<D::Error, T, MOST>).transpose()
}

fn checked_whole<E: Error, T: TryFrom<u64>, const MOST: u64>(number: u64) -> Result<T, E> {
    let too_much = || E::custom(format_args!("{number} is over {MOST}"));
    if number > MOST {
        return Err(too_much());
    }
    T::try_from(number).map_err(|_| too_much())
}

/// A load: finite, and from 0 to [`MAX_LOAD`].
pub fn load<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    let load = f64::deserialize(from)?;
    if (0.0..=MAX_LOAD).contains(&load) {
        Ok(load)
    } else {
        Err(D::Error::custom(format_args!(
            "{load} is no load: it is 0 to {MAX_LOAD}"
        )))
    }
}

/// A text that fits [`MAX_TEXT`] and has no control characters: what a node writes of errors that others have worded.
#[must_use]
pub fn fitting_text(text: &str) -> String {
    let plain = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut fitting = String::new();
    for c in plain {
        if fitting.len() + c.len_utf8() > MAX_TEXT {
            break;
        }
        fitting.push(c);
    }
    fitting
}

/// The begin of a foreign text, for an error.
fn clipped(text: &str) -> &str {
    const SHOWN: usize = 64;
    text.char_indices().nth(SHOWN).map_or(text, |(end, _)| &text[..end])
}
