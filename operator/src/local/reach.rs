//! Where clients reach the cluster: on this machine alone, or from others. Pure, but for the addresses of this machine, which the
//! caller looks up.

use crate::cli::LocalArgs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::path::PathBuf;

/// Addresses for documentation (RFC 5737, RFC 3849), which every default route leads to.
const SOMEWHERE: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
];
const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Where clients reach the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reach {
    /// Where the front door listens.
    pub listen: IpAddr,
    /// Where the nodes listen for media.
    pub media: Vec<IpAddr>,
    /// What clients are told instead, where they reach the media ports at other addresses.
    pub announced: Vec<String>,
    /// How URLs name the front door.
    host: String,
    /// Certificate and key of the front door, which then speaks HTTPS.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// Proxies before the front door that are trusted, as the option names them.
    pub proxies: Option<String>,
    /// The address that was found, where nobody named one.
    found: Option<IpAddr>,
}

#[derive(Debug, thiserror::Error)]
#[error(
    "this machine has no address on a way to others ({0}): name one that clients reach with --listen, such as --listen 203.0.113.7"
)]
pub struct NoAddress(io::Error);

impl Reach {
    /// As the options say. `own` tells the address of this machine from which it would send to another.
    ///
    /// # Errors
    /// When media is wanted from outside and this machine has no address for it.
    pub fn of(args: &LocalArgs, own: impl Fn(IpAddr) -> io::Result<IpAddr>) -> Result<Self, NoAddress> {
        let mut reach = Self {
            listen: args.listen,
            media: Vec::new(),
            announced: Vec::new(),
            host: args.listen.to_string(),
            tls: args.tls_cert.clone().zip(args.tls_key.clone()),
            proxies: args.trusted_proxy.clone(),
            found: None,
        };
        if !is_beyond(args) {
            reach.media.push(LOOPBACK);
        } else if !args.listen.is_unspecified() && !args.listen.is_loopback() {
            reach.media.push(args.listen);
        } else {
            let [v4, v6] = SOMEWHERE.map(own);
            let v6 = v6.ok().filter(|_| args.listen.is_ipv6());
            let first = v4.or_else(|error| v6.ok_or(error)).map_err(NoAddress)?;
            reach.media.push(first);
            reach.media.extend(v6.filter(|v6| *v6 != first));
            if args.listen.is_unspecified() {
                reach.host = first.to_string();
            }
            reach.found = Some(first).filter(|_| args.public_address.is_empty());
        }
        for ip in &args.media_ip {
            if !reach.media.contains(ip) {
                reach.media.push(*ip);
            }
        }
        if let Some(first) = args.public_address.first() {
            let is_own = |name: &String| name.parse().is_ok_and(|ip: IpAddr| reach.media.contains(&ip));
            if !args.public_address.iter().all(is_own) {
                reach.announced.clone_from(&args.public_address);
            }
            // Whoever has a proxy on this machine knows its name.
            if !args.listen.is_loopback() {
                reach.host.clone_from(first);
            }
        }
        Ok(reach)
    }

    /// Where the front door is, for people and clients.
    #[must_use]
    pub fn page(&self, port: u16) -> String {
        let (scheme, usual) = if self.tls.is_some() {
            ("https", 443)
        } else {
            ("http", 80)
        };
        let host = match self.host.parse::<IpAddr>() {
            Ok(IpAddr::V6(ip)) => format!("[{ip}]"),
            _ => self.host.clone(),
        };
        if port == usual {
            format!("{scheme}://{host}")
        } else {
            format!("{scheme}://{host}:{port}")
        }
    }

    /// Whether this machine asks the front door itself whether it is ready: it cannot where its certificate is made out to a name
    /// that leads elsewhere.
    #[must_use]
    pub fn probe(&self, port: u16) -> Option<SocketAddr> {
        let is_plain = self.tls.is_none();
        let ip = match self.listen {
            IpAddr::V4(ip) if ip.is_unspecified() => LOOPBACK,
            IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
            ip => ip,
        };
        is_plain.then(|| SocketAddr::new(ip, port))
    }

    /// What whoever runs it has to know, a line each.
    #[must_use]
    pub fn notes(&self, args: &LocalArgs) -> Vec<String> {
        let mut all = Vec::new();
        if let Some(found) = self.found {
            let reaches = if is_private(found) {
                ", which clients on the internet do not reach"
            } else {
                ""
            };
            all.push(format!(
                "clients are told to send media to {found}{reaches}: name another address with --public-address"
            ));
        }
        if !self.listen.is_loopback() && self.tls.is_none() {
            all.push(
                "the front door speaks HTTP: browsers give a page camera and microphone with HTTPS only, and others on the way read \
                 tokens; give it a certificate with --tls-cert and --tls-key, or put a proxy before it (docs/public-server.md)"
                    .to_owned(),
            );
        }
        if self.listen.is_loopback() && is_beyond(args) && self.proxies.is_none() {
            all.push(
                "no proxy before the front door is trusted, so that all its clients count as one: name it with --trusted-proxy, such as \
                 --trusted-proxy 127.0.0.1,::1"
                    .to_owned(),
            );
        }
        let makes_secret =
            is_beyond(args) && !args.open && args.auth_secret_file.is_none() && args.auth_jwks_file.is_none();
        if makes_secret && args.state_dir.is_none() {
            all.push("tokens end with this run, since its secret goes with it: name a directory to keep it in with --state-dir".to_owned());
        }
        if args.open && is_beyond(args) {
            all.push("--open: whoever reaches the front door may publish and watch".to_owned());
        }
        all
    }
}

/// Whether clients come from other machines: the front door listens for them, or a proxy before it does.
#[must_use]
pub fn is_beyond(args: &LocalArgs) -> bool {
    !args.listen.is_loopback() || !args.public_address.is_empty()
}

/// The address of this machine from which it would send there. Nothing is sent.
///
/// # Errors
/// When there is no way to it.
pub fn own_address(to: IpAddr) -> io::Result<IpAddr> {
    let any: IpAddr = match to {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect((to, 9))?;
    Ok(socket.local_addr()?.ip())
}

/// Of networks that the internet does not route to (RFC 1918, RFC 6598, RFC 4193, and link-local).
fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            let [a, b, ..] = ip.octets();
            ip.is_private() || ip.is_link_local() || (a == 100 && (64..128).contains(&b))
        }
        IpAddr::V6(ip) => ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::cli::tests::local as args;

    fn reach(options: &[&str]) -> Reach {
        let own = |to: IpAddr| -> io::Result<IpAddr> {
            let ip = if to.is_ipv4() { "10.0.0.5" } else { "2001:db8:7::5" };
            Ok(ip.parse().unwrap())
        };
        Reach::of(&args(options), own).unwrap()
    }

    /// Media ports, what clients are told instead, and the page.
    fn told(options: &[&str]) -> (String, String, String) {
        let reach = reach(options);
        let media: Vec<String> = reach.media.iter().map(ToString::to_string).collect();
        (media.join(","), reach.announced.join(","), reach.page(2020))
    }

    fn three(media: &str, announced: &str, page: &str) -> (String, String, String) {
        (media.to_owned(), announced.to_owned(), page.to_owned())
    }

    #[test]
    fn by_default_everything_is_on_this_machine() {
        assert_eq!(told(&[]), three("127.0.0.1", "", "http://127.0.0.1:2020"));
        assert_eq!(
            told(&["--media-ip", "192.168.1.5,127.0.0.1"]),
            three("127.0.0.1,192.168.1.5", "", "http://127.0.0.1:2020")
        );
        assert_eq!(reach(&[]).notes(&args(&[])), [""; 0]);
    }

    #[test]
    fn beyond_it_media_is_at_the_address_that_is_listened_on_or_that_the_machine_has() {
        assert_eq!(
            told(&["--listen", "203.0.113.7"]),
            three("203.0.113.7", "", "http://203.0.113.7:2020")
        );
        assert_eq!(
            told(&["--listen", "0.0.0.0"]),
            three("10.0.0.5", "", "http://10.0.0.5:2020")
        );
        assert_eq!(
            told(&["--listen", "::"]),
            three("10.0.0.5,2001:db8:7::5", "", "http://10.0.0.5:2020")
        );
        assert_eq!(
            told(&["--listen", "2001:db8::7", "--tls-cert", "c", "--tls-key", "k"]),
            three("2001:db8::7", "", "https://[2001:db8::7]:2020")
        );
        let none = |_| Err(io::Error::other("no route"));
        assert!(Reach::of(&args(&["--listen", "203.0.113.7"]), none).is_ok());
        let error = Reach::of(&args(&["--listen", "0.0.0.0"]), none).unwrap_err();
        assert!(error.to_string().contains("--listen 203.0.113.7"), "{error}");
    }

    #[test]
    fn clients_are_told_the_public_addresses_where_these_are_others() {
        let public = ["--listen", "0.0.0.0", "--public-address", "live.example.net"];
        assert_eq!(
            told(&public),
            three("10.0.0.5", "live.example.net", "http://live.example.net:2020")
        );
        let own = ["--listen", "0.0.0.0", "--public-address", "10.0.0.5"];
        assert_eq!(told(&own), three("10.0.0.5", "", "http://10.0.0.5:2020"));
        // A proxy on this machine takes what clients ask, and they send media to us.
        assert_eq!(
            told(&["--public-address", "203.0.113.7"]),
            three("10.0.0.5", "203.0.113.7", "http://127.0.0.1:2020")
        );
    }

    #[test]
    fn the_usual_port_is_left_out_and_the_probe_asks_this_machine() {
        let secure = reach(&["--listen", "0.0.0.0", "--tls-cert", "c", "--tls-key", "k"]);
        assert_eq!(
            (secure.page(443), secure.page(80)),
            ("https://10.0.0.5".into(), "https://10.0.0.5:80".into())
        );
        assert_eq!(secure.probe(443), None);
        assert_eq!(reach(&["--listen", "0.0.0.0"]).page(80), "http://10.0.0.5");
        assert_eq!(
            reach(&["--listen", "0.0.0.0"]).probe(80),
            Some(([127, 0, 0, 1], 80).into())
        );
        assert_eq!(
            reach(&["--listen", "203.0.113.7"]).probe(80),
            Some(([203, 0, 113, 7], 80).into())
        );
    }

    #[test]
    fn whoever_runs_it_hears_what_was_guessed_and_what_is_open() {
        let notes = |options: &[&str]| reach(options).notes(&args(options));
        let guessed = notes(&["--listen", "0.0.0.0"]);
        assert!(
            guessed[0].contains("10.0.0.5, which clients on the internet do not reach"),
            "{guessed:?}"
        );
        assert!(guessed[1].contains("--tls-cert"), "{guessed:?}");
        assert!(guessed[2].contains("--state-dir"), "{guessed:?}");
        assert_eq!(guessed.len(), 3);
        let secure = [
            "--state-dir",
            "s",
            "--listen",
            "203.0.113.7",
            "--tls-cert",
            "c",
            "--tls-key",
            "k",
        ];
        assert_eq!(notes(&secure), [""; 0]);
        let proxied = ["--state-dir", "s", "--public-address", "live.example.net"];
        let untrusted = notes(&proxied);
        assert!(untrusted[0].contains("--trusted-proxy 127.0.0.1,::1"), "{untrusted:?}");
        assert_eq!(untrusted.len(), 1);
        let trusted = [&proxied[..], &["--trusted-proxy", "127.0.0.1,::1"]].concat();
        assert_eq!(notes(&trusted), [""; 0]);
        assert!(notes(&[&secure[..], &["--open"]].concat())[0].contains("--open"));
    }
}
