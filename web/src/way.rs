//! At which of its URLs a node gets the requests of clients, and the tokens in them: a pure function of what is known of it.
//!
//! | the node | URL |
//! |---|---|
//! | reports a listener for front doors | that one, by HTTPS. What it shows is checked; nothing falls back |
//! | reports none: of a release before, or in local mode | the one for clients, in clear |
//! | of a cluster with TLS, and has not reported in this life | none yet: it is known by the word of a peer, which does not say |

use crate::view::{Known, has_tls};
use sfumato_admin_api::types::NodeReport;

/// The base URL for requests that are passed on; `None` while only the node itself could say.
#[must_use]
pub fn url(known: &Known) -> Option<&str> {
    let peer = &known.peer;
    // A report of an earlier life tells of another address.
    let report = known.report.as_ref();
    match report.filter(|report| report.node.incarnation == peer.incarnation) {
        Some(report) => Some(report.secure_client_url.as_deref().unwrap_or(&peer.client_url)),
        None if has_tls(&peer.admin_url) => None,
        None => Some(&peer.client_url),
    }
}

/// Whether tokens reach this node in clear although its cluster has TLS.
#[must_use]
pub fn is_in_clear(report: &NodeReport) -> bool {
    has_tls(&report.node.admin_url) && report.secure_client_url.is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::samples::{peer, report};
    use sfumato_admin_api::types::Peer;

    const SECURE: &str = "https://10.0.0.5:3443";
    const IN_CLEAR: &str = "http://sfu-1:3000";

    fn reported(admin_url: &str, secure: Option<&str>) -> NodeReport {
        let mut report = report("sfu-1");
        report.node.admin_url = admin_url.to_owned();
        report.secure_client_url = secure.map(str::to_owned);
        report
    }

    fn known(peer: Peer, report: Option<NodeReport>, reachable: bool) -> Known {
        Known {
            peer,
            report,
            reachable,
            placed: 0,
            proven: false,
            hung_until: None,
        }
    }

    #[test]
    fn tokens_go_in_clear_only_to_a_node_that_has_said_that_it_has_no_other_way() {
        let with_tls = "https://sfu-1:4001";
        let local = "http://127.0.0.1:4001";
        for (what, admin_url, secure, expected, in_clear) in [
            ("a node of this release", with_tls, Some(SECURE), SECURE, false),
            ("one of the release before", with_tls, None, IN_CLEAR, true),
            ("local mode", local, None, IN_CLEAR, false),
        ] {
            let report = reported(admin_url, secure);
            assert_eq!(is_in_clear(&report), in_clear, "{what}");
            for reachable in [true, false] {
                let known = known(report.node.clone(), Some(report.clone()), reachable);
                assert_eq!(url(&known), Some(expected), "{what}, reachable: {reachable}");
            }
        }
    }

    #[test]
    fn a_node_that_only_a_peer_has_named_is_sent_nothing_where_the_cluster_has_tls() {
        let mut named = peer("sfu-1");
        assert_eq!(url(&known(named.clone(), None, false)), Some(IN_CLEAR), "local mode");
        named.admin_url = "https://sfu-1:4001".to_owned();
        assert_eq!(url(&known(named.clone(), None, false)), None);

        let earlier = reported(&named.admin_url, Some(SECURE));
        named.incarnation = "0.another-life".parse().unwrap();
        assert_eq!(
            url(&known(named, Some(earlier), false)),
            None,
            "an address of its last life"
        );
    }
}
