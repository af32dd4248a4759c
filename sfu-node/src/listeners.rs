//! How much the clients of each listener may hold, and how many descriptors that leaves.

use crate::limits::MAX_EVENT_STREAMS;
use crate::options::Options;
use sfumato_admin_api::server::descriptors;
use sfumato_admin_api::server::serving::{Bounds, Hosts, Serving};

/// Most connections of the admin listener. Each of 31 peers, the operator and the front doors holds two long polls and has a
/// few calls on their way: all of them together stay below the half above which an address has a share.
const ADMIN_CONNECTIONS: u32 = 1024;

/// Connections of the WHIP and WHEP listener, unless an option says something else: below half of them, no address is counted,
/// and a front door may hold one for each stream of events that there may be.
fn client_connections(options: &Options) -> u32 {
    let streams = options.limits.max_sessions.saturating_add(MAX_EVENT_STREAMS);
    options
        .limits
        .max_connections
        .unwrap_or(streams.saturating_mul(2).saturating_add(256))
}

/// Descriptors that connections of clients must leave: the admin listener, media over TCP, pipes, and calls to the peers.
fn others(options: &Options) -> u32 {
    let pipes = options.pipe_ports.clone().count();
    [
        ADMIN_CONNECTIONS,
        options.limits.max_sessions,
        u32::try_from(pipes).unwrap_or(u32::MAX),
        256,
    ]
    .into_iter()
    .fold(0, u32::saturating_add)
}

/// The listener for WHIP and WHEP.
pub fn clients(options: &Options) -> Serving {
    let exempt = options.limits.trusted_proxy.and(&options.limits.trusted_address);
    Serving::of_clients("clients", client_connections(options), others(options), exempt).together()
}

/// The listener for front doors, which come with the requests of clients: it has what is left of the bounds of the one for
/// clients, and the other way round. A second bound would be a second half of everything for whoever reaches both.
pub fn front_doors(clients: &Serving) -> Serving {
    let mut serving = clients.clone();
    serving.name = "front doors";
    serving
}

/// The listener for the operator, the peers and the front doors.
pub fn admin(options: &Options) -> Serving {
    let left = descriptors::raise_limit().saturating_sub(descriptors::RESERVE) / 4;
    let mut serving = Serving::new("admin", Bounds::of(ADMIN_CONNECTIONS.min(left.max(1))));
    // With a token, a page that has its name point here gets nothing.
    if options.insecure_admin {
        serving.hosts = Hosts::of(options.admin_listen, &[], None);
    }
    serving
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;

    #[test]
    fn the_operator_all_peers_and_the_front_doors_stay_below_half_of_the_admin_listener() {
        let each = 8;
        // A cluster has at most 32 nodes (docs/architecture.md).
        let callers = 32 + 8;
        assert!(callers * each <= ADMIN_CONNECTIONS / 2);
    }

    #[test]
    fn a_front_door_that_passes_on_the_events_of_every_session_stays_below_half_of_the_connections() {
        let with = |more: &[&str]| {
            let all = ["sfu-node", "--insecure-admin"];
            client_connections(&Options::parse_from(all.iter().chain(more)))
        };
        assert_eq!(with(&["--max-connections=50"]), 50);
        assert_eq!(with(&[]), 12_448, "as --help says");
        for sessions in [100, 2_000, 20_000] {
            let option = format!("--max-sessions={sessions}");
            assert!(with(&[&option]) / 2 > sessions.max(MAX_EVENT_STREAMS), "{sessions}");
        }
    }

    #[test]
    fn only_an_admin_listener_without_a_token_asks_whom_a_request_is_for() {
        let open = Options::parse_from(["sfu-node", "--insecure-admin"]);
        assert!(admin(&open).hosts.is_some());
        let closed = Options::parse_from(["sfu-node", "--admin-token-file=t"]);
        assert!(admin(&closed).hosts.is_none());
    }
}
