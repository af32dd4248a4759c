//! The TURN servers that an answer names: `Link` headers with `rel="ice-server"` (RFC 9725 section 4.6). Pure.

use crate::peer::{Host, Transport};

/// Most TURN servers that are tried.
pub const MAX_SERVERS: usize = 8;
/// Port of `turn:` without one (RFC 7065 section 3.1).
const PORT: u16 = 3478;

/// A TURN server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TurnServer {
    /// Its URL.
    pub url: String,
    /// Where it is.
    pub place: Result<Place, &'static str>,
    /// User name and password.
    pub login: Option<(String, String)>,
}

/// Where a TURN server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Its host.
    pub host: Host,
    /// Its port.
    pub port: u16,
    /// How it is to be reached; where the URL does not say, clients use UDP.
    pub transport: Option<Transport>,
}

/// The TURN servers of an answer, each once; STUN servers are of no use to a node with addresses of its own.
#[must_use]
pub fn turn_servers(links: &[String]) -> Vec<TurnServer> {
    let mut all: Vec<TurnServer> = Vec::new();
    for link in links.iter().flat_map(|header| parts(header, ',')) {
        let Some(server) = turn_server(link) else { continue };
        if all.len() < MAX_SERVERS && !all.contains(&server) {
            all.push(server);
        }
    }
    all
}

/// `<turn:HOST:PORT?transport=udp>; rel="ice-server"; username="NAME"; credential="PASSWORD"`.
fn turn_server(link: &str) -> Option<TurnServer> {
    let (url, parameters) = link.trim().strip_prefix('<')?.split_once('>')?;
    let parameter = |name: &str| {
        parts(parameters, ';').into_iter().find_map(|part| {
            let (key, value) = part.split_once('=')?;
            let is_it = key.trim().eq_ignore_ascii_case(name);
            is_it.then(|| value.trim().trim_matches('"').to_owned())
        })
    };
    if !parameter("rel")?.split(' ').any(|word| word == "ice-server") {
        return None;
    }
    let (scheme, rest) = url.split_once(':')?;
    let place = match scheme {
        "turn" => place(rest).ok_or("its URL cannot be read"),
        "turns" => Err("this program speaks no TLS to TURN servers"),
        _ => return None,
    };
    let is_plain = url.chars().all(|c| c.is_ascii_graphic());
    is_plain.then(|| TurnServer {
        url: url.to_owned(),
        place,
        login: parameter("username").zip(parameter("credential")),
    })
}

/// `HOST`, `HOST:PORT` or `[IPV6]:PORT`, maybe with `?transport=` (RFC 7065).
fn place(text: &str) -> Option<Place> {
    let (address, query) = text.split_once('?').unwrap_or((text, ""));
    let transport = match query.split_once("transport=") {
        None => None,
        Some((_, "udp")) => Some(Transport::Udp),
        Some((_, "tcp")) => Some(Transport::Tcp),
        Some(_) => return None,
    };
    let (host, port) = match address.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()?),
        _ => (address, PORT),
    };
    Some(Place {
        host: Host::of(host)?,
        port,
        transport,
    })
}

/// Splits where the mark stands outside of quotes and of `<>`.
fn parts(text: &str, mark: char) -> Vec<&str> {
    let (mut quoted, mut in_url) = (false, false);
    text.split(|c: char| {
        match c {
            '"' => quoted = !quoted,
            '<' if !quoted => in_url = true,
            '>' if !quoted => in_url = false,
            _ => {}
        }
        c == mark && !quoted && !in_url
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn servers(links: &[&str]) -> Vec<TurnServer> {
        turn_servers(&links.iter().map(|&link| link.to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn a_link_of_a_media_node_is_read() {
        let link = "<turn:turn.example.net:3479?transport=udp>; rel=\"ice-server\"; username=\"user\"; \
            credential=\"se;c,ret\"; credential-type=\"password\"";
        let wanted = TurnServer {
            url: "turn:turn.example.net:3479?transport=udp".to_owned(),
            place: Ok(Place {
                host: Host::Name("turn.example.net".to_owned()),
                port: 3479,
                transport: Some(Transport::Udp),
            }),
            login: Some(("user".to_owned(), "se;c,ret".to_owned())),
        };
        assert_eq!(servers(&[link, link]), [wanted]);
    }

    #[test]
    fn joined_links_are_told_apart_and_what_is_no_turn_server_is_left_out() {
        let joined =
            "<stun:a>; rel=\"ice-server\", <turn:[2001:db8::7]>; rel=ice-server,<turn:b>; rel=\"other\", nonsense";
        let found = servers(&[joined]);
        assert_eq!(found.len(), 1);
        let place = found[0].place.clone().unwrap();
        assert_eq!((place.host.to_string().as_str(), place.port), ("2001:db8::7", PORT));
        assert_eq!((place.transport, found[0].login.clone()), (None, None));
    }

    #[test]
    fn what_cannot_be_tried_says_why() {
        for (url, why) in [
            ("turns:a:5349", "TLS"),
            ("turn:a?transport=sctp", "read"),
            ("turn:", "read"),
        ] {
            let found = servers(&[&format!("<{url}>; rel=\"ice-server\"")]);
            assert!(found[0].place.clone().unwrap_err().contains(why), "{url}");
        }
    }

    #[test]
    fn no_more_servers_are_tried_than_are_bearable() {
        let many: Vec<String> = (0..100).map(|n| format!("<turn:h{n}>; rel=\"ice-server\"")).collect();
        assert_eq!(turn_servers(&many).len(), MAX_SERVERS);
    }
}
