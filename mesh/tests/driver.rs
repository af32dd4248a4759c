//! The driver and the mesh task against nodes behind real sockets.

#![allow(clippy::unwrap_used)]

mod world;

use sfumato_admin_api::client::HttpNodeAdmin;
use sfumato_admin_api::files::TokenSource;
use sfumato_admin_api::types::NodeName;
use sfumato_mesh::{Budget, DriveOptions, MeshHandle, MeshOptions, MeshSnapshot, MeshTask, PlanOptions, drive, plan};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use world::http::{Server, TOKEN, serve, serve_all};
use world::rounds::check_plan;
use world::{Faults, World, name};

/// Generous, for starved machines; no test passes by waiting for it.
const PATIENCE: Duration = Duration::from_secs(90);

fn client() -> HttpNodeAdmin {
    HttpNodeAdmin::new(TokenSource::fixed(TOKEN))
}

/// Calls that nobody answers are given up soon, so that tests of lost calls do not last.
fn impatient() -> DriveOptions {
    DriveOptions {
        call_deadline: Duration::from_millis(300),
        ..DriveOptions::default()
    }
}

/// Plans and drives over HTTP until the mesh is whole; faults end after `faulty` rounds.
async fn drive_until_whole(world: &World, options: &PlanOptions, faulty: usize) {
    let admin = client();
    let deadline = tokio::time::Instant::now() + PATIENCE;
    for round in 0.. {
        if round == faulty {
            world.heal();
        }
        let observed = world.observe();
        let steps = plan(&observed, options);
        check_plan(&observed, &steps);
        if round >= faulty && steps.is_empty() && world.fault_in_mesh(None).is_none() {
            return;
        }
        assert!(
            tokio::time::Instant::now() < deadline,
            "{:?}",
            world.fault_in_mesh(None)
        );
        for outcome in drive(steps, &admin, &impatient()).await {
            assert!(outcome.calls <= 3);
        }
    }
}

fn short_grace() -> PlanOptions {
    PlanOptions {
        link_grace: Duration::from_millis(300),
        ..PlanOptions::default()
    }
}

#[tokio::test]
async fn nodes_that_lose_requests_answer_late_or_answer_twice_end_in_a_full_mesh() {
    for seed in 0..4 {
        let world = World::of(4, 2);
        let _server = serve_all(&world);
        world.with(|s| s.faults = Faults::for_sockets(seed, 0.5));
        drive_until_whole(&world, &short_grace(), 4).await;
    }
}

#[tokio::test]
async fn nodes_that_restart_between_the_calls_end_in_a_full_mesh() {
    let world = World::of(5, 2);
    let _server = serve_all(&world);
    world.with(|s| s.faults = Faults::for_sockets(7, 0.0));
    let restarting = world.clone();
    let restarts = tokio::spawn(async move {
        for n in [0, 3, 1, 0, 4, 2] {
            tokio::time::sleep(Duration::from_millis(15)).await;
            restarting.restart(&name(n));
        }
    });
    drive_until_whole(&world, &short_grace(), 2).await;
    restarts.await.unwrap();
    drive_until_whole(&world, &short_grace(), 0).await;
}

#[tokio::test]
async fn two_drivers_at_once_end_where_one_would() {
    for seed in 0..4 {
        let world = World::of(4, 2);
        let _server = serve_all(&world);
        world.with(|s| s.faults = Faults::for_sockets(seed, 0.2));
        let (admin, options) = (client(), short_grace());
        let leader = || async {
            for _ in 0..3 {
                for outcome in drive(plan(&world.observe(), &options), &admin, &impatient()).await {
                    assert!(outcome.calls <= 3);
                }
            }
        };
        tokio::join!(leader(), leader());
        drive_until_whole(&world, &options, 0).await;
    }
}

#[tokio::test]
async fn a_hundred_nodes_converge_in_one_drive_of_three_calls_a_pair() {
    let world = World::of(100, 1);
    let _server = serve_all(&world);
    let options = PlanOptions::default();
    let steps = plan(&world.observe(), &options);
    assert_eq!(steps.len(), 4_950);
    // Nothing is judged by time here: a busy machine may be slow to answer.
    let patient = DriveOptions {
        call_deadline: PATIENCE,
        ..DriveOptions::default()
    };
    let outcomes = drive(steps, &client().with_call_deadline(PATIENCE), &patient).await;
    for outcome in &outcomes {
        assert!(outcome.result.is_ok(), "{:?}", outcome.result);
    }
    assert_eq!(outcomes.iter().map(|o| o.calls).sum::<u32>(), 3 * 4_950);
    assert_eq!(world.with(|s| (s.puts, s.closes)), (3 * 4_950, 0));
    assert!(world.with(|s| s.most_pairs) <= 32);
    assert_eq!(world.fault_in_mesh(None), None);
    assert_eq!(plan(&world.observe(), &options), []);
}

fn mesh_of(world: &World) -> (watch::Sender<Option<Vec<sfumato_mesh::Target>>>, MeshHandle) {
    let (targets, seen) = watch::channel(Some(world.targets()));
    (
        targets,
        MeshTask::spawn(seen, Arc::new(client()), MeshOptions::default(), &Budget::default()),
    )
}

async fn wait_for(handle: &MeshHandle, what: &str, condition: impl FnMut(&MeshSnapshot) -> bool) -> MeshSnapshot {
    let mut snapshots = handle.snapshots.clone();
    let found = tokio::time::timeout(PATIENCE, snapshots.wait_for(condition))
        .await
        .map(|s| s.unwrap().clone());
    found.unwrap_or_else(|_| {
        panic!(
            "no snapshot in which {what}; the last: {:#?}",
            *handle.snapshots.borrow()
        )
    })
}

/// A world whose nodes have a port each, so that each can die alone.
fn nodes_with_ports(count: usize) -> (World, Vec<Server>) {
    let world = World::of(count, 2);
    let servers: Vec<_> = (0..count)
        .map(|_| serve(&world, "127.0.0.1:0".parse().unwrap()))
        .collect();
    world.with(|s| {
        for ((name, node), server) in s.nodes.iter_mut().zip(&servers) {
            node.url = format!("http://{}/{name}", server.address);
            s.urls.insert(name.clone(), node.url.clone());
        }
    });
    (world, servers)
}

#[tokio::test]
async fn the_mesh_is_whole_again_after_a_node_was_killed_and_has_restarted() {
    let (world, mut servers) = nodes_with_ports(4);
    let (_targets, handle) = mesh_of(&world);
    let whole = wait_for(&handle, "all six pairs are established", |s| s.established_pairs == 6).await;
    assert_eq!(whole.desired_pairs, 6);
    assert!(whole.is_whole());
    let untouched = |world: &World| {
        let is_survivor = |n: &NodeName| *n != name(3);
        world.with(|s| {
            let survivors = s.nodes.values().filter(|n| is_survivor(&n.name));
            let links = survivors.flat_map(|n| n.links.iter().filter(|((peer, ..), _)| is_survivor(peer)));
            links.map(|(_, link)| link.id.clone()).collect::<Vec<_>>()
        })
    };
    let before = untouched(&world);

    let address = servers[3].address;
    servers.pop();
    world.crash(&name(3));
    let lost = wait_for(&handle, "the dead node does not answer", |s| !s.members[3].reachable).await;
    assert_eq!((lost.desired_pairs, lost.established_pairs), (6, 3));
    assert!(lost.members[3].incarnation.is_some(), "it is still a member");

    world.restart(&name(3));
    servers.push(serve(&world, address));
    wait_for(&handle, "the mesh is whole again", MeshSnapshot::is_whole).await;
    assert_eq!(world.fault_in_mesh(None), None);
    assert_eq!(untouched(&world), before, "links among the survivors were left alone");
}

#[tokio::test]
async fn a_node_that_leaves_for_good_is_forgotten_by_the_others() {
    let (world, mut servers) = nodes_with_ports(3);
    let (targets, handle) = mesh_of(&world);
    wait_for(&handle, "all pairs are established", |s| s.established_pairs == 3).await;
    servers.pop();
    world.leave(&name(2));
    targets.send_replace(Some(world.targets()));
    wait_for(&handle, "nobody has a link to it", |s| {
        s.desired_pairs == 1
            && s.members.iter().all(|m| {
                m.report
                    .as_ref()
                    .is_some_and(|r| r.links.iter().all(|l| l.peer != name(2)))
            })
    })
    .await;
    assert_eq!(world.fault_in_mesh(None), None);
}

#[tokio::test]
async fn nothing_is_planned_before_the_targets_are_known() {
    let (world, _servers) = nodes_with_ports(2);
    let (targets, seen) = watch::channel(None);
    let handle = MeshTask::spawn(seen, Arc::new(client()), MeshOptions::default(), &Budget::default());
    tokio::task::yield_now().await;
    assert_eq!(*handle.snapshots.borrow(), MeshSnapshot::default());
    assert_eq!(world.with(|s| s.puts), 0);
    targets.send_replace(Some(world.targets()));
    wait_for(&handle, "the pair is established", |s| s.established_pairs == 1).await;
}

#[tokio::test]
async fn a_node_under_another_name_is_not_taken_for_the_one_that_is_meant() {
    let (world, _servers) = nodes_with_ports(2);
    let mut confused = world.targets();
    confused[1].admin_url = confused[0].admin_url.clone();
    let (_targets, seen) = watch::channel(Some(confused));
    let handle = MeshTask::spawn(seen, Arc::new(client()), MeshOptions::default(), &Budget::default());
    let snapshot = wait_for(&handle, "the right node answers", |s| {
        s.members.iter().any(|m| m.reachable)
    })
    .await;
    assert_eq!(
        snapshot.members.iter().map(|m| m.reachable).collect::<Vec<_>>(),
        [true, false]
    );
    assert_eq!(world.with(|s| s.puts), 0);
}

#[tokio::test]
async fn dropping_the_handle_ends_polls_and_calls() {
    let (world, _servers) = nodes_with_ports(2);
    let (targets, handle) = mesh_of(&world);
    wait_for(&handle, "the pair is established", |s| s.established_pairs == 1).await;
    assert!(targets.receiver_count() > 0);
    let mut snapshots = handle.snapshots.clone();
    drop(handle);
    // The task held the sending half, and every poll dies with the members that it held.
    let ended = async { while snapshots.changed().await.is_ok() {} };
    tokio::time::timeout(PATIENCE, ended).await.unwrap();
    tokio::time::timeout(PATIENCE, targets.closed()).await.unwrap();
    let runtime = tokio::runtime::Handle::current();
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while runtime.metrics().num_alive_tasks() > 0 {
        assert!(
            tokio::time::Instant::now() < deadline,
            "{} tasks are left",
            runtime.metrics().num_alive_tasks()
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
