//! The token that a request presents (RFC 6750 section 2): in `Authorization: Bearer TOKEN`, or, for clients that can be
//! given only an URL, in the query as `access_token=TOKEN`.

use reqwest::header::{AUTHORIZATION, HeaderMap};

/// Name in the query.
pub const QUERY: &str = "access_token";
/// Longest token, in bytes.
pub const MAX_TOKEN: usize = 8 * 1024;

/// How a request fails to present a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Header and query at once, or one of them twice.
    #[error("send the token once: in the Authorization header or as `{QUERY}` in the query")]
    Twice,
    /// Longer than [`MAX_TOKEN`], or not text.
    #[error("a token is text of at most {MAX_TOKEN} bytes")]
    Unreadable,
}

/// The token, if there is one.
///
/// # Errors
/// When it comes twice, or cannot be a token.
pub fn presented<'a>(headers: &'a HeaderMap, query: Option<&'a str>) -> Result<Option<&'a str>, Fault> {
    let mut found = None;
    let in_headers = headers.get_all(AUTHORIZATION).iter().map(|value| {
        let text = value.to_str().map_err(|_| Fault::Unreadable)?;
        Ok(bearer(text))
    });
    let in_query = query.unwrap_or_default().split('&').map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        Ok((name == QUERY).then_some(value))
    });
    for token in in_headers.chain(in_query) {
        let Some(token) = token?.filter(|token| !stands_for_none(token)) else {
            continue;
        };
        if found.replace(token).is_some() {
            return Err(Fault::Twice);
        }
    }
    match found {
        Some(token) if token.len() > MAX_TOKEN => Err(Fault::Unreadable),
        other => Ok(other),
    }
}

/// RFC 9110 section 11.1: the scheme's name is case-insensitive.
fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.trim().split_once(' ')?;
    scheme.eq_ignore_ascii_case("Bearer").then(|| token.trim())
}

/// Players that were given no token send an empty one, or what their language calls nothing.
fn stands_for_none(token: &str) -> bool {
    matches!(token, "" | "undefined" | "null")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(authorization: &[&str], query: &str) -> Result<Option<String>, Fault> {
        let mut headers = HeaderMap::new();
        for value in authorization {
            headers.append(AUTHORIZATION, value.parse().unwrap());
        }
        presented(&headers, Some(query)).map(|token| token.map(str::to_owned))
    }

    #[test]
    fn a_token_comes_in_the_header_or_in_the_query() {
        assert_eq!(of(&["Bearer a.b.c"], ""), Ok(Some("a.b.c".into())));
        assert_eq!(of(&["bearer  a.b.c "], "x=1"), Ok(Some("a.b.c".into())));
        assert_eq!(of(&[], "x=1&access_token=a.b.c"), Ok(Some("a.b.c".into())));
    }

    #[test]
    fn other_schemes_and_words_for_nothing_are_no_token() {
        for header in ["Basic abc", "Bearer", "Bearer undefined", "Bearer null", "a.b.c"] {
            assert_eq!(of(&[header], "access_token=&token=a.b.c"), Ok(None), "{header}");
        }
        assert_eq!(
            of(&["Bearer undefined"], "access_token=a.b.c"),
            Ok(Some("a.b.c".into()))
        );
    }

    #[test]
    fn a_token_that_comes_twice_or_is_too_long_is_a_fault() {
        assert_eq!(of(&["Bearer a"], "access_token=a"), Err(Fault::Twice));
        assert_eq!(of(&["Bearer a", "Bearer b"], ""), Err(Fault::Twice));
        assert_eq!(of(&[], "access_token=a&access_token=b"), Err(Fault::Twice));
        assert_eq!(
            of(&[&format!("Bearer {}", "a".repeat(MAX_TOKEN + 1))], ""),
            Err(Fault::Unreadable)
        );
    }
}
