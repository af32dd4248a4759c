#![allow(clippy::unwrap_used)]
use super::*;
use crate::cluster::convergence::Refusal;
use crate::cluster::status::{COUNTS_EVERY, is_due, status};
use serde_json::{Value, json};
use sfumato_admin_api::types::{Incarnation, NodeReport};
use sfumato_mesh::MemberSnapshot;
use std::time::Duration;

#[allow(clippy::needless_pass_by_value, reason = "a test reads better without the ampersand")]
fn pod(ordinal: usize, status: Value) -> Arc<Pod> {
    let pod = json!({
        "metadata": {
            "name": format!("live-{ordinal}"), "namespace": "media", "uid": format!("u{ordinal}"),
            "labels": {
                "app.kubernetes.io/name": "sfumato", "app.kubernetes.io/instance": "live",
                "app.kubernetes.io/component": "node",
            },
        },
        "spec": { "nodeName": format!("host-{ordinal}"), "containers": [] },
        "status": status,
    });
    Arc::new(serde_json::from_value(pod).unwrap())
}

fn ready() -> Value {
    json!({ "conditions": [{ "type": "Ready", "status": "True" }] })
}

fn mesh(members: usize, established: u32) -> MeshSnapshot {
    let member = |ordinal| MemberSnapshot {
        streams: 0,
        unusable: None,
        silent: None,
        name: format!("live-{ordinal}").parse().unwrap(),
        incarnation: None,
        reachable: true,
        asked: true,
        report: None,
    };
    MeshSnapshot {
        members: (0..members).map(member).collect(),
        desired_pairs: u32::try_from(members * members.saturating_sub(1) / 2).unwrap(),
        established_pairs: established,
        ..MeshSnapshot::default()
    }
}

fn facts<'a>(pods: &[Arc<Pod>], mesh: &'a MeshSnapshot) -> Facts<'a> {
    let object = json!({
        "apiVersion": "sfumato.dev/v1alpha1", "kind": "SfuCluster", "metadata": { "name": "live", "generation": 4 },
    });
    let desired = Desired {
        nodes: 3,
        front_doors: Some(0),
    };
    super::facts(
        &serde_json::from_value(object).unwrap(),
        desired,
        (pods, &[]),
        mesh,
        (Pace::for_tests(), Timestamp::UNIX_EPOCH),
    )
}

fn told(facts: &Facts<'_>) -> SfuClusterStatus {
    status(facts, &SfuClusterStatus::default(), Timestamp::UNIX_EPOCH)
}

fn condition(status: &SfuClusterStatus, kind: &str) -> String {
    let found = status.conditions.iter().find(|c| c.type_ == kind).unwrap();
    format!("{} {}: {}", found.status, found.reason, found.message)
}

#[test]
fn a_cluster_is_ready_when_all_nodes_are_and_all_pairs_are_linked() {
    let pods: Vec<_> = (0..3).map(|n| pod(n, ready())).collect();
    let (whole, lacking) = (mesh(3, 3), mesh(3, 2));
    let status = told(&facts(&pods, &whole));
    assert_eq!(condition(&status, "Ready"), "True AsDesired: 3 nodes, 3 pairs");
    assert_eq!(
        (status.nodes_summary.as_str(), status.mesh.summary.as_str()),
        ("3/3", "3/3")
    );
    let status = told(&facts(&pods, &lacking));
    assert_eq!(
        condition(&status, "Ready"),
        "False NotYet: 2 of 3 node pairs are linked"
    );
}

#[test]
fn nodes_that_are_still_to_come_keep_the_mesh_from_being_ready() {
    let pods = [pod(0, ready())];
    let alone = mesh(1, 0);
    let status = told(&facts(&pods, &alone));
    assert_eq!(
        condition(&status, "MeshReady"),
        "False NotAllLinked: 0 of 3 node pairs are linked"
    );
    assert_eq!(status.mesh.summary, "0/3");
}

#[test]
fn every_condition_names_the_generation_that_it_is_about() {
    let status = told(&facts(&[], &mesh(0, 0)));
    assert!(status.conditions.iter().all(|c| c.observed_generation == Some(4)));
    assert_eq!(status.observed_generation, Some(4));
}

#[test]
fn a_condition_keeps_the_time_of_its_last_transition() {
    let pods: Vec<_> = (0..3).map(|n| pod(n, ready())).collect();
    let (whole, lacking) = (mesh(3, 3), mesh(3, 2));
    let later = |seconds| Timestamp::UNIX_EPOCH + Duration::from_secs(seconds);
    let first = told(&facts(&pods, &lacking));
    let second = status(&facts(&pods, &whole), &first, later(5));
    let third = status(&facts(&pods, &whole), &second, later(9));
    let at = |status: &SfuClusterStatus, kind: &str| {
        status
            .conditions
            .iter()
            .find(|c| c.type_ == kind)
            .unwrap()
            .last_transition_time
            .0
    };
    assert_eq!(at(&second, "MeshReady"), later(5));
    assert_eq!(at(&second, "NodesReady"), later(0));
    assert_eq!(second, third);
}

fn waiting(reason: &str) -> Value {
    json!({ "containerStatuses": [{
        "name": "sfu-node", "image": "x", "imageID": "", "ready": false, "restartCount": 0,
        "state": { "waiting": { "reason": reason, "message": "words" } },
    }] })
}

#[test]
fn why_a_node_does_not_start_is_told_in_kubernetes_words_with_what_to_do() {
    let unplaced = json!({ "conditions": [
        { "type": "PodScheduled", "status": "False", "message": "0/3 nodes are available" },
    ] });
    let empty = mesh(0, 0);
    let status = |status| condition(&told(&facts(&[pod(0, status)], &empty)), "NodesReady");
    assert_eq!(
        status(waiting("ErrImagePull")),
        "False ImageNotPulled: live-0 cannot pull its image (ErrImagePull): words; check the image's name, the registry and \
         imagePullSecrets"
    );
    assert_eq!(
        status(unplaced),
        "False NoHost: live-0 has no Kubernetes node: 0/3 nodes are available; add Kubernetes nodes that fit, or change nodeSelector, tolerations, \
         affinity or resources"
    );
    assert_eq!(
        status(waiting("CrashLoopBackOff")),
        "False Crashing: live-0 ends again and again: words; `kubectl logs live-0 --container=sfu-node --previous` shows why"
    );
    assert_eq!(
        status(waiting("CreateContainerConfigError")),
        "False NotStarted: live-0 does not start (container sfu-node: CreateContainerConfigError): words; `kubectl describe pod live-0` shows more"
    );
    assert_eq!(
        status(waiting("ContainerCreating")),
        "False NotAllReady: 0 of 3 nodes are ready"
    );
}

#[test]
fn a_front_door_that_does_not_start_is_told_as_well() {
    let mut door = Arc::unwrap_or_clone(pod(7, waiting("ImagePullBackOff")));
    let labels = door.metadata.labels.get_or_insert_default();
    labels.insert("app.kubernetes.io/component".to_owned(), "web".to_owned());
    let mut pods: Vec<_> = (0..3).map(|n| pod(n, ready())).collect();
    pods.push(Arc::new(door));
    let whole = mesh(3, 3);
    let status = told(&facts(&pods, &whole));
    assert!(condition(&status, "NodesReady").starts_with("True"));
    assert!(condition(&status, "Degraded").starts_with("True ImageNotPulled: live-7 cannot pull its image"));
}

#[test]
fn pods_of_a_front_door_that_are_refused_are_told_as_well() {
    let refused = |status: &str| -> Arc<Deployment> {
        let failure = json!({ "type": "ReplicaFailure", "status": status, "message": "exceeded quota: few" });
        let metadata = json!({ "name": "live-web" });
        let deployment = json!({ "metadata": metadata, "status": { "conditions": [failure] } });
        Arc::new(serde_json::from_value(deployment).unwrap())
    };
    let (object, whole) = (
        json!({ "apiVersion": "v", "kind": "k", "metadata": { "name": "live" } }),
        mesh(0, 0),
    );
    let object = serde_json::from_value(object).unwrap();
    let facts = |status| {
        super::facts(
            &object,
            Desired::default(),
            (&[], &[refused(status)]),
            &whole,
            (Pace::for_tests(), Timestamp::UNIX_EPOCH),
        )
    };
    let others = |status| facts(status).others;
    let told = others("True").unwrap();
    assert_eq!(facts("True").front_door.trouble.as_ref(), Some(&told));
    assert_eq!(told.reason, "PodsRefused");
    assert!(
        told.message.starts_with("exceeded quota: few; change the quota"),
        "{}",
        told.message
    );
    assert_eq!(others("False"), None);
}

/// A node that does not reach Redis, for this reason.
fn report(redis_problem: Option<&str>) -> Arc<NodeReport> {
    let report = json!({
        "apiVersion": 1, "version": "0.1.0", "name": "live-0", "incarnation": "u.1", "adminUrl": "https://a", "clientUrl": "http://c",
        "revision": 1, "workers": 1, "linkEncryption": true, "ready": true, "draining": false,
        "redis": false, "redisProblem": redis_problem,
        "peers": [], "links": [], "publications": [], "carried": [], "viewers": 0, "publishers": 0,
    });
    Arc::new(serde_json::from_value(report).unwrap())
}

#[test]
fn why_redis_is_not_reached_is_told() {
    let status = |problem: Option<&str>| {
        let mut mesh = mesh(1, 0);
        mesh.members[0].report = Some(report(problem));
        condition(&told(&facts(&[], &mesh)), "RedisReady")
    };
    assert_eq!(
        status(None),
        "False NotReached: 1 of 1 nodes do not reach Redis; what plays goes on"
    );
    let away = "False NotReached: 1 of 1 nodes do not reach Redis (no answer); what plays goes on";
    assert_eq!(status(Some("no answer")), away);
    let refused = status(Some("invalid peer certificate: UnknownIssuer"));
    assert!(
        refused.starts_with("False CertificateRefused: 1 of 1 nodes refuse"),
        "{refused}"
    );
    for word in ["UnknownIssuer", "spec.redis.external.caSecretRef"] {
        assert!(refused.contains(word), "{refused}");
    }
}

#[test]
fn a_node_that_cannot_tell_its_clients_where_they_reach_it_is_told_of_with_why() {
    let degraded = |problem: Option<&str>| {
        let mut mesh = mesh(1, 0);
        let mut said = (*report(None)).clone();
        said.address_problem = problem.map(str::to_owned);
        mesh.members[0].report = Some(Arc::new(said));
        condition(&told(&facts(&[pod(0, ready())], &mesh)), "Degraded")
    };
    assert_eq!(degraded(None), "False AsExpected: nothing needs a person");
    let told = degraded(Some("the STUN server stun.example.net:3478 does not say"));
    assert!(
        told.starts_with("True NoMediaAddress: live-0 does not find out"),
        "{told}"
    );
    for word in ["stun.example.net:3478", "spec.media.announce"] {
        assert!(told.contains(word), "{told}");
    }
}

#[test]
fn links_that_carry_small_packets_only_are_no_whole_mesh_and_say_what_to_change() {
    let status = |carried: bool| {
        let mut mesh = mesh(3, 3);
        for (at, member) in mesh.members.iter_mut().enumerate() {
            let incarnation: Incarnation = format!("u.{at}").parse().unwrap();
            let mut said = (*report(None)).clone();
            said.node.incarnation = incarnation.clone();
            member.incarnation = Some(incarnation);
            member.report = Some(Arc::new(said));
        }
        let link = json!({
            "id": "l", "peer": "live-2", "peerIncarnation": "u.2", "lane": 0, "remote": "r", "state": "fresh", "sinceMs": 5,
            "largePackets": { "bytes": 1250, "carried": carried },
        });
        let mut said = (**mesh.members[1].report.as_ref().unwrap()).clone();
        said.links = vec![serde_json::from_value(link).unwrap()];
        mesh.members[1].report = Some(Arc::new(said));
        let pods: Vec<_> = (0..3).map(|n| pod(n, ready())).collect();
        let status = told(&facts(&pods, &mesh));
        // Whoever lived at the other end before has nothing to say of it.
        let mut replaced = mesh.clone();
        replaced.members[2].incarnation = Some("u.9".parse().unwrap());
        assert_eq!(
            condition(&told(&facts(&pods, &replaced)), "MeshReady"),
            "True AllLinked: 3 of 3 node pairs are linked"
        );
        ["MeshReady", "Degraded", "Ready"].map(|kind| condition(&status, kind))
    };
    let [mesh, degraded, _] = status(true);
    assert_eq!(mesh, "True AllLinked: 3 of 3 node pairs are linked");
    assert_eq!(degraded, "False AsExpected: nothing needs a person");
    let [mesh, degraded, ready] = status(false);
    let message = "3 of 3 node pairs are linked; between live-1 and live-2, large packets are lost";
    assert_eq!(mesh, format!("False LargePacketsLost: {message}"));
    assert!(ready.starts_with("False") && ready.ends_with(message), "{ready}");
    assert!(
        degraded.starts_with("True LargePacketsLost: between live-1 and live-2, links carry no packets of 1250 bytes"),
        "{degraded}"
    );
    assert!(degraded.contains("MTU"), "{degraded}");
}

#[test]
fn nothing_is_written_when_nothing_changed_and_counts_wait() {
    let pods: Vec<_> = (0..3).map(|n| pod(n, ready())).collect();
    let whole = mesh(3, 3);
    let before = told(&facts(&pods, &whole));
    assert!(!is_due(&before, &before, None));
    let mut counted = before.clone();
    let first = SfuClusterStatus {
        streams: 1,
        ..before.clone()
    };
    assert!(
        is_due(&first, &before, Some(Duration::ZERO)),
        "who has published looks whether it is there"
    );
    let before = first;
    counted.streams = 2;
    assert!(!is_due(&counted, &before, Some(Duration::from_secs(14))));
    assert!(is_due(&counted, &before, Some(COUNTS_EVERY)));
    assert!(
        is_due(&counted, &before, None),
        "an operator that has just started writes at once"
    );
    let mut worse = counted.clone();
    worse.ready_replicas = 2;
    assert!(is_due(&worse, &before, Some(Duration::ZERO)), "all else at once");
}

#[test]
fn the_selector_of_the_scale_subresource_matches_nodes_only() {
    let status = told(&facts(&[], &mesh(0, 0)));
    assert_eq!(
        status.selector,
        "app.kubernetes.io/component=node,app.kubernetes.io/instance=live,app.kubernetes.io/name=sfumato"
    );
}

#[test]
fn front_doors_are_counted_by_their_deployment() {
    let live =
        json!({ "metadata": { "name": "live-web" }, "spec": { "replicas": 5 }, "status": { "readyReplicas": 4 } });
    let live: Deployment = serde_json::from_value(live).unwrap();
    let counted = |named, live| {
        let facts = front_door(named, live, None);
        (facts.ready, facts.desired)
    };
    assert_eq!(counted(Some(2), Some(&live)), (4, 2), "as the manifest says");
    assert_eq!(counted(None, Some(&live)), (4, 5), "as somebody scales it");
    assert_eq!(counted(None, None), (0, FIRST_REPLICAS), "it is not there yet");
}

#[test]
fn a_cluster_without_its_front_door_is_not_ready() {
    let pods: Vec<_> = (0..3).map(|n| pod(n, ready())).collect();
    let whole = mesh(3, 3);
    let mut facts = facts(&pods, &whole);
    facts.front_door.desired = 2;
    facts.front_door.ready = 1;
    let status = told(&facts);
    let message = "1 of 2 front doors are ready";
    assert_eq!(condition(&status, "Ready"), format!("False NotYet: {message}"));
    assert_eq!(
        condition(&status, "FrontDoorReady"),
        format!("False NotAllReady: {message}")
    );
    assert_eq!(condition(&status, "Reconciling"), format!("True NotYet: {message}"));
}

#[test]
fn nobody_takes_what_ran_before_for_what_is_wanted_now() {
    let pods: Vec<_> = (0..3).map(|n| pod(n, ready())).collect();
    let whole = mesh(3, 3);
    let mut facts = facts(&pods, &whole);
    let settled = told(&facts);
    facts.generation = Some(5);
    facts.effort.under_way = Some(Remark::new("Applying", "takes up a change"));
    let now = status(&facts, &settled, Timestamp::UNIX_EPOCH);
    assert_eq!(condition(&now, "Ready"), "Unknown Reconciling: takes up a change");
    assert_eq!(condition(&now, "Reconciling"), "True Applying: takes up a change");
    facts.effort.under_way = None;
    let after = status(&facts, &now, Timestamp::UNIX_EPOCH);
    assert_eq!(condition(&after, "Ready"), "True AsDesired: 3 nodes, 3 pairs");
    assert!(!after.conditions.iter().any(|c| c.type_ == "Reconciling"));
}

#[test]
fn what_cannot_be_carried_out_is_not_ready_also_where_nothing_is_there() {
    let nothing = mesh(0, 0);
    let mut facts = facts(&[], &nothing);
    facts.desired = 0;
    let remark = Remark::new("InvalidSpec", "spec.replicas: must be between 1 and 32");
    facts.effort.refused = Some(Refusal { remark, is_final: true });
    let status = told(&facts);
    let message = "InvalidSpec: spec.replicas: must be between 1 and 32";
    assert_eq!(condition(&status, "Ready"), format!("False {message}"));
    assert_eq!(condition(&status, "Stalled"), format!("True {message}"));
}

#[test]
fn a_node_that_is_drained_is_not_told_as_unready_and_all_else_of_it_is() {
    let told_of = |reason: &'static str, draining: bool| {
        let mut mesh = mesh(3, 3);
        let mut report = Arc::unwrap_or_clone(report(None));
        report.draining = draining;
        mesh.members[0].report = Some(Arc::new(report));
        let pods: Vec<_> = (0..3).map(|n| pod(n, ready())).collect();
        let mut facts = facts(&pods, &mesh);
        facts.nodes[0].ready = false;
        facts.nodes[0].trouble = Some(Remark::new(reason, "words"));
        condition(&told(&facts), "Degraded")
    };
    assert_eq!(told_of("NotReady", false), "True NotReady: words");
    assert_eq!(told_of("NotReady", true), "False AsExpected: nothing needs a person");
    assert_eq!(told_of("NotEnding", true), "True NotEnding: words");
}

#[test]
fn what_follows_from_another_trouble_or_says_less_is_told_after_it() {
    let pods: Vec<_> = (0..3).map(|n| pod(n, ready())).collect();
    let whole = mesh(3, 3);
    let remark = |reason: &'static str| Remark::new(reason, "words");
    for (degraded, others, of_node, expected) in [
        (
            vec!["ApplyRefused", "HostLost"],
            Some("Crashing"),
            Some("NoHost"),
            "ApplyRefused",
        ),
        (
            vec!["ScaledElsewhere", "EventsRefused"],
            Some("Crashing"),
            None,
            "Crashing",
        ),
        (vec!["EventsRefused"], None, Some("ImageNotPulled"), "ImageNotPulled"),
        (vec![], Some("NotReady"), Some("ImageNotPulled"), "ImageNotPulled"),
        (vec!["ScaledElsewhere"], Some("NotReady"), None, "ScaledElsewhere"),
    ] {
        let mut facts = facts(&pods, &whole);
        facts.degraded = degraded.iter().map(|reason| remark(reason)).collect();
        facts.others = others.map(remark);
        facts.nodes[0].trouble = of_node.map(remark);
        assert_eq!(condition(&told(&facts), "Degraded"), format!("True {expected}: words"));
    }
}

#[test]
fn pods_that_have_all_failed_are_told_and_one_of_before_is_not() {
    let door = |ordinal: usize, status: Value| {
        let mut door = Arc::unwrap_or_clone(pod(ordinal, status));
        let labels = door.metadata.labels.get_or_insert_default();
        labels.insert("app.kubernetes.io/component".to_owned(), "web".to_owned());
        Arc::new(door)
    };
    let evicted = json!({ "phase": "Failed", "reason": "Evicted", "message": "words" });
    let whole = mesh(0, 0);
    let of = |doors: &[Arc<Pod>]| facts(doors, &whole).front_door.trouble.map(|it| it.reason);
    assert_eq!(
        of(&[door(7, evicted.clone()), door(8, evicted.clone())]),
        Some("Evicted")
    );
    assert_eq!(of(&[door(7, evicted), door(8, ready())]), None);
}
