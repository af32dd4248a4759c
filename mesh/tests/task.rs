//! The mesh task in simulated time: who waits for whom, and for how long. The clock is paused, so the times asserted here are
//! decisions of the code and not of the machine.

#![allow(clippy::unwrap_used)]

mod world;

use async_trait::async_trait;
use sfumato_admin_api::client::{AdminError, NodeAdmin};
use sfumato_admin_api::types::{
    CloseLinks, DrainReason, DrainRequest, DrainState, Links, NameReport, NodeName, NodeReport, PublicationId,
    Publications, PutLinks, RenewSubscriptions, RenewedSubscriptions, StreamName, Subscribe, Subscribed,
};
use sfumato_mesh::{Budget, MeshHandle, MeshOptions, MeshTask, Target};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;
use world::{Faults, World, name};

fn mesh(world: &World, admin: Arc<dyn NodeAdmin>) -> (watch::Sender<Option<Vec<Target>>>, MeshHandle) {
    let (targets, seen) = watch::channel(Some(world.targets()));
    (
        targets,
        MeshTask::spawn(seen, admin, MeshOptions::default(), &Budget::default()),
    )
}

/// Simulated time until so many pairs are established.
async fn until_established(handle: &MeshHandle, pairs: u32) -> Duration {
    let (start, mut snapshots) = (Instant::now(), handle.snapshots.clone());
    let enough = snapshots.wait_for(|s| s.established_pairs >= pairs);
    let found = tokio::time::timeout(Duration::from_secs(60), enough)
        .await
        .map(|s| drop(s.unwrap()));
    assert!(
        found.is_ok(),
        "{pairs} pairs were wanted: {:#?}",
        *handle.snapshots.borrow()
    );
    start.elapsed()
}

#[tokio::test(start_paused = true)]
async fn a_restarted_node_is_in_the_mesh_well_within_two_seconds_of_being_ready() {
    for down in [1u64, 100, 700, 2_000, 5_000, 30_000] {
        let world = World::of(4, 2);
        let (_targets, handle) = mesh(&world, Arc::new(world.clone()));
        until_established(&handle, 6).await;
        world.crash(&name(1));
        let mut snapshots = handle.snapshots.clone();
        snapshots.wait_for(|s| s.established_pairs == 3).await.unwrap();
        tokio::time::sleep(Duration::from_millis(down)).await;
        world.restart(&name(1));
        let took = until_established(&handle, 6).await;
        assert!(
            took <= Duration::from_millis(1_200),
            "down for {down} ms, and back after {took:?}"
        );
    }
}

/// What is wrong with one node.
#[derive(Clone, Copy, PartialEq)]
enum Odd {
    /// It reports as if all were well, and never answers when links are to be made.
    NeverLinks,
    /// What it says of itself is over a bound.
    Lies,
}

/// A world with one node that is odd, by its URL.
struct Stuck(World, String, Odd);

#[async_trait]
impl NodeAdmin for Stuck {
    async fn node_report(&self, url: &str, after: Option<u64>, wait: Duration) -> Result<NodeReport, AdminError> {
        if url == self.1 && self.2 == Odd::Lies {
            return Err(AdminError::BadAnswer {
                call: format!("GET {url}"),
                detail: "workers: 65535 is over 64".to_owned(),
            });
        }
        self.0.node_report(url, after, wait).await
    }
    async fn put_links(&self, url: &str, peer: &NodeName, request: &PutLinks) -> Result<Links, AdminError> {
        if url == self.1 && self.2 == Odd::NeverLinks {
            std::future::pending::<()>().await;
        }
        self.0.put_links(url, peer, request).await
    }
    async fn close_links(&self, url: &str, request: &CloseLinks) -> Result<(), AdminError> {
        self.0.close_links(url, request).await
    }
    async fn publications(&self, url: &str, after: Option<u64>, wait: Duration) -> Result<Publications, AdminError> {
        self.0.publications(url, after, wait).await
    }
    async fn name(&self, url: &str, stream: &StreamName) -> Result<NameReport, AdminError> {
        self.0.name(url, stream).await
    }
    async fn subscribe(&self, url: &str, id: &PublicationId, request: &Subscribe) -> Result<Subscribed, AdminError> {
        self.0.subscribe(url, id, request).await
    }
    async fn renew(&self, url: &str, request: &RenewSubscriptions) -> Result<RenewedSubscriptions, AdminError> {
        self.0.renew(url, request).await
    }
    async fn drain(&self, url: &str, request: &DrainRequest) -> Result<DrainState, AdminError> {
        self.0.drain(url, request).await
    }
    async fn undrain(&self, url: &str, reason: DrainReason) -> Result<DrainState, AdminError> {
        self.0.undrain(url, reason).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_whose_calls_time_out_delays_no_other_pair() {
    let world = World::of(8, 1);
    world.with(|s| s.faults = Faults::new(1, 0.0));
    let odd = Stuck(world.clone(), format!("mem://{}", name(0)), Odd::NeverLinks);
    let (_targets, handle) = mesh(&world, Arc::new(odd));
    let took = until_established(&handle, 7 * 6 / 2).await;
    assert!(took < Duration::from_secs(1), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_node_that_lies_is_named_with_its_lie_and_delays_no_other_pair() {
    let world = World::of(8, 1);
    world.with(|s| s.faults = Faults::new(1, 0.0));
    let odd = Stuck(world.clone(), format!("mem://{}", name(0)), Odd::Lies);
    let (_targets, handle) = mesh(&world, Arc::new(odd));
    let took = until_established(&handle, 7 * 6 / 2).await;
    assert!(took < Duration::from_secs(1), "{took:?}");
    let mut snapshots = handle.snapshots.clone();
    let told = snapshots.wait_for(|s| s.members.iter().any(|m| m.unusable.is_some()));
    let told = tokio::time::timeout(Duration::from_secs(5), told)
        .await
        .unwrap()
        .unwrap();
    let liars: Vec<_> = told.members.iter().filter(|m| m.unusable.is_some()).collect();
    assert_eq!(liars.len(), 1);
    assert_eq!(liars[0].name, name(0));
    assert!(!liars[0].reachable && liars[0].report.is_none());
    assert!(
        liars[0]
            .unusable
            .as_ref()
            .unwrap()
            .contains("workers: 65535 is over 64")
    );
}

#[tokio::test(start_paused = true)]
async fn more_targets_than_a_mesh_can_have_are_bounded() {
    let world = World::of(70, 1);
    world.with(|s| s.faults = Faults::new(1, 0.0));
    let (_targets, handle) = mesh(&world, Arc::new(world.clone()));
    let mut snapshots = handle.snapshots.clone();
    let all = snapshots.wait_for(|s| s.members.len() >= 64 && s.members.iter().all(|m| m.reachable));
    let all = tokio::time::timeout(Duration::from_secs(60), all)
        .await
        .unwrap()
        .unwrap();
    assert_eq!((all.members.len(), all.desired_pairs), (64, 64 * 63 / 2));
}

#[tokio::test(start_paused = true)]
async fn at_most_32_pairs_are_driven_at_a_time() {
    let world = World::of(20, 1);
    world.with(|s| s.faults = Faults::new(1, 0.0));
    let (_targets, handle) = mesh(&world, Arc::new(world.clone()));
    until_established(&handle, 190).await;
    assert_eq!(world.with(|s| s.most_pairs), 32);
    assert_eq!(world.with(|s| s.puts), 3 * 190, "no pair was driven twice");
}

#[tokio::test(start_paused = true)]
async fn a_pair_without_media_is_tried_again_ever_more_seldom() {
    let world = World::of(2, 1);
    world.with(|s| s.cut.insert((name(0), name(1))));
    let (_targets, handle) = mesh(&world, Arc::new(world.clone()));
    tokio::time::sleep(Duration::from_secs(300)).await;
    let puts = world.with(|s| s.puts);
    assert!((3 * 8..=3 * 30).contains(&puts), "{puts} calls in 300 s");
    world.with(|s| s.cut.clear());
    until_established(&handle, 1).await;
}

#[tokio::test(start_paused = true)]
async fn targets_that_are_not_known_any_more_change_nothing() {
    let world = World::of(3, 1);
    let (targets, handle) = mesh(&world, Arc::new(world.clone()));
    until_established(&handle, 3).await;
    let ends = world.ends();
    targets.send_replace(None);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!((handle.snapshots.borrow().established_pairs, world.ends()), (3, ends));
}
