//! STUN and TURN servers that clients are told of (RFC 9725 section 4.6).

use std::fmt;
use std::str::FromStr;

/// One server; [`fmt::Display`] writes the value of its `Link` header.
#[derive(Clone, PartialEq, Eq)]
pub struct IceServer {
    url: String,
    /// User name and credential of a TURN server.
    login: Option<(String, String)>,
}

/// Why `--ice-server` was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}; write `stun:HOST:PORT` or `turn:HOST:PORT?transport=udp username=NAME credential=SECRET`")]
pub struct InvalidIceServer(String);

impl FromStr for IceServer {
    type Err = InvalidIceServer;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = |why: String| Err(InvalidIceServer(why));
        // OBS splits links at `,` and `;`, and a quote or `>` would end the value early.
        if let Some(c) = text
            .chars()
            .find(|c| !c.is_ascii() || c.is_ascii_control() || "\",;<>\\".contains(*c))
        {
            return bad(format!(
                "`{}` is not allowed: clients split the header there",
                c.escape_debug()
            ));
        }
        let mut words = text.split_ascii_whitespace();
        let url = words.next().unwrap_or_default().to_owned();
        let (scheme, host) = url.split_once(':').unwrap_or_default();
        if !["stun", "stuns", "turn", "turns"].contains(&scheme) || host.is_empty() || host.starts_with('/') {
            return bad(format!("`{url}` is no stun:, stuns:, turn: or turns: URL"));
        }
        let (mut username, mut credential) = (None, None);
        for word in words {
            match word.split_once('=') {
                Some(("username", value)) if !value.is_empty() => username = Some(value.to_owned()),
                Some(("credential", value)) if !value.is_empty() => credential = Some(value.to_owned()),
                _ => return bad("after the URL come username=NAME and credential=SECRET".to_owned()),
            }
        }
        let login = match (username, credential) {
            (Some(username), Some(credential)) => Some((username, credential)),
            (None, None) if scheme.starts_with("stun") => None,
            (None, None) => return bad("a TURN server needs username= and credential=".to_owned()),
            _ => return bad("username= and credential= come together".to_owned()),
        };
        Ok(Self { url, login })
    }
}

impl IceServer {
    /// The credential of a TURN server. A secret.
    pub fn credential(&self) -> Option<&str> {
        self.login.as_ref().map(|(_, credential)| credential.as_str())
    }
}

impl fmt::Display for IceServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{}>; rel=\"ice-server\"", self.url)?;
        match &self.login {
            Some((username, credential)) => write!(
                f,
                "; username=\"{username}\"; credential=\"{credential}\"; credential-type=\"password\""
            ),
            None => Ok(()),
        }
    }
}

/// Without the credential: options are logged.
impl fmt::Debug for IceServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IceServer({})", self.url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_becomes_one_link() {
        let turn: IceServer = "turn:turn.example.net:3478?transport=udp username=user credential=secret"
            .parse()
            .unwrap();
        assert_eq!(
            turn.to_string(),
            "<turn:turn.example.net:3478?transport=udp>; rel=\"ice-server\"; username=\"user\"; \
             credential=\"secret\"; credential-type=\"password\""
        );
        assert!(!format!("{turn:?}").contains("secret"));
        let stun: IceServer = "stun:stun.example.net".parse().unwrap();
        assert_eq!(stun.to_string(), "<stun:stun.example.net>; rel=\"ice-server\"");
    }

    #[test]
    fn what_clients_would_misread_is_refused() {
        for text in [
            "",
            "http://example.net",
            "turn:host",
            "turn:host username=a",
            "stun:host credential=b",
            "turn:host username=a credential=b;c",
            "turn:host username=a credential=\"b\"",
            "turn:host user=a",
            "stun:",
            "stun://host",
            "stun:host\r\nX: y",
        ] {
            assert!(text.parse::<IceServer>().is_err(), "{text}");
        }
    }
}
