use super::*;
use crate::view::samples::{carried, end, name, publication, report, view_of, whole};

#[test]
fn three_nodes_with_fresh_links_on_all_lanes_are_a_whole_mesh() {
    let json = cluster(&view_of(whole(["sfu-1", "sfu-2", "sfu-3"])));
    assert_eq!(
        json.mesh,
        Mesh {
            desired_pairs: 3,
            established_pairs: 3
        }
    );
    assert_eq!(json.links.len(), 6);
    assert!(
        json.links
            .iter()
            .all(|link| link.state == State::Fresh && link.a < link.b)
    );
}

#[test]
fn a_pair_with_one_stale_end_is_not_established_and_its_link_shows_the_worse_end() {
    let [mut a, b] = whole(["sfu-1", "sfu-2"]);
    a.links[1].state = LinkState::Stale;
    let json = cluster(&view_of([a, b]));
    assert_eq!(
        json.mesh,
        Mesh {
            desired_pairs: 1,
            established_pairs: 0
        }
    );
    let link = &json.links[1];
    assert_eq!(
        (link.state, link.a_state, link.b_state),
        (State::Stale, State::Stale, State::Fresh)
    );
}

#[test]
fn an_end_that_is_not_reported_is_missing() {
    let [a, mut b] = whole(["sfu-1", "sfu-2"]);
    b.links.clear();
    let json = cluster(&view_of([a, b]));
    assert_eq!(json.mesh.established_pairs, 0);
    let link = &json.links[0];
    assert_eq!(
        (link.state, link.a_state, link.b_state),
        (State::Missing, State::Fresh, State::Missing)
    );
    assert_eq!((link.a_id.is_some(), link.b_id.is_some()), (true, false));
}

#[test]
fn only_as_many_lanes_as_the_smaller_node_has_workers_are_needed() {
    let [a, mut b] = whole(["sfu-1", "sfu-2"]);
    b.workers = 1;
    let drop_lane_1 = |mut r: sfumato_admin_api::types::NodeReport| {
        r.links.retain(|l| l.lane == Lane(0));
        r
    };
    let json = cluster(&view_of([drop_lane_1(a), drop_lane_1(b)]));
    assert_eq!(json.mesh.established_pairs, 1);
    assert_eq!(json.links.len(), 1);
}

#[test]
fn an_unreachable_node_breaks_its_pairs_and_stays_listed_with_its_last_figures() {
    let mut view = view_of(whole(["sfu-1", "sfu-2", "sfu-3"]));
    view.lost("http://sfu-3:4000", "no answer");
    let json = cluster(&view);
    assert_eq!(
        json.mesh,
        Mesh {
            desired_pairs: 3,
            established_pairs: 1
        }
    );
    let gone = &json.nodes[2];
    assert_eq!((gone.reachable, gone.ready, gone.workers), (false, false, 2));
}

#[test]
fn a_link_to_an_earlier_life_of_a_node_does_not_count() {
    let [mut a, b] = whole(["sfu-1", "sfu-2"]);
    for link in &mut a.links {
        link.peer_incarnation = "0.earlier".parse().unwrap();
    }
    let json = cluster(&view_of([a, b]));
    assert_eq!(json.mesh.established_pairs, 0);
    assert_eq!(json.links[0].a_state, State::Missing);
}

#[test]
fn a_pair_whose_nodes_have_no_link_yet_is_shown_as_missing() {
    let json = cluster(&view_of([report("sfu-1"), report("sfu-2")]));
    assert_eq!(
        json.mesh,
        Mesh {
            desired_pairs: 1,
            established_pairs: 0
        }
    );
    assert!(
        json.links
            .iter()
            .all(|link| link.state == State::Missing && link.rtt_us.is_none())
    );
}

#[test]
fn round_trip_time_is_the_mean_of_both_ends_and_losses_add_up() {
    let (mut a, mut b) = (report("sfu-1"), report("sfu-2"));
    a.workers = 1;
    a.links = vec![end("sfu-1", "sfu-2", 0, LinkState::Fresh, 200)];
    b.links = vec![end("sfu-2", "sfu-1", 0, LinkState::Fresh, 400)];
    let json = cluster(&view_of([a, b]));
    assert_eq!((json.links[0].rtt_us, json.links[0].packets_lost), (Some(300), 2));
}

#[test]
fn viewers_of_a_stream_are_summed_over_all_nodes() {
    let [mut a, mut b, mut c] = whole(["sfu-1", "sfu-2", "sfu-3"]);
    a.publications = vec![publication("demo", "p1", 3)];
    b.carried = vec![carried("demo", "p1", "sfu-1", 4)];
    c.carried = vec![carried("demo", "p1", "sfu-1", 5)];
    let json = cluster(&view_of([a, b, c]));
    let [stream] = json.streams.as_slice() else {
        panic!("one stream")
    };
    assert_eq!((stream.viewers, &stream.origin), (12, &name("sfu-1")));
    assert_eq!(stream.carried_by, [name("sfu-2"), name("sfu-3")]);
    let per_node: Vec<_> = stream
        .per_node
        .iter()
        .map(|n| (n.node.as_str(), n.viewers, n.packets_received))
        .collect();
    assert_eq!(per_node, [("sfu-1", 3, 0), ("sfu-2", 4, 500), ("sfu-3", 5, 500)]);
}

#[test]
fn a_stream_whose_origin_is_unreachable_is_listed_while_another_node_carries_it() {
    let [mut a, mut b] = whole(["sfu-1", "sfu-2"]);
    a.publications = vec![publication("demo", "p1", 3), publication("alone", "p2", 1)];
    b.carried = vec![carried("demo", "p1", "sfu-1", 4)];
    let mut view = view_of([a, b]);
    view.lost("http://sfu-1:4000", "no answer");
    let json = cluster(&view);
    let names: Vec<_> = json
        .streams
        .iter()
        .map(|s| (s.name.as_str(), s.viewers, s.tracks.len()))
        .collect();
    assert_eq!(names, [("demo", 4, 2)]);
}

#[test]
fn the_text_is_the_same_whatever_the_order_in_which_nodes_were_heard() {
    let [a, b, c] = whole(["sfu-1", "sfu-2", "sfu-3"]);
    let text = |reports: [sfumato_admin_api::types::NodeReport; 3]| {
        serde_json::to_string(&cluster(&view_of(reports))).unwrap()
    };
    assert_eq!(text([a.clone(), b.clone(), c.clone()]), text([c, a, b]));
}

#[test]
fn keys_are_those_that_the_page_and_the_tests_read() {
    let [mut a, mut b] = whole(["sfu-1", "sfu-2"]);
    a.publications = vec![publication("demo", "p1", 1)];
    b.carried = vec![carried("demo", "p1", "sfu-1", 0)];
    let json = serde_json::to_value(cluster(&view_of([a, b]))).unwrap();
    assert_eq!(
        json["mesh"],
        serde_json::json!({"desiredPairs": 1, "establishedPairs": 1})
    );
    assert_eq!(
        json["links"][0],
        serde_json::json!({
            "a": "sfu-1", "b": "sfu-2", "lane": 0, "state": "fresh", "rttUs": 300, "packetsLost": 2,
            "aState": "fresh", "bState": "fresh", "aId": "sfu-1-sfu-2-0", "bId": "sfu-2-sfu-1-0"
        })
    );
    assert_eq!(
        json["streams"][0]["tracks"][0],
        serde_json::json!({"kind": "audio", "codec": "opus"})
    );
    assert_eq!(json["streams"][0]["carriedBy"], serde_json::json!(["sfu-2"]));
    assert_eq!(json["nodes"][0]["clientUrl"], "http://sfu-1:3000");
}

#[test]
fn nodes_that_claim_workers_and_streams_do_not_decide_how_long_the_lists_are() {
    let liars = (0..64).map(|n| {
        let mut liar = report(&format!("liar-{n}"));
        liar.workers = 64;
        liar.carried = (0..1_000)
            .map(|m| carried("demo", &format!("p{n}-{m}"), "gone", 1_000_000))
            .collect();
        liar
    });
    let json = cluster(&view_of(liars));
    assert_eq!(json.mesh.desired_pairs, 64 * 63 / 2);
    assert_eq!(json.mesh.established_pairs, 0);
    assert_eq!(json.links.len(), MAX_LANES_LISTED);
    assert_eq!(json.streams.len(), MAX_STREAMS_LISTED);
}
