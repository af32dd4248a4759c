use super::samples::{name, peer, report, view_of, whole};
use super::*;

fn names(view: &View) -> Vec<&str> {
    view.nodes().keys().map(NodeName::as_str).collect()
}

#[test]
fn a_peer_that_a_node_names_becomes_known_and_is_polled_before_it_has_answered() {
    let mut first = report("sfu-1");
    first.peers = vec![peer("sfu-2")];
    let view = view_of([first]);
    assert_eq!(names(&view), ["sfu-1", "sfu-2"]);
    assert!(!view.nodes()[&name("sfu-2")].reachable);
    assert!(view.targets().contains("http://sfu-2:4000"));
}

#[test]
fn a_silent_node_stays_listed_while_a_reachable_node_names_it() {
    let mut view = view_of(whole(["sfu-1", "sfu-2"]));
    view.lost("http://sfu-2:4000/", "connection refused");
    assert_eq!(names(&view), ["sfu-1", "sfu-2"]);
    assert!(view.nodes()[&name("sfu-2")].current().is_none());
    assert!(view.nodes()[&name("sfu-2")].report.is_some());
}

#[test]
fn a_silent_node_that_nobody_names_any_more_is_dropped_and_a_seed_is_asked_on() {
    let nobody_names_2 = |view: &mut View| {
        view.lost("http://sfu-2:4000", "connection refused");
        view.heard("http://sfu-1:4000", report("sfu-1"));
    };
    let mut view = view_of(whole(["sfu-1", "sfu-2"]));
    nobody_names_2(&mut view);
    assert_eq!(names(&view), ["sfu-1"]);

    let mut view = view_of(whole(["sfu-1", "sfu-2"]));
    view.seeded(["http://sfu-2:4000".to_owned()]);
    nobody_names_2(&mut view);
    assert_eq!(names(&view), ["sfu-1"]);
    assert!(view.targets().contains("http://sfu-2:4000"));
    assert_eq!(
        view.seeds()["http://sfu-2:4000"].error.as_deref(),
        Some("connection refused")
    );
}

#[test]
fn nothing_is_dropped_while_no_node_answers() {
    let mut view = view_of(whole(["sfu-1", "sfu-2", "sfu-3"]));
    for n in 1..=3 {
        view.lost(&format!("http://sfu-{n}:4000"), "network is down");
    }
    assert_eq!(names(&view), ["sfu-1", "sfu-2", "sfu-3"]);
}

#[test]
fn a_seed_that_stands_before_other_nodes_only_tells_of_them() {
    let mut view = View::default();
    view.seeded(["http://10.0.0.9:4001".to_owned()]);
    assert!(!view.heard("http://10.0.0.9:4001", report("sfu-1")));
    assert!(
        !view.nodes()[&name("sfu-1")].reachable,
        "it has not answered at its own address yet"
    );
    assert!(view.targets().contains("http://sfu-1:4000"));
    assert_eq!(view.seeds()["http://10.0.0.9:4001"].node, Some(name("sfu-1")));
}

#[test]
fn a_restarted_node_is_looked_for_where_its_peers_see_its_new_life() {
    let mut view = view_of(whole(["sfu-1", "sfu-2"]));
    view.lost("http://sfu-2:4000", "connection refused");
    let mut moved = peer("sfu-2");
    moved.incarnation = "0.second-life".parse().unwrap();
    moved.admin_url = "http://10.0.0.7:4000".to_owned();
    let mut first = report("sfu-1");
    first.peers = vec![moved];
    view.heard("http://sfu-1:4000", first);
    assert!(view.targets().contains("http://10.0.0.7:4000"));
    assert_eq!(view.nodes()[&name("sfu-2")].peer.admin_url, "http://10.0.0.7:4000");
}

#[test]
fn what_peers_say_never_overrides_a_node_that_answers() {
    let mut view = view_of(whole(["sfu-1", "sfu-2"]));
    let mut old = peer("sfu-2");
    old.incarnation = "0.first-life".parse().unwrap();
    old.client_url = "http://elsewhere".to_owned();
    let mut first = report("sfu-1");
    first.peers = vec![old];
    view.heard("http://sfu-1:4000", first);
    assert_eq!(view.nodes()[&name("sfu-2")].peer, peer("sfu-2"));
}

#[test]
fn a_node_whose_address_another_node_answers_at_is_unreachable() {
    let mut view = view_of(whole(["sfu-1", "sfu-2"]));
    let mut usurper = report("sfu-3");
    usurper.node.admin_url = "http://sfu-2:4000".to_owned();
    view.heard("http://sfu-2:4000", usurper);
    assert!(!view.nodes()[&name("sfu-2")].reachable);
    assert!(view.nodes()[&name("sfu-3")].reachable);
}

#[test]
fn one_node_that_asks_for_tokens_closes_the_cluster_also_while_it_does_not_answer() {
    let saying = |node: &str, tokens_required| NodeReport {
        tokens_required,
        ..report(node)
    };
    assert_eq!(View::default().openness(), Openness::Unknown);
    let open = view_of([saying("a", None), saying("b", Some(false))]);
    assert_eq!(open.openness(), Openness::Open);
    let mut view = view_of([saying("a", Some(false)), saying("b", Some(true)), saying("c", None)]);
    assert_eq!(view.openness(), Openness::Closed(vec!["http://b:4000".to_owned()]));
    view.seeded([
        "http://a:4000".to_owned(),
        "http://b:4000".to_owned(),
        "http://c:4000".to_owned(),
    ]);
    for node in ["a", "b", "c"] {
        view.lost(&format!("http://{node}:4000"), "cut off");
    }
    assert_eq!(view.openness(), Openness::Closed(vec![]));
    // The node that asked for tokens is forgotten, and another one does not say.
    view.heard("http://c:4000", saying("c", None));
    assert!(!view.nodes().contains_key(&"b".parse().unwrap()));
    assert_eq!(view.openness(), Openness::Closed(vec![]));
    view.heard("http://c:4000", saying("c", Some(false)));
    assert_eq!(view.openness(), Openness::Open, "all say that none is needed");
}

#[test]
fn nodes_that_name_ever_more_peers_do_not_decide_how_many_are_known_and_polled() {
    let mut view = View::default();
    view.seeded(["http://sfu-1:4000".to_owned()]);
    let mut named = 0;
    for liar in 0..200 {
        let mut liar = report(&format!("liar-{liar}"));
        liar.peers = (0..MAX_MEMBERS)
            .map(|_| {
                named += 1;
                peer(&format!("fake-{named}"))
            })
            .collect();
        let url = liar.node.admin_url.clone();
        view.heard(&url, liar);
        assert!(view.nodes().len() <= MAX_MEMBERS, "{}", view.nodes().len());
        assert!(view.targets().len() <= MAX_TARGETS, "{}", view.targets().len());
    }
    assert!(view.targets().contains("http://sfu-1:4000"), "seeds are asked first");
    view.heard("http://sfu-1:4000", report("sfu-1"));
    assert!(view.nodes()[&name("sfu-1")].reachable, "and have their place");
    assert_eq!(view.nodes().len(), MAX_MEMBERS);
    assert!(view.nodes()[&name("liar-0")].reachable);
}

#[test]
fn nobody_whom_a_node_names_takes_the_name_of_one_that_a_seed_knows() {
    let mut view = View::default();
    view.seeded(["http://sfu-1:4000".to_owned(), "http://sfu-2:4000".to_owned()]);
    for node in whole(["sfu-1", "sfu-2"]) {
        view.heard(&node.node.admin_url.clone(), node);
    }
    let mut thief = report("sfu-2");
    thief.node.admin_url = "http://thief:4000".to_owned();
    view.heard("http://thief:4000", thief.clone());
    assert_eq!(view.nodes()[&name("sfu-2")].peer, peer("sfu-2"));
    // A node that is gone may be another one's namesake: it has moved.
    view.lost("http://sfu-2:4000", "connection refused");
    view.heard("http://thief:4000", thief.clone());
    assert_eq!(view.nodes()[&name("sfu-2")].peer, thief.node);
}

#[test]
fn where_the_seeds_are_https_nobody_is_asked_in_clear() {
    let mut view = View::default();
    view.seeded(["https://sfu-1:4000".to_owned()]);
    let mut node = report("sfu-1");
    node.node.admin_url = "https://sfu-1:4000".to_owned();
    let mut secure = peer("sfu-3");
    secure.admin_url = "https://sfu-3:4000".to_owned();
    node.peers = vec![peer("sfu-2"), secure];
    view.heard("https://sfu-1:4000", node);
    let targets: Vec<String> = view.targets().into_iter().collect();
    assert_eq!(targets, ["https://sfu-1:4000", "https://sfu-3:4000"]);
}
