//! Where the pipes inside this process listen: each worker has loopback addresses of its own, so that the ports which one
//! worker may need are never taken by another.

use crate::media::pipe::PipeListen;
use crate::media::profiles::MAX_PROFILES;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::ops::RangeInclusive;

/// Ports beyond those of the profile routers that there may be: the pipe of one that made room may still be closing when the
/// next one opens.
const SPARE_PORTS: u32 = 4;

/// Network of the inner addresses, `127.1.0.0/16`. Not 127.0.0.1, where links to other nodes listen in local mode.
const NETWORK: [u8; 2] = [127, 1];

/// What an end of an inner pipe is for. Each kind has an address of its own on each worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// On the main router, towards a profile router of the same worker.
    ToProfile,
    /// On a profile router.
    OfProfile,
    /// On the main router, towards that of another worker.
    ToWorker,
    /// On the main router, from that of another worker.
    FromWorker,
}

impl End {
    #[cfg(test)]
    const ALL: [Self; 4] = [Self::ToProfile, Self::OfProfile, Self::ToWorker, Self::FromWorker];

    fn octet(self) -> u8 {
        match self {
            Self::ToProfile => 0,
            Self::OfProfile => 1,
            Self::ToWorker => 2,
            Self::FromWorker => 3,
        }
    }
}

/// Most ports that the ends of one kind on one worker take at a time. Between two routers there is one pipe for all streams.
pub fn most_ports(workers: u16) -> u32 {
    // MAX_PROFILES is a small constant.
    let profiles = MAX_PROFILES as u32 + SPARE_PORTS;
    profiles.max(u32::from(workers).saturating_sub(1))
}

/// The same for a system on which all ends of all workers share one address.
fn most_shared_ports(workers: u16) -> u32 {
    let workers = u32::from(workers);
    2 * workers * (MAX_PROFILES as u32 + SPARE_PORTS + workers.saturating_sub(1))
}

/// Checks that the ports suffice, whatever clients do; the message names the option.
pub fn check(ports: &RangeInclusive<u16>, workers: u16) -> Result<(), String> {
    enough(ports, most_ports(workers), workers)
}

fn enough(ports: &RangeInclusive<u16>, most: u32, workers: u16) -> Result<(), String> {
    let there = u32::from(*ports.end()) + 1 - u32::from(*ports.start());
    if there >= most {
        return Ok(());
    }
    Err(format!(
        "--pipe-ports {}-{} are {there} ports, and a node of {workers} workers (--workers) may need {most} for the pipes \
         inside it: give a range of {most} or more",
        ports.start(),
        ports.end()
    ))
}

/// Where inner pipes listen.
#[derive(Debug, Clone)]
pub struct InnerAddresses {
    ports: RangeInclusive<u16>,
    /// Each worker has its own; else all share 127.0.0.1.
    own: bool,
}

impl InnerAddresses {
    /// Addresses for so many workers. Linux has all of 127.0.0.0/8; where only 127.0.0.1 is there, all workers share it, and
    /// need more ports.
    pub fn of_this_system(ports: RangeInclusive<u16>, workers: u16) -> Result<Self, String> {
        let own = UdpSocket::bind((inner_ip(0, End::ToProfile), 0)).is_ok();
        Self::new(ports, workers, own)
    }

    fn new(ports: RangeInclusive<u16>, workers: u16, own: bool) -> Result<Self, String> {
        if own {
            check(&ports, workers)?;
        } else {
            enough(&ports, most_shared_ports(workers), workers)
                .map_err(|error| format!("{error} (this system has no loopback address but 127.0.0.1)"))?;
        }
        Ok(Self { ports, own })
    }

    /// Where an end of this kind listens on a worker: plain RTP on loopback.
    pub fn listen(&self, worker: u16, end: End) -> PipeListen {
        PipeListen {
            ip: if self.own {
                inner_ip(worker, end).into()
            } else {
                IpAddr::V4(Ipv4Addr::LOCALHOST)
            },
            ports: self.ports.clone(),
            encrypted: false,
        }
    }
}

/// `127.1.(kind).(worker)`, kind after kind for every 250 workers.
fn inner_ip(worker: u16, end: End) -> Ipv4Addr {
    let [a, b] = NETWORK;
    // There are at most 64 workers, so neither part comes near its end.
    let block = u8::try_from(worker / 250).unwrap_or(u8::MAX / 4);
    let host = u8::try_from(worker % 250).unwrap_or(u8::MAX);
    Ipv4Addr::new(
        a,
        b,
        block.saturating_mul(4).saturating_add(end.octet()),
        host.saturating_add(1),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_kind_of_end_on_every_worker_has_an_address_of_its_own() {
        let addresses = InnerAddresses::new(24_000..=24_099, 64, true).unwrap();
        let all = (0..64).flat_map(|worker| End::ALL.map(|end| addresses.listen(worker, end).ip));
        let all: Vec<IpAddr> = all.collect();
        assert!(all.iter().all(IpAddr::is_loopback));
        assert!(!all.contains(&IpAddr::V4(Ipv4Addr::LOCALHOST)), "links listen there");
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), 4 * 64);
    }

    #[test]
    fn the_default_ports_suffice_for_as_many_workers_as_there_may_be() {
        assert_eq!(check(&(24_000..=24_099), 64), Ok(()));
        assert_eq!(most_ports(64), 63);
        assert_eq!(most_ports(1), 20);
    }

    #[test]
    fn too_few_ports_are_refused_with_the_option_and_the_number_that_suffices() {
        let error = check(&(24_000..=24_018), 1).unwrap_err();
        assert!(
            error.contains("--pipe-ports 24000-24018") && error.contains("20 or more"),
            "{error}"
        );
        assert_eq!(check(&(24_000..=24_019), 1), Ok(()));
        assert!(check(&(24_000..=24_029), 40).is_err());
    }

    #[test]
    fn where_all_share_one_address_more_ports_are_needed_and_that_is_said() {
        let error = InnerAddresses::new(24_000..=24_099, 4, false).unwrap_err();
        assert!(error.contains("184") && error.contains("127.0.0.1"), "{error}");
        let shared = InnerAddresses::new(24_000..=24_199, 4, false).unwrap();
        assert_eq!(shared.listen(3, End::ToWorker).ip, IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
}
