//! Links between two nodes, made by the three calls of the driver.

use super::node_with;
use crate::node::Node;
use crate::tasks;
use sfumato_mesh::api::{EndAction, Lane, LaneRequest, LinkEnd, LinkState, PutLinks};
use std::sync::Arc;
use std::time::Duration;

/// From the last call to a fresh link.
const FRESH: Duration = Duration::from_secs(10);

pub(super) async fn put(at: &Arc<Node>, peer: &Node, encrypted: bool, remote: Option<&LinkEnd>) -> LinkEnd {
    let request = PutLinks {
        incarnation: at.me.incarnation.clone(),
        peer: peer.me.clone(),
        lanes: vec![LaneRequest {
            lane: Lane(0),
            end: EndAction::Ensure,
            remote: remote.cloned(),
        }],
        encrypted,
        close: Vec::new(),
    };
    at.put_links(&peer.me.name, &request).await.unwrap().links.remove(0)
}

async fn fresh(node: &Node) {
    let state = || node.links.lock().values().next().map(|link| link.state());
    let turned = async {
        while state() != Some(LinkState::Fresh) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(FRESH, turned)
        .await
        .unwrap_or_else(|_| panic!("the link of {} is {:?}", node.me.name, state()));
}

/// Links a node that was started with these options with one that was not started to encrypt; whether both ends are
/// encrypted.
async fn linked(first: &[&str], encrypted: bool) -> (bool, bool) {
    let (one, inbox) = node_with(first).await;
    let (other, other_inbox) = node_with(&["--name=sfu-9", "--link-encryption=false"]).await;
    tasks::start(&one, inbox);
    tasks::start(&other, other_inbox);
    let at_one = put(&one, &other, encrypted, None).await;
    let at_other = put(&other, &one, encrypted, Some(&at_one)).await;
    put(&one, &other, encrypted, Some(&at_other)).await;
    fresh(&one).await;
    fresh(&other).await;
    (at_one.srtp.is_some(), at_other.srtp.is_some())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_need_not_encrypt_does_so_where_its_peer_must() {
    assert_eq!(linked(&["--name=sfu-8"], true).await, (true, true));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_that_need_not_encrypt_do_not() {
    let plain = ["--name=sfu-8", "--link-encryption=false"];
    assert_eq!(linked(&plain, false).await, (false, false));
}
