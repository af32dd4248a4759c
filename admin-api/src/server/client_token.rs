//! What a client's token allows: the claims of a JSON Web Token (RFC 7519) as Sfumato reads them, and the decision about
//! one request. Pure: signatures are checked where the keys are, and the clock is a parameter.

use crate::types::StreamName;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How far the clocks of issuer and node may differ, in both directions.
pub const CLOCK_SKEW: Duration = Duration::from_secs(30);
/// Longest list of patterns in one claim: a token travels in every request.
pub const MAX_PATTERNS: usize = 64;

/// Names of streams: one exactly, or every one that fits. `*` stands for any characters, also none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StreamPattern(String);

/// Why a pattern was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("stream pattern `{0}` is not allowed: use 1 to 128 of A-Z, a-z, 0-9, `.`, `_`, `-` and `*`")]
pub struct InvalidPattern(String);

impl StreamPattern {
    /// Whether the name fits.
    #[must_use]
    pub fn matches(&self, stream: &StreamName) -> bool {
        let name = stream.as_str();
        let mut parts = self.0.split('*');
        // `split` gives at least one part, which is the whole pattern when there is no `*`.
        let first = parts.next().unwrap_or_default();
        let Some(mut rest) = name.strip_prefix(first) else {
            return false;
        };
        let Some(last) = parts.next_back() else {
            return rest.is_empty();
        };
        // Each part in the middle is taken where it occurs first, which leaves the most for what follows.
        for part in parts {
            let Some(at) = rest.find(part) else { return false };
            rest = &rest[at + part.len()..];
        }
        rest.ends_with(last)
    }
}

impl TryFrom<String> for StreamPattern {
    type Error = InvalidPattern;
    fn try_from(text: String) -> Result<Self, InvalidPattern> {
        let fine = (1..=crate::types::MAX_STREAM_NAME).contains(&text.len())
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'*'));
        if fine {
            Ok(Self(text))
        } else {
            Err(InvalidPattern(text.chars().take(64).collect()))
        }
    }
}

impl FromStr for StreamPattern {
    type Err = InvalidPattern;
    fn from_str(text: &str) -> Result<Self, InvalidPattern> {
        Self::try_from(text.to_owned())
    }
}

impl From<StreamPattern> for String {
    fn from(pattern: StreamPattern) -> Self {
        pattern.0
    }
}

impl fmt::Display for StreamPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// A WHIP session.
    Publish,
    /// A WHEP session.
    Play,
}

impl Action {
    /// Name of the claim that allows it.
    #[must_use]
    pub fn claim(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Play => "play",
        }
    }
}

/// Claims of a token. Unknown ones are ignored (RFC 7519 section 4).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenClaims {
    /// Streams that may be published.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub publish: Vec<StreamPattern>,
    /// Streams that may be watched.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub play: Vec<StreamPattern>,
    /// Whether a name that somebody else publishes may be taken over.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub takeover: bool,
    /// Whether the whole cluster may be seen: its nodes, all streams and who watches them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub observe: bool,
    /// End of its life, in seconds since 1970; required.
    pub exp: NumericDate,
    /// Start of its life.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nbf: Option<NumericDate>,
    /// Who made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iss: Option<String>,
    /// Whom it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aud: Option<Audience>,
}

/// Seconds since 1970; fractions are allowed in tokens and are cut off (RFC 7519 section 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "serde_json::Number", into = "u64")]
pub struct NumericDate(pub u64);

impl TryFrom<serde_json::Number> for NumericDate {
    type Error = &'static str;
    fn try_from(number: serde_json::Number) -> Result<Self, Self::Error> {
        let whole = number.as_u64().or_else(|| {
            let seconds = number.as_f64()?;
            // Beyond 2^53 a float has no seconds any more.
            (0.0..9e15).contains(&seconds).then_some(seconds as u64)
        });
        whole.map(Self).ok_or("a date is a number of seconds since 1970")
    }
}

impl From<NumericDate> for u64 {
    fn from(date: NumericDate) -> Self {
        date.0
    }
}

impl NumericDate {
    /// The second that a time falls into.
    #[must_use]
    pub fn of(time: SystemTime) -> Self {
        Self(time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()))
    }

    fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration.as_secs()))
    }
}

/// One audience or several (RFC 7519 section 4.1.3).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Audience {
    /// One.
    One(String),
    /// Several.
    Many(Vec<String>),
}

impl Audience {
    fn includes(&self, name: &str) -> bool {
        match self {
            Self::One(one) => one == name,
            Self::Many(many) => many.iter().any(|one| one == name),
        }
    }
}

/// What every token must say, besides its dates.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TokenRules {
    /// `iss` of every token, when set.
    pub issuer: Option<String>,
    /// A member of every token's `aud`, when set.
    pub audience: Option<String>,
}

/// What a client may do beside what it asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Access {
    /// A name that somebody else publishes may be taken over.
    pub takeover: bool,
}

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// The token is no good for anything: 401, `invalid_token` (RFC 6750 section 3.1).
    #[error("{0}")]
    Invalid(String),
    /// The token is good, but not for this: 403, `insufficient_scope`.
    #[error("the token's `{claim}` claim does not name {stream}", claim = .action.claim())]
    Insufficient {
        /// What was asked for.
        action: Action,
        /// On which stream.
        stream: StreamName,
    },
    /// The token is good, but not for a look at the cluster: 403 as well.
    #[error("the token has no `observe` claim, which lets its holder see the whole cluster")]
    MayNotObserve,
}

/// Decides about one request by the claims of a token whose signature is right.
///
/// # Errors
/// [`Denied::Invalid`] for a token that is expired, not valid yet, of another issuer or for another audience;
/// [`Denied::Insufficient`] for one that does not allow this.
pub fn check(
    claims: &TokenClaims,
    rules: &TokenRules,
    action: Action,
    stream: &StreamName,
    now: SystemTime,
) -> Result<Access, Denied> {
    is_for_us(claims, rules, now)?;
    let patterns = match action {
        Action::Publish => &claims.publish,
        Action::Play => &claims.play,
    };
    if patterns.len() > MAX_PATTERNS {
        let why = "the token lists more stream patterns than are looked at (64)";
        return Err(Denied::Invalid(why.to_owned()));
    }
    if !patterns.iter().any(|pattern| pattern.matches(stream)) {
        return Err(Denied::Insufficient {
            action,
            stream: stream.clone(),
        });
    }
    Ok(Access {
        takeover: claims.takeover,
    })
}

/// Decides whether the holder of a token whose signature is right may see the cluster.
///
/// # Errors
/// As [`check`].
pub fn check_observer(claims: &TokenClaims, rules: &TokenRules, now: SystemTime) -> Result<(), Denied> {
    is_for_us(claims, rules, now)?;
    if claims.observe {
        Ok(())
    } else {
        Err(Denied::MayNotObserve)
    }
}

/// What is asked of every token, whatever it is presented for.
fn is_for_us(claims: &TokenClaims, rules: &TokenRules, now: SystemTime) -> Result<(), Denied> {
    let invalid = |why: &str| Err(Denied::Invalid(why.to_owned()));
    let now = NumericDate::of(now);
    if claims.exp.plus(CLOCK_SKEW) <= now {
        return invalid("the token has expired: get a new one");
    }
    if claims.nbf.is_some_and(|nbf| nbf > now.plus(CLOCK_SKEW)) {
        return invalid("the token is not valid yet: compare the clocks of its issuer and of this node");
    }
    if rules.issuer.is_some() && claims.iss != rules.issuer {
        return invalid("the token's `iss` is not the issuer that this node was told (--auth-issuer)");
    }
    match (&rules.audience, &claims.aud) {
        (Some(ours), Some(theirs)) if theirs.includes(ours) => {}
        (None, None) => {}
        (Some(_), _) => return invalid("the token's `aud` does not name this service (--auth-audience)"),
        // RFC 7519 section 4.1.3: one that names an audience must be refused by everybody else.
        (None, Some(_)) => {
            return invalid("the token names an audience, and this node was told none (--auth-audience)");
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "client_token_tests.rs"]
mod tests;
