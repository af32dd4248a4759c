//! Whom a request may be for, on a listener of one machine that asks for no token.
//!
//! A page of the open internet may have its name point to 127.0.0.1 (DNS rebinding): then a browser on this machine lets the
//! page read what is served here, as if it came from the page's own server. Its requests still carry the page's name as
//! their `Host`. Addresses cannot be rebound, so every address is let in.

use crate::types::{PROBLEM_JSON, Problem};
use axum::Json;
use axum::http::header::{CONTENT_TYPE, HOST, HeaderValue};
use axum::http::uri::Authority;
use axum::http::{Request, StatusCode};
use axum::response::{IntoResponse as _, Response};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// Names that are let in besides addresses, `localhost` and names below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hosts {
    names: Vec<String>,
    option: Option<&'static str>,
}

impl Hosts {
    /// The check of a listener at this address: none where other machines reach it, since names are theirs to choose.
    /// `option` is the one that `names` come from.
    #[must_use]
    pub fn of(listen: SocketAddr, names: &[String], option: Option<&'static str>) -> Option<Self> {
        listen.ip().to_canonical().is_loopback().then(|| Self {
            names: names.iter().map(|name| name.to_ascii_lowercase()).collect(),
            option,
        })
    }

    /// Whether a request with this `Host` is let in.
    #[must_use]
    pub fn admit(&self, host: &str) -> bool {
        let Some(name) = without_port(host) else {
            return false;
        };
        let name = name.to_ascii_lowercase();
        let name = name.strip_suffix('.').unwrap_or(&name);
        let six = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        six.is_some_and(|six| six.parse::<Ipv6Addr>().is_ok())
            || name.parse::<IpAddr>().is_ok()
            || name == "localhost"
            || name.ends_with(".localhost")
            || self.names.iter().any(|named| named == name || named == "*")
    }

    /// The answer to a request that is for somebody else. One without any `Host` is no browser's.
    pub(super) fn refusal<B>(&self, request: &Request<B>) -> Option<Response> {
        let named = request.headers().get_all(HOST).iter();
        let named = named.map(|value| value.to_str().unwrap_or("?"));
        let target = request.uri().authority().map(Authority::as_str);
        let wrong = named.chain(target).find(|host| !self.admit(host))?;
        let shown: String = wrong.chars().take(100).collect();
        let add = self
            .option
            .map_or_else(String::new, |option| format!(", or add the name to {option}"));
        let detail = format!(
            "this server is for this machine, and does not answer to the name `{shown}`: use localhost or the address{add}"
        );
        let problem = Problem {
            title: "Misdirected request".to_owned(),
            status: StatusCode::MISDIRECTED_REQUEST.as_u16(),
            detail,
            field: Some("Host".to_owned()),
        };
        let mut response = (StatusCode::MISDIRECTED_REQUEST, Json(problem)).into_response();
        let kind = HeaderValue::from_static(PROBLEM_JSON);
        response.headers_mut().insert(CONTENT_TYPE, kind);
        Some(response)
    }
}

/// The name or address of a `Host`, if it is well-formed as far as that matters.
fn without_port(host: &str) -> Option<&str> {
    let end = match host.strip_prefix('[') {
        Some(_) => host.find(']')? + 1,
        None => host.find(':').unwrap_or(host.len()),
    };
    let (name, port) = host.split_at(end);
    let is_port = |port: &str| port.bytes().all(|digit| digit.is_ascii_digit());
    (port.is_empty() || port.strip_prefix(':').is_some_and(is_port)).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(names: &[&str]) -> Hosts {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        Hosts::of("127.0.0.1:2020".parse().unwrap(), &names, Some("--allowed-host")).unwrap()
    }

    #[test]
    fn names_of_others_are_refused_and_addresses_and_names_of_this_machine_are_not() {
        let hosts = hosts(&["Live.Example"]);
        for fine in [
            "localhost",
            "localhost:2020",
            "LOCALHOST.:2020",
            "sfu.localhost:2020",
            "127.0.0.1:2020",
            "[::1]:2020",
            "192.0.2.7",
            "live.example",
            "live.EXAMPLE:8443",
        ] {
            assert!(hosts.admit(fine), "{fine}");
        }
        for wrong in [
            "attacker.example",
            "attacker.example:2020",
            "localhost.attacker.example",
            "127.0.0.1.attacker.example",
            "notlocalhost",
            "[::1].attacker.example",
            "",
            "live.example.attacker.example",
        ] {
            assert!(!hosts.admit(wrong), "{wrong}");
        }
        assert!(self::hosts(&["*"]).admit("anything.example"));
    }

    #[test]
    fn a_refusal_says_what_to_do_and_every_host_that_is_named_counts() {
        let request = |hosts: &[&str], uri: &str| {
            let mut request = Request::builder().uri(uri);
            for host in hosts {
                request = request.header(HOST, *host);
            }
            request.body(()).unwrap()
        };
        let hosts = hosts(&[]);
        assert!(hosts.refusal(&request(&["localhost"], "/")).is_none());
        assert!(hosts.refusal(&request(&[], "/")).is_none());
        let refused = hosts
            .refusal(&request(&["localhost", "attacker.example"], "/"))
            .unwrap();
        assert_eq!(refused.status(), StatusCode::MISDIRECTED_REQUEST);
        assert!(
            hosts
                .refusal(&request(&["localhost"], "http://attacker.example/"))
                .is_some()
        );
    }

    #[test]
    fn where_other_machines_come_in_names_are_theirs_to_choose() {
        for open in ["0.0.0.0:80", "[::]:80", "192.0.2.1:80"] {
            assert_eq!(Hosts::of(open.parse().unwrap(), &[], None), None, "{open}");
        }
        assert!(Hosts::of("[::1]:80".parse().unwrap(), &[], None).is_some());
    }
}
