//! What is told of a cluster. Pure: the same facts give the same status, so that nothing is written when nothing changed.

use super::convergence::{Convergence, Effort, RECONCILING, STALLED, Standstill, judge};
use super::large_packets::{self, LARGE_PACKETS_LOST};
use super::remark::{EVENTS_REFUSED, NO_MEDIA_ADDRESS, NOT_READY, Remark, SCALED_ELSEWHERE};
use crate::crd::status::{MeshStatus, NodeStatus, SfuClusterStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;
use sfumato_mesh::{MemberSnapshot, MeshSnapshot};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// Counts (streams, viewers) are written at most this often; everything else at once.
pub const COUNTS_EVERY: Duration = Duration::from_secs(15);
/// Reason of a cluster with a node whose answers are over a bound, or of another shape.
pub const ANSWER_REFUSED: &str = "AnswerRefused";
/// Reasons that may follow from another, or say less than it: a front door is not ready where no node is.
const WEAK: [&str; 3] = [NOT_READY, SCALED_ELSEWHERE, EVENTS_REFUSED];
/// Conditions that rest upon what nodes say.
const OF_NODES: [&str; 4] = ["NodesReady", "MeshReady", "FrontDoorReady", "RedisReady"];
/// Type of the condition of nodes that NetworkPolicies do not find; there is none otherwise.
const UNPROTECTED: &str = "Unprotected";
/// Longest message of a condition, in characters. The API server allows 32768.
const MAX_MESSAGE: usize = 1_000;

#[derive(Debug)]
pub struct Facts<'a> {
    pub generation: Option<i64>,
    /// Installation of the operator; empty where there is one at most.
    pub operator: String,
    pub desired: i32,
    /// By number.
    pub nodes: Vec<NodeFacts>,
    /// Label selector of the nodes' pods; empty where nodes are no pods.
    pub selector: String,
    pub mesh: &'a MeshSnapshot,
    /// Whether changes are stopped.
    pub paused: bool,
    /// What needs a person, the weightiest first.
    pub degraded: Vec<Remark>,
    pub front_door: FrontDoorFacts,
    /// Why front door or Redis do not get anywhere.
    pub others: Option<Remark>,
    pub effort: Effort,
    /// The image that nodes would get if they were upgraded.
    pub upgrade: Option<String>,
    /// What nodes are not protected by, although the manifest asks for it.
    pub unprotected: Option<Remark>,
}

/// What the platform knows of the front door.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FrontDoorFacts {
    /// How many there are to be.
    pub desired: i32,
    pub ready: i32,
    /// Why it does not get anywhere.
    pub trouble: Option<Remark>,
}

/// What the platform knows of a pod or process that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeFacts {
    pub name: String,
    /// Kubernetes node that it runs on.
    pub host: String,
    /// Whether it takes sessions.
    pub ready: bool,
    /// Why it does not get anywhere.
    pub trouble: Option<Remark>,
}

/// Whether something is not as desired.
#[must_use]
pub fn is_busy(status: &SfuClusterStatus) -> bool {
    let is = |kind, word| status.conditions.iter().any(|c| c.type_ == kind && c.status == word);
    !is("Ready", "True") || is("Degraded", "True") || is("RedisReady", "False")
}

impl Facts<'_> {
    /// Notes how long the manifest has got no further; `standstill` is what is remembered of that from look to look. Who waits
    /// for publishers to leave (`waits`) stands still for a good reason.
    pub fn note_standstill(&mut self, standstill: &mut Option<Standstill>, waits: bool, now: Instant) {
        let seen = Standstill::again(*standstill, self.generation, self.steps(), waits, now);
        self.effort.standstill = seen.lasts(now);
        *standstill = Some(seen);
    }

    /// How many things are as desired: nodes, pairs, front doors.
    fn steps(&self) -> usize {
        let nodes = self.nodes.iter().filter(|node| node.ready).count();
        let doors = usize::try_from(self.front_door.ready).unwrap_or(0);
        nodes + self.mesh.established_pairs as usize + doors
    }
}

/// The status that these facts make. Conditions keep the time of their last transition from `before`.
#[must_use]
pub fn status(facts: &Facts<'_>, before: &SfuClusterStatus, now: Timestamp) -> SfuClusterStatus {
    let nodes: Vec<NodeStatus> = facts.nodes.iter().map(|it| node(it, facts.mesh)).collect();
    let ready = nodes.iter().filter(|node| node.ready).count();
    let desired = usize::try_from(facts.desired).unwrap_or(0);
    let pairs = desired * desired.saturating_sub(1) / 2;
    let nodes_summary = format!("{ready}/{desired}");
    let mesh_summary = format!("{}/{pairs}", facts.mesh.established_pairs);
    SfuClusterStatus {
        observed_generation: facts.generation,
        operator: facts.operator.clone(),
        replicas: count(nodes.len()),
        ready_replicas: count(ready),
        streams: nodes.iter().map(|node| node.streams).sum(),
        viewers: nodes.iter().map(|node| node.viewers).sum(),
        load: load(facts.mesh),
        version: version(facts.mesh),
        selector: facts.selector.clone(),
        mesh: MeshStatus {
            desired_pairs: count(pairs),
            established_pairs: count(facts.mesh.established_pairs),
            summary: mesh_summary,
        },
        conditions: conditions(facts, ready, desired, pairs, before)
            .into_iter()
            .map(|draft| draft.condition(facts.generation, before, now))
            .collect(),
        nodes_summary,
        nodes,
    }
}

/// Whether a status has to be written, when the last one was written so long ago.
#[must_use]
pub fn is_due(now: &SfuClusterStatus, written: &SfuClusterStatus, since: Option<Duration>) -> bool {
    if now == written {
        return false;
    }
    // Whether there is any stream is what people look for after they have published.
    let some = |status: &SfuClusterStatus| status.streams > 0;
    some(now) != some(written)
        || without_counts(now) != without_counts(written)
        || since.is_none_or(|since| since >= COUNTS_EVERY)
}

fn without_counts(status: &SfuClusterStatus) -> SfuClusterStatus {
    let mut status = status.clone();
    (status.streams, status.viewers) = (0, 0);
    status.load.clear();
    for node in &mut status.nodes {
        (node.streams, node.viewers) = (0, 0);
    }
    status
}

fn node(facts: &NodeFacts, mesh: &MeshSnapshot) -> NodeStatus {
    let NodeFacts { name, host, ready, .. } = facts;
    let member = mesh.members.iter().find(|member| member.name.as_str() == *name);
    let report = member.and_then(MemberSnapshot::current);
    // The node itself is the first to know; the platform learns of it by a probe.
    let draining = report.is_some_and(|report| report.draining);
    NodeStatus {
        host: host.clone(),
        incarnation: member
            .and_then(|m| m.incarnation.as_ref())
            .map(ToString::to_string)
            .unwrap_or_default(),
        ready: *ready && !draining,
        draining,
        pairs: count(mesh.whole_pairs_of(name)),
        streams: count(member.filter(|_| report.is_some()).map_or(0, |member| member.streams)),
        viewers: count(report.map_or(0, |report| report.viewers)),
        name: name.clone(),
    }
}

/// In steps that are wide enough for a load that hardly changes not to be written each time.
fn load(mesh: &MeshSnapshot) -> String {
    let loads = mesh.members.iter().filter_map(|member| Some(member.current()?.load));
    let highest = loads.reduce(f64::max);
    highest.map_or_else(String::new, |load| format!("{:.0}%", (load * 10.0).round() * 10.0))
}

fn version(mesh: &MeshSnapshot) -> String {
    let versions: BTreeSet<&str> = (mesh.members.iter())
        .filter_map(|member| Some(member.current()?.version.as_str()))
        .collect();
    versions.into_iter().collect::<Vec<_>>().join(", ")
}

/// A condition before it gets its times.
struct Draft {
    kind: &'static str,
    status: &'static str,
    remark: Remark,
}

fn conditions(facts: &Facts<'_>, ready: usize, desired: usize, pairs: usize, before: &SfuClusterStatus) -> Vec<Draft> {
    // Without `..`: a fact that nobody tells does not compile.
    let Facts {
        generation,
        operator: _,
        desired: _,
        nodes,
        selector: _,
        mesh,
        paused,
        degraded,
        front_door,
        others,
        effort,
        upgrade,
        unprotected,
    } = facts;
    let nodes_ready = ready == desired && nodes.len() == desired;
    let all_linked =
        mesh.is_whole() && mesh.members.len() == desired && usize::try_from(mesh.established_pairs) == Ok(pairs);
    let narrow = large_packets::lost(mesh);
    let mesh_ready = all_linked && narrow.is_none();
    let trouble = nodes.iter().find_map(|node| trouble(node, mesh));
    let about_nodes = if nodes_ready {
        Remark::new("AllReady", format!("all {desired} nodes are ready"))
    } else {
        let count = || Remark::new("NotAllReady", format!("{ready} of {desired} nodes are ready"));
        trouble.clone().unwrap_or_else(count)
    };
    let (door_ready, about_door) = door(front_door);
    let narrow_links = narrow.as_ref().map(large_packets::Lost::remark);
    let others = [others.clone(), refused(mesh), unaddressed(mesh), narrow_links, trouble];
    let degraded = weightiest(degraded.iter().cloned().chain(others.into_iter().flatten()));
    let mesh_message = format!(
        "{} of {pairs} node pairs are linked{}{}",
        mesh.established_pairs,
        silent(mesh),
        narrow.map_or_else(String::new, |lost| format!(
            "; {}, large packets are lost",
            lost.place()
        ))
    );
    let not_linked = if all_linked { LARGE_PACKETS_LOST } else { "NotAllLinked" };
    let lacks = if !nodes_ready {
        Some(about_nodes.message.clone())
    } else if !mesh_ready {
        Some(mesh_message.clone())
    } else {
        (!door_ready).then(|| about_door.message.clone())
    };
    let lacks = lacks.map(|message| Remark::new("NotYet", message));
    let convergence = judge(effort, *generation, before, lacks.as_ref());
    let summary = format!("{desired} nodes, {pairs} pairs");
    let is_paused = || Remark::new("Paused", "spec.paused is set: nothing is applied, drained or rolled");
    let kept_back = |image: &String| {
        let advice = "set spec.image, or upgradePolicy to Automatic";
        let message = format!("the operator's own release would run {image}: {advice}");
        Remark::new("OtherImage", message)
    };
    let mut all = vec![
        is_ready(&convergence, lacks.or_else(|| refusal(effort)), summary),
        yes_or_no(
            "NodesReady",
            nodes_ready,
            (about_nodes.reason, about_nodes.reason),
            about_nodes.message,
        ),
        yes_or_no("MeshReady", mesh_ready, ("AllLinked", not_linked), mesh_message),
        yes_or_no(
            "FrontDoorReady",
            door_ready,
            (about_door.reason, about_door.reason),
            about_door.message,
        ),
        redis(mesh),
        flag("Degraded", degraded, ("AsExpected", "nothing needs a person")),
        flag("Paused", paused.then(is_paused), ("Active", "spec.paused is not set")),
        flag(
            "UpgradeAvailable",
            upgrade.as_ref().map(kept_back),
            ("UpToDate", "the nodes run what they would get if recreated"),
        ),
    ];
    all.extend(unprotected.clone().map(|remark| Draft {
        kind: UNPROTECTED,
        status: "True",
        remark,
    }));
    all.extend(open(convergence));
    all
}

/// What is told where several things need a person: the first, but for what may follow from another, or hides it.
fn weightiest(all: impl Iterator<Item = Remark>) -> Option<Remark> {
    let (weak, strong): (Vec<Remark>, Vec<Remark>) = all.partition(|remark| WEAK.contains(&remark.reason));
    strong.into_iter().chain(weak).next()
}

/// A status where not all nodes have been asked yet: what is told of them stays as it was, and the rest is of now.
#[must_use]
pub fn overlaid(now: SfuClusterStatus, before: &SfuClusterStatus) -> SfuClusterStatus {
    if before.conditions.is_empty() {
        return now;
    }
    let same = now.observed_generation == before.observed_generation;
    let stays = |kind: &str| OF_NODES.contains(&kind) || (kind == "Ready" && same);
    let of_before = |kind: &str| before.conditions.iter().find(|it| it.type_ == kind && stays(kind));
    SfuClusterStatus {
        observed_generation: now.observed_generation,
        operator: now.operator,
        conditions: (now.conditions.into_iter())
            .map(|it| of_before(&it.type_).cloned().unwrap_or(it))
            .collect(),
        ..before.clone()
    }
}

/// Why a node does not get anywhere. One that is drained takes no sessions, and that is as it should be.
fn trouble(facts: &NodeFacts, mesh: &MeshSnapshot) -> Option<Remark> {
    let mut members = mesh.members.iter();
    let member = members.find(|member| member.name.as_str() == facts.name);
    let is_drained = member
        .and_then(MemberSnapshot::current)
        .is_some_and(|report| report.draining);
    facts
        .trouble
        .clone()
        .filter(|trouble| !is_drained || trouble.reason != NOT_READY)
}

/// Which nodes do not answer, and why the first of them does not.
fn silent(mesh: &MeshSnapshot) -> String {
    let silent = mesh
        .members
        .iter()
        .filter_map(|it| Some((&it.name, it.silent.as_ref()?)));
    let names: Vec<&str> = silent.clone().map(|(name, _)| name.as_str()).collect();
    let first = silent.into_iter().next();
    first.map_or_else(String::new, |(name, why)| {
        let of = if names.len() == 1 {
            String::new()
        } else {
            format!("{name}: ")
        };
        format!("; the operator gets no answer of {} ({of}{why})", names.join(", "))
    })
}

fn door(facts: &FrontDoorFacts) -> (bool, Remark) {
    let FrontDoorFacts {
        desired,
        ready,
        trouble,
    } = facts;
    if ready >= desired {
        let message = format!("all {desired} front doors are ready");
        return (true, Remark::new("AllReady", message));
    }
    let count = || Remark::new("NotAllReady", format!("{ready} of {desired} front doors are ready"));
    (false, trouble.clone().unwrap_or_else(count))
}

/// Whether the manifest is carried out, and what it asks for works. While it is being carried out, nobody knows: whoever
/// waits for it (`kubectl wait`) must not take what ran before for it.
fn is_ready(convergence: &Convergence, lacks: Option<Remark>, summary: String) -> Draft {
    let (status, remark) = match (convergence, lacks) {
        (Convergence::Stalled(why), _) => ("False", why.clone()),
        (_, Some(lacks)) => ("False", lacks),
        (Convergence::Reconciling(what), None) => ("Unknown", Remark::new("Reconciling", what.message.clone())),
        (Convergence::Settled, None) => ("True", Remark::new("AsDesired", summary)),
    };
    Draft {
        kind: "Ready",
        status,
        remark,
    }
}

/// What was refused for good: what is asked for is not all there, whatever runs.
fn refusal(effort: &Effort) -> Option<Remark> {
    let refused = effort.refused.as_ref().filter(|refusal| refusal.is_final)?;
    Some(refused.remark.clone())
}

/// The condition that says that a manifest is not carried out yet. kstatus goes by whether there is one.
fn open(convergence: Convergence) -> Option<Draft> {
    let (kind, remark) = match convergence {
        Convergence::Settled => return None,
        Convergence::Reconciling(remark) => (RECONCILING, remark),
        Convergence::Stalled(remark) => (STALLED, remark),
    };
    Some(Draft {
        kind,
        status: "True",
        remark,
    })
}

fn redis(mesh: &MeshSnapshot) -> Draft {
    let reports: Vec<_> = mesh.members.iter().filter_map(MemberSnapshot::current).collect();
    let away: Vec<_> = reports.iter().filter(|report| !report.redis).collect();
    let why = away.iter().find_map(|report| report.redis_problem.as_ref());
    let (status, remark) = match (reports.len(), away.len()) {
        (0, _) => (
            "Unknown",
            Remark::new("NoNodes", "no node has said whether it reaches Redis"),
        ),
        (_, 0) => ("True", Remark::new("Reached", "every node reaches Redis")),
        (all, without) if why.is_some_and(|why| why.contains("certificate")) => (
            "False",
            Remark::new(
                "CertificateRefused",
                format!(
                    "{without} of {all} nodes refuse the certificate of Redis{}: put the CA that it comes from into \
                     spec.redis.external.caSecretRef; what plays goes on",
                    because(why)
                ),
            ),
        ),
        (all, without) => (
            "False",
            Remark::new(
                "NotReached",
                format!(
                    "{without} of {all} nodes do not reach Redis{}; what plays goes on",
                    because(why)
                ),
            ),
        ),
    };
    Draft {
        kind: "RedisReady",
        status,
        remark,
    }
}

/// Nodes whose answers are refused: nothing else tells that they run and say what cannot be right.
fn refused(mesh: &MeshSnapshot) -> Option<Remark> {
    let refused = mesh
        .members
        .iter()
        .filter_map(|it| Some((&it.name, it.unusable.as_ref()?)));
    let names: Vec<&str> = refused.clone().map(|(name, _)| name.as_str()).collect();
    let (_, why) = refused.into_iter().next()?;
    let message = format!(
        "what {} says of itself is refused, and it has no part in the mesh: {why}; check the image that it runs",
        names.join(", ")
    );
    Some(Remark::new(ANSWER_REFUSED, message))
}

/// A node that does not find out where its clients reach it.
fn unaddressed(mesh: &MeshSnapshot) -> Option<Remark> {
    let all = mesh.members.iter();
    let mut lacking = all.filter_map(|it| Some((&it.name, it.current()?.address_problem.as_ref()?)));
    let (name, why) = lacking.next()?;
    let message = format!(
        "{name} does not find out where clients reach it: {why}; see spec.media.announce, and whether the node may send there"
    );
    Some(Remark::new(NO_MEDIA_ADDRESS, message))
}

fn because(why: Option<&String>) -> String {
    why.map(|why| format!(" ({why})")).unwrap_or_default()
}

/// A condition with a reason for either case, and one message.
fn yes_or_no(kind: &'static str, holds: bool, (yes, no): (&'static str, &'static str), message: String) -> Draft {
    Draft {
        kind,
        status: if holds { "True" } else { "False" },
        remark: Remark::new(if holds { yes } else { no }, message),
    }
}

/// A condition that holds when there is something to say.
fn flag(kind: &'static str, holds: Option<Remark>, otherwise: (&'static str, &str)) -> Draft {
    Draft {
        kind,
        status: if holds.is_some() { "True" } else { "False" },
        remark: holds.unwrap_or_else(|| Remark::new(otherwise.0, otherwise.1)),
    }
}

impl Draft {
    fn condition(self, generation: Option<i64>, before: &SfuClusterStatus, now: Timestamp) -> Condition {
        let Self { kind, status, remark } = self;
        let same = before.conditions.iter().find(|c| c.type_ == kind && c.status == status);
        Condition {
            type_: kind.to_owned(),
            status: status.to_owned(),
            reason: remark.reason.to_owned(),
            message: remark.message.chars().take(MAX_MESSAGE).collect(),
            observed_generation: generation,
            last_transition_time: same.map_or(Time(now), |c| c.last_transition_time.clone()),
        }
    }
}

fn count(number: impl TryInto<i32>) -> i32 {
    number.try_into().unwrap_or(i32::MAX)
}
