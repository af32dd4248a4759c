//! Links between two nodes, made by the three calls of the driver.

use super::clients::Site;
use super::node_with;
use crate::node::Node;
use crate::node::start_tasks;
use sfumato_admin_api::types::{EndAction, Lane, LaneRequest, LinkEnd, LinkState, NodeName, PutLinks, Subscribe};
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
    let state = || node.links.all().first().map(|link| link.state());
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
    start_tasks(&one, inbox);
    start_tasks(&other, other_inbox);
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

#[tokio::test]
async fn who_waits_for_the_report_to_name_a_subscriber_is_told_by_the_change_that_makes_it_one() {
    let site = Site::start(&["--name=sfu-8"]).await;
    let (other, _inbox) = node_with(&["--name=sfu-9"]).await;
    let end = put(&site.node, &other, true, None).await;
    site.open("/whip/demo", "chromium-whip").await;
    let node = &site.node;
    let publication = node.streams.published.all()[0].publication.clone();
    let subscribers = || -> Vec<NodeName> { node.publication_reports().remove(0).subscribers };
    let mut revision = node.state.revision();
    // What it waited on is let go of, or the next change would wait for this test.
    let named = async {
        let found = revision.wait_for(|_| subscribers() == [other.me.name.clone()]);
        found.await.is_ok()
    };
    let request = Subscribe {
        subscriber: other.me.name.clone(),
        incarnation: other.me.incarnation.clone(),
        link: end.id,
        lane: end.lane,
        // Asks the worker once more when the subscription is made: time for whoever was woken to look.
        active: true,
        order: 1,
    };
    let both = async { tokio::join!(named, node.subscribe(&publication, &request)) };
    let (named, subscribed) = tokio::time::timeout(FRESH, both)
        .await
        .expect("the report was never looked at again");
    assert_eq!(subscribed.unwrap().tracks.len(), 2);
    assert!(named);
}

#[tokio::test]
async fn a_report_names_every_subscriber_while_another_one_is_being_made() {
    let site = Site::start(&["--name=sfu-8"]).await;
    let (other, _inbox) = node_with(&["--name=sfu-9"]).await;
    let end = put(&site.node, &other, true, None).await;
    site.open("/whip/demo", "chromium-whip").await;
    let node = &site.node;
    let publication = node.streams.published.all()[0].publication.clone();
    let request = Subscribe {
        subscriber: other.me.name.clone(),
        incarnation: other.me.incarnation.clone(),
        link: end.id.clone(),
        lane: end.lane,
        active: false,
        order: 1,
    };
    assert!(node.subscribe(&publication, &request).await.is_ok());
    let link = node.links.get(&end.id).unwrap();
    let _held = link.outgoing.lock().await;
    assert_eq!(node.publication_reports()[0].subscribers, vec![other.me.name.clone()]);
}
