//! Who may have one more connection of a listener.

use super::Bounds;
use super::roster::MakeRoom;
use crate::program::complaints::Complaints;
use crate::server::client_address::{ClientKey, Networks, holder};
use crate::server::places::{Place, Places};
use crate::server::shares::{Over, Part, Share};
use std::fmt;
use std::net::IpAddr;

/// Lets connections in, or not.
#[derive(Debug)]
pub(super) struct Admission {
    places: Places<ClientKey>,
    exempt: Networks,
    make_room: MakeRoom,
    complaints: Complaints,
}

/// Why there is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// As many connections are open as may be.
    All(u32),
    /// More than half of them are open, and this address has this many, which is its share.
    Address(u32),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All(most) => write!(f, "{most} are open, as many as may be"),
            Self::Address(share) => {
                write!(
                    f,
                    "more than half of those that may be are open, and this address has its share of {share}"
                )
            }
        }
    }
}

impl Admission {
    pub fn new(bounds: &Bounds, exempt: Networks, make_room: MakeRoom) -> Self {
        Self {
            places: Places::new(Share {
                most: bounds.connections,
                part: Part::Tenth,
            }),
            exempt,
            make_room,
            complaints: Complaints::default(),
        }
    }

    /// A place for a connection from this address. Where any connection makes room, nobody needs a share.
    pub fn take(&self, from: IpAddr) -> Result<Place<ClientKey>, Refused> {
        self.places.take(self.holder(from)).map_err(|over| match over {
            Over::All(most) => Refused::All(most),
            Over::One(share) => Refused::Address(share),
        })
    }

    /// The place of a connection that has made room for one from this address.
    pub fn take_instead(&self, from: IpAddr) -> Option<Place<ClientKey>> {
        self.places.take_instead(self.holder(from)).ok()
    }

    fn holder(&self, from: IpAddr) -> Vec<ClientKey> {
        let holder = holder(from, &self.exempt).filter(|_| self.make_room == MakeRoom::Idle);
        holder.into_iter().collect()
    }

    /// As [`Complaints::complain`].
    pub fn complain(&self) -> Option<u64> {
        self.complaints.complain()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admission(connections: u32, exempt: &str) -> Admission {
        Admission::new(&Bounds::of(connections), exempt.parse().unwrap(), MakeRoom::Idle)
    }

    fn held(admission: &Admission, from: &str) -> Vec<Place<ClientKey>> {
        let from: IpAddr = from.parse().unwrap();
        std::iter::from_fn(|| admission.take(from).ok()).take(1_000).collect()
    }

    #[test]
    fn one_address_gets_half_of_the_connections_and_another_still_comes_in() {
        let admission = admission(100, "-");
        let attacker = held(&admission, "198.51.100.1");
        assert_eq!(attacker.len(), 50);
        assert_eq!(
            admission.take("198.51.100.1".parse().unwrap()).unwrap_err(),
            Refused::Address(10)
        );
        assert_eq!(held(&admission, "198.51.100.2").len(), 10);
        drop(attacker);
        assert_eq!(admission.places.taken(), 0);
    }

    #[test]
    fn addresses_of_one_ipv6_network_have_one_share() {
        let admission = admission(100, "-");
        let first = held(&admission, "2001:db8:0:1::1");
        assert_eq!(first.len(), 50);
        assert!(held(&admission, "2001:db8:0:1:ffff::2").is_empty());
        assert_eq!(held(&admission, "2001:db8:0:2::1").len(), 10);
    }

    #[test]
    fn loopback_and_proxies_are_bounded_by_the_whole_alone() {
        for from in ["127.0.0.1", "::1", "::ffff:127.0.0.1", "10.1.2.3"] {
            let admission = admission(20, "10.0.0.0/8");
            let all = held(&admission, from);
            assert_eq!(all.len(), 20, "{from}");
            assert_eq!(admission.take(from.parse().unwrap()).unwrap_err(), Refused::All(20));
        }
    }
}
