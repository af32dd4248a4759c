use super::*;
use crate::cli::tests::local;
use crate::cluster::node_arguments::most_lanes;
use crate::crd::SfuClusterSpec;
use crate::crd::mesh::FanOut;
use crate::local::reach::own_address;
use std::collections::BTreeSet;

fn site() -> Site {
    Site {
        node_bin: "/bin/sfu-node".into(),
        web_bin: "/bin/sfu-web".into(),
        client_port_base: 3001,
        admin_port_base: 4001,
        health_port_base: 5001,
        redis_url_file: "/s/redis-url".into(),
        token_file: "/s/admin-token".into(),
        front_door_token_file: "/s/front-door-token".into(),
        log_format: LogFormat::Human,
        uid: "u".into(),
        reach: Reach::of(&local(&[]), own_address).unwrap(),
        client_keys: None,
        drain_deadline: Duration::from_secs(10),
        cores: 2,
        seeds: 3,
    }
}

fn cluster(change: impl FnOnce(&mut SfuClusterSpec)) -> SfuCluster {
    let mut spec = SfuClusterSpec::default();
    change(&mut spec);
    SfuCluster::new("live", spec)
}

#[test]
fn a_node_gets_the_arguments_that_its_place_and_the_manifest_mean() {
    let layout = Layout::new(&cluster(|spec| spec.mesh.fan_out = FanOut::Eager), &site());
    insta::assert_snapshot!(layout.nodes[2].program.args.join(" "), @"--name sfu-3 --client-url http://127.0.0.1:3003 --admin-url http://127.0.0.1:4003 --media-ip 127.0.0.1 --pipe-ip 127.0.0.1 --redis-url-file /s/redis-url --front-door-token-file /s/front-door-token --cluster default/live/u --workers 2 --listen 127.0.0.1:3003 --admin-listen 127.0.0.1:4003 --health-listen 127.0.0.1:5003 --admin-token-file /s/admin-token --media-port 20200 --media-tcp true --pipe-ports 24200-24299 --link-encryption true --beat-interval 500ms --fan-out eager --fan-out-idle-timeout 30s --drain-deadline 10s --log-format human");
}

#[test]
fn every_node_is_told_what_tokens_are_checked_with_and_the_front_door_is_not() {
    for (keys, flag) in [
        (ClientKeys::Secret("/s/secret".into()), "--auth-secret-file /s/secret"),
        (ClientKeys::Jwks("/s/keys.json".into()), "--auth-jwks-file /s/keys.json"),
    ] {
        let mut site = site();
        site.client_keys = Some(keys);
        let layout = Layout::new(&cluster(|_| {}), &site);
        assert!(
            layout
                .nodes
                .iter()
                .all(|node| node.program.args.join(" ").contains(flag)),
            "{flag}"
        );
        assert!(!layout.web.program.args.join(" ").contains("auth"), "{flag}");
    }
}

#[test]
fn what_tokens_must_say_and_stun_servers_are_passed_on() {
    let mut site = site();
    site.client_keys = Some(ClientKeys::Secret("/s/secret".into()));
    let spec = serde_json::json!({
        "auth": { "mode": "Jwt", "secretRef": { "name": "s", "key": "k" }, "issuer": "me", "audience": "you" },
        "media": { "iceServers": [{ "urls": ["stun:a", "stun:b"] }] },
    });
    let layout = Layout::new(&SfuCluster::new("live", serde_json::from_value(spec).unwrap()), &site);
    let args = layout.nodes[0].program.args.join(" ");
    let said = "--auth-issuer me --auth-audience you --ice-server stun:a --ice-server stun:b";
    assert!(args.contains(said), "{args}");
}

#[test]
fn a_trusted_proxy_is_named_to_the_front_door_and_to_every_node() {
    let site = Site {
        reach: Reach::of(&local(&["--trusted-proxy", "127.0.0.1,::1"]), own_address).unwrap(),
        ..site()
    };
    let layout = Layout::new(&cluster(|_| {}), &site);
    let nodes = layout.nodes.iter().map(|node| &node.program);
    for program in nodes.chain([&layout.web.program]) {
        let args = program.args.join(" ");
        assert!(args.contains("--trusted-proxy 127.0.0.1,::1"), "{args}");
    }
}

#[test]
fn the_front_door_is_the_same_for_any_number_of_nodes() {
    let web = |replicas| Layout::new(&cluster(|spec| spec.replicas = replicas), &site()).web;
    assert_eq!(web(1), web(32));
    insta::assert_snapshot!(web(3).program.args.join(" "), @"--listen 127.0.0.1:2020 --admin-token-file /s/front-door-token --log-format human --seed http://127.0.0.1:4001 --seed http://127.0.0.1:4002 --seed http://127.0.0.1:4003");
}

#[test]
fn no_two_nodes_of_the_largest_cluster_share_a_name_or_a_port() {
    let layout = Layout::new(&cluster(|spec| spec.replicas = MAX_NODES), &site());
    let mut names = BTreeSet::new();
    let mut ports = BTreeSet::from([layout.web.listen.port()]);
    for node in &layout.nodes {
        assert!(names.insert(node.program.name.clone()));
        for address in [node.client, node.admin, node.health] {
            assert!(ports.insert(address.port()), "{address}");
        }
        for worker in 0..node.workers {
            assert!(ports.insert(node.media_port + worker));
        }
    }
    assert_eq!(
        (
            names.len(),
            names.first().unwrap().as_str(),
            names.last().unwrap().as_str()
        ),
        (32, "sfu-1", "sfu-9")
    );
    assert_eq!(layout.nodes[31].program.name, "sfu-32");
}

#[test]
fn workers_follow_the_manifest_else_the_cores_up_to_four() {
    let free = cluster(|_| {});
    assert_eq!([1, 2, 4, 64, 0].map(|cores| workers(&free, cores)), [1, 2, 4, 4, 1]);
    assert_eq!(workers(&cluster(|spec| spec.workers_per_node = Some(8)), 2), 8);
}

#[test]
fn links_always_fit_the_ports_of_a_node() {
    for replicas in 1..=MAX_NODES {
        let cluster = cluster(|spec| spec.replicas = replicas);
        let workers = workers(&cluster, 64);
        let most = i32::from(most_lanes(&cluster.spec, workers));
        assert!(
            (replicas - 1) * most <= PORTS_PER_NODE,
            "{replicas} nodes with {most} lanes"
        );
    }
}

#[test]
fn the_command_of_the_readme_finds_the_node_of_a_cluster_with_the_ports_of_make_run_and_no_other() {
    let (_, command) = include_str!("../../../README.md")
        .split_once("kill -9 $(pgrep -f '")
        .expect("it is there");
    let (pattern, _) = command.split_once("')").expect("it ends");
    let (program, listen) = pattern.split_once(".*").expect("what is between does not count");
    let finds = |site: &Site, at: usize| {
        let layout = Layout::new(&cluster(|_| {}), site);
        let node = &layout.nodes[at].program;
        let line = format!("{} {}", node.bin.display(), node.args.join(" "));
        line.find(program).is_some_and(|at| line[at..].contains(listen))
    };
    let beside = Site {
        client_port_base: 3101,
        ..site()
    };
    assert_eq!(
        [0, 1, 2].map(|at| finds(&site(), at)),
        [false, true, false],
        "{pattern}"
    );
    assert_eq!([0, 1, 2].map(|at| finds(&beside, at)), [false; 3], "{pattern}");
}
