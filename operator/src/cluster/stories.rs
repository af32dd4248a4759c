//! Stories that hold for pods and for processes: what is there, what is done about it, and what people are told. Each
//! platform puts the scenes in its own terms, and must come to the same acts and words.

use super::note::Note;
use super::rollout::{Act, Decision};
use super::status::Facts;
use super::status_notes::changes;
use crate::crd::status::SfuClusterStatus;
use serde_json::json;
use sfumato_admin_api::types::DrainReason::{self, Manual, Roll, ScaleDown};
use sfumato_admin_api::types::NodeReport;
use sfumato_mesh::{MemberSnapshot, MeshSnapshot};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long publishers may stay, in every story.
pub const DEADLINE: Duration = Duration::from_secs(10);

/// One look at a cluster.
pub struct Scene {
    pub story: &'static str,
    pub wanted: u16,
    pub nodes: Vec<Seen>,
    /// Node pairs that are linked.
    pub linked: u32,
    /// Whether the manifest stops all changes.
    pub paused: bool,
    /// The only front door; `None` where there is none. Nobody changes what is wanted of it.
    pub door: Option<Life>,
    /// Nodes reach it where it is up.
    pub redis: Life,
    /// Version of the manifest.
    pub generation: i64,
    /// How long nothing has moved.
    still: Duration,
    before: Before,
    /// What is to be done, in any order: `drain 2 roll`, `replace 2`, `may end 2`.
    acts: &'static [&'static str],
    /// Some of the conditions, as `TYPE STATUS REASON: MESSAGE`; `{2}` stands for the name of node 2.
    told: &'static [&'static str],
    /// All events about what has changed since before, in their order, as `REASON: MESSAGE`.
    events: &'static [&'static str],
}

/// What was told before.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    Nothing,
    /// That an older manifest was carried out.
    Older,
    /// That this manifest was carried out.
    Settled,
}

/// A node as it is.
#[derive(Clone)]
pub struct Seen {
    pub ordinal: u16,
    pub life: Life,
    /// Whether it runs as is wanted now.
    pub current: bool,
    /// Why it is drained, as it says.
    pub reasons: Vec<DrainReason>,
    pub sessions: u32,
    /// How long it has been on its way out.
    pub leaving: Option<Duration>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Life {
    /// Runs, and answers.
    Up,
    /// Runs, and does not answer.
    Silent,
    /// Runs, and answers what cannot be right.
    Lying,
    /// Has not come up yet.
    Starting,
    /// Has run for [`UNREADY_FOR`], and is not ready.
    Unready,
    /// Dies again and again.
    Crashing,
    /// Was told to end.
    Ending,
}

/// How long one that does not become ready has run: longer than it may take.
pub const UNREADY_FOR: Duration = Duration::from_secs(200);

impl Seen {
    pub fn answers(&self) -> bool {
        matches!(self.life, Life::Up | Life::Ending)
    }

    fn old(mut self) -> Self {
        self.current = false;
        self
    }

    fn is(mut self, life: Life) -> Self {
        self.life = life;
        self
    }

    fn drained(mut self, reason: DrainReason, sessions: u32) -> Self {
        self.reasons.push(reason);
        self.sessions = sessions;
        self
    }

    fn leaving(mut self, seconds: u64) -> Self {
        self.leaving = Some(Duration::from_secs(seconds));
        self
    }
}

fn node(ordinal: u16) -> Seen {
    Seen {
        ordinal,
        life: Life::Up,
        current: true,
        reasons: Vec::new(),
        sessions: 2,
        leaving: None,
    }
}

fn scene(story: &'static str, nodes: impl Into<Vec<Seen>>) -> Scene {
    let nodes = nodes.into();
    let count = u32::try_from(nodes.len()).unwrap_or(0);
    Scene {
        story,
        wanted: u16::try_from(nodes.len()).unwrap_or(0),
        linked: pairs(count),
        nodes,
        paused: false,
        door: Some(Life::Up),
        redis: Life::Up,
        generation: GENERATION,
        still: Duration::ZERO,
        before: Before::Older,
        acts: &[],
        told: &[],
        events: &[],
    }
}

/// Version of the manifest in every story.
const GENERATION: i64 = 4;

fn pairs(nodes: u32) -> u32 {
    nodes * nodes.saturating_sub(1) / 2
}

impl Scene {
    fn wants(mut self, wanted: u16) -> Self {
        self.wanted = wanted;
        self
    }

    fn linked(mut self, linked: u32) -> Self {
        self.linked = linked;
        self
    }

    /// Nothing was told before.
    fn first(self) -> Self {
        let before = Before::Nothing;
        Self { before, ..self }
    }

    /// The manifest was carried out before.
    fn afterwards(self) -> Self {
        let before = Before::Settled;
        Self { before, ..self }
    }

    fn paused(self) -> Self {
        Self { paused: true, ..self }
    }

    fn door(self, door: Option<Life>) -> Self {
        Self { door, ..self }
    }

    fn redis(self, redis: Life) -> Self {
        Self { redis, ..self }
    }

    fn still(mut self, seconds: u64) -> Self {
        self.still = Duration::from_secs(seconds);
        self
    }

    fn events(mut self, events: &'static [&'static str]) -> Self {
        self.events = events;
        self
    }

    /// The same cluster as it was when all was well.
    fn before(&self) -> Self {
        let nodes: Vec<Seen> = (0..self.wanted).map(node).collect();
        let generation = self.generation - i64::from(self.before == Before::Older);
        Self {
            generation,
            ..scene(self.story, nodes)
        }
    }

    /// Notes for how long nothing has moved, for which there has to be a look at the beginning and one now. `waits`: somebody
    /// waits for publishers to leave, or for the end of a pause.
    pub fn note_standstill(&self, facts: &mut Facts<'_>, waits: bool, now: Instant) {
        let mut standstill = None;
        facts.note_standstill(&mut standstill, waits, now - self.still);
        facts.note_standstill(&mut standstill, waits, now);
    }

    fn acts(mut self, acts: &'static [&'static str]) -> Self {
        self.acts = acts;
        self
    }

    fn tells(mut self, told: &'static [&'static str]) -> Self {
        self.told = told;
        self
    }

    /// The mesh as its driver sees it; `name` and `pid` are the platform's.
    pub fn mesh(&self, name: impl Fn(u16) -> String, pid: impl Fn(u16) -> u32) -> MeshSnapshot {
        let report = |seen: &Seen| -> NodeReport {
            let drain = json!({ "reasons": seen.reasons.iter().map(|it| it.as_str()).collect::<Vec<_>>() });
            let report = json!({
                "apiVersion": 1, "version": "0", "name": name(seen.ordinal), "incarnation": format!("{}.1", seen.ordinal),
                "adminUrl": "http://a", "clientUrl": "http://c", "revision": 1, "pid": pid(seen.ordinal), "workers": 1,
                "linkEncryption": true, "ready": seen.reasons.is_empty(), "draining": !seen.reasons.is_empty(),
                "drain": drain, "redis": self.redis == Life::Up,
                "redisProblem": (self.redis != Life::Up).then_some("no answer"), "peers": [], "links": [], "publications": [], "carried": [],
                "viewers": seen.sessions, "publishers": 0,
            });
            serde_json::from_value(report).expect("a report")
        };
        let member = |seen: &Seen| MemberSnapshot {
            name: name(seen.ordinal).parse().expect("a name"),
            incarnation: None,
            reachable: seen.answers(),
            asked: true,
            report: seen.answers().then(|| Arc::new(report(seen))),
            streams: 0,
            unusable: (seen.life == Life::Lying).then(|| "workers: 65535 is over 64".to_owned()),
            silent: None,
        };
        let count = u32::try_from(self.nodes.len()).expect("few");
        MeshSnapshot {
            members: self.nodes.iter().map(member).collect(),
            desired_pairs: pairs(count),
            established_pairs: self.linked,
            ..MeshSnapshot::default()
        }
    }
}

/// Has a platform go through every story. `tell` makes of a scene what is to be done, and the status after that of before;
/// `name` is what the platform calls a node.
pub fn go_through(
    name: impl Fn(u16) -> String,
    tell: impl Fn(&Scene, &SfuClusterStatus) -> (Decision, SfuClusterStatus),
) {
    let mut wrong = Vec::new();
    for scene in scenes() {
        let nothing = SfuClusterStatus::default();
        let before = match scene.before {
            Before::Nothing => nothing,
            Before::Older | Before::Settled => tell(&scene.before(), &nothing).1,
        };
        let (decision, now) = tell(&scene, &before);
        assert_eq!(acts(&scene, &decision, &name), scene.acts, "{}", scene.story);
        let conditions = scene.told.iter().map(|expected| (condition(&now, expected), *expected));
        let others = conditions.filter(|(told, expected)| !is_said(told, expected, &name));
        wrong.extend(
            others.map(|(told, expected)| format!("{}: told is\n  {told}\nand not\n  {expected}", scene.story)),
        );
        let events = events(&changes(&before, &now));
        let mut both = events.iter().zip(scene.events);
        if events.len() != scene.events.len() || !both.all(|(told, expected)| is_said(told, expected, &name)) {
            let expected = scene.events;
            wrong.push(format!(
                "{}: the events are\n  {events:#?}\nand not\n  {expected:#?}",
                scene.story
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What is to be done, as a scene says it.
fn acts(scene: &Scene, decision: &Decision, name: impl Fn(u16) -> String) -> Vec<String> {
    let number = |of: &str| -> u16 {
        let found = scene.nodes.iter().find(|seen| name(seen.ordinal) == of);
        found.map_or_else(|| panic!("{}: nobody is called {of}", scene.story), |seen| seen.ordinal)
    };
    let act = |act: &Act| match act {
        Act::Drain(node, reason) => format!("drain {} {reason}", number(node)),
        Act::Undrain(node, reason) => format!("undrain {} {reason}", number(node)),
        Act::Replace { node, .. } => format!("replace {}", number(node)),
        Act::AskToReplace { node, .. } => format!("ask to replace {}", number(node)),
        Act::ForceDelete { node, .. } => format!("remove {}", number(node)),
        Act::MakeAnew { set, .. } => format!("make {set} anew"),
    };
    let ends = decision.surplus.iter().map(|node| format!("may end {}", number(node)));
    let mut acts: Vec<String> = decision.acts.iter().map(act).chain(ends).collect();
    acts.sort();
    acts
}

/// The condition that a scene expects something of, as it is told.
fn condition(status: &SfuClusterStatus, expected: &str) -> String {
    let mut words = expected.split(' ');
    let kind = words.find(|word| *word != "no").unwrap_or_default();
    let condition = status.conditions.iter().find(|condition| condition.type_ == kind);
    let told = condition.map(|it| format!("{kind} {} {}: {}", it.status, it.reason, it.message));
    told.unwrap_or_else(|| format!("no {kind}"))
}

fn events(notes: &[Note]) -> Vec<String> {
    notes.iter().map(|it| format!("{}: {}", it.reason, it.text)).collect()
}

/// Whether these words are the expected ones. Where those end in `...`, the rest is what only the platform knows.
fn is_said(told: &str, expected: &str, name: impl Fn(u16) -> String) -> bool {
    let mut expected = expected.to_owned();
    for ordinal in 0..16 {
        expected = expected.replace(&format!("{{{ordinal}}}"), &name(ordinal));
    }
    let start = expected.strip_suffix("...");
    start.map_or(told == expected, |start| told.starts_with(start))
}

/// All scenes, in the order in which a reader may want them.
pub fn scenes() -> Vec<Scene> {
    use Life::{Crashing, Ending, Lying, Silent, Starting, Unready};
    let three = || [0, 1, 2].map(node);
    let old = || [0, 1, 2].map(|ordinal| node(ordinal).old());
    let with = |mut nodes: [Seen; 3], seen: Seen| {
        let at = usize::from(seen.ordinal);
        nodes[at] = seen;
        nodes
    };
    vec![
        scene("all is well", three()).first().events(&["MeshWhole: 3 of 3 node pairs are linked"]).tells(&[
            "Ready True AsDesired: 3 nodes, 3 pairs",
            "NodesReady True AllReady: all 3 nodes are ready",
            "MeshReady True AllLinked: 3 of 3 node pairs are linked",
            "RedisReady True Reached: every node reaches Redis",
            "FrontDoorReady True AllReady: all 1 front doors are ready",
            "no Reconciling",
            "no Stalled",
            "Degraded False AsExpected: nothing needs a person",
        ]),
        scene("nothing is there yet", []).wants(3).door(None).first().tells(&[
            "Ready False NotYet: 0 of 3 nodes are ready",
            "Reconciling True NotYet: 0 of 3 nodes are ready",
            "RedisReady Unknown NoNodes: no node has said whether it reaches Redis",
        ]),
        scene("a node starts", with(three(), node(1).is(Starting))).linked(1).tells(&[
            "NodesReady False NotAllReady: 2 of 3 nodes are ready",
            "MeshReady False NotAllLinked: 1 of 3 node pairs are linked",
        ]),
        scene("a node dies again and again", with(three(), node(1).is(Crashing)))
            .linked(1)
            .afterwards()
            .tells(&[
                "NodesReady False Crashing: {1} ends again and again: ...",
                "Degraded True Crashing: {1} ends again and again: ...",
            ])
            .events(&[
                "MeshBroken: 1 of 3 node pairs are linked",
                "Crashing: {1} ends again and again: ...",
            ]),
        scene("a node says what cannot be right", with(three(), node(1).is(Lying)))
            .linked(1)
            .tells(&[
                "NodesReady True AllReady: all 3 nodes are ready",
                "MeshReady False NotAllLinked: 1 of 3 node pairs are linked",
                "Degraded True AnswerRefused: what {1} says of itself is refused, and it has no part in the mesh: workers: 65535 is over 64; \
                 check the image that it runs",
            ])
            .events(&["AnswerRefused: what {1} says of itself is refused, and it has no part in the mesh: workers: 65535 is over 64; \
                       check the image that it runs"]),
        scene("pairs lack links", three())
            .linked(2)
            .afterwards()
            .events(&["MeshBroken: 2 of 3 node pairs are linked"])
            .tells(&["Ready False NotYet: 2 of 3 node pairs are linked"]),
        scene("surplus nodes are drained together", [0, 1, 2, 3, 4].map(node))
            .wants(3)
            .acts(&["drain 3 scaleDown", "drain 4 scaleDown"])
            .tells(&["Reconciling True ScalingDown: draining {3}, {4} before the scale-down"]),
        scene(
            "a surplus node goes when it is drained",
            [node(0), node(1).drained(ScaleDown, 0), node(2).drained(ScaleDown, 1)],
        )
        .wants(1)
        .acts(&["may end 1"]),
        scene(
            "a surplus node that does not run holds nothing up",
            [node(0), node(1).is(Starting)],
        )
        .wants(1)
        .acts(&["may end 1"]),
        scene("a surplus node that ends is left alone", [node(0), node(1).is(Ending)]).wants(1),
        scene(
            "a surplus node that is drained by hand is told that it is surplus",
            [node(0), node(1).drained(Manual, 0)],
        )
        .wants(1)
        .acts(&["drain 1 scaleDown"]),
        scene(
            "a surplus node that is wanted again stays",
            [node(0), node(1).drained(ScaleDown, 1)],
        )
        .acts(&["undrain 1 scaleDown"]),
        scene("what somebody drained by hand stays so", [node(0), node(1).drained(Manual, 0)])
            .tells(&["NodesReady False NotAllReady: 1 of 2 nodes are ready"]),
        scene("a roll begins with the highest node", old())
            .acts(&["drain 2 roll"])
            .tells(&["Ready Unknown Reconciling: draining {2}; 3 of 3 nodes have an older template", "Reconciling True Rolling: draining {2}; 3 of 3 nodes have an older template"]),
        scene("a roll waits for the last session", with(old(), node(2).old().drained(Roll, 1)))
            .tells(&["Reconciling True Rolling: draining {2}; 3 of 3 nodes have an older template"]),
        scene("a roll replaces what is drained", with(old(), node(2).old().drained(Roll, 0)))
            .acts(&["replace 2"])
            .tells(&["Reconciling True Rolling: replacing {2}; 3 of 3 nodes have an older template"]),
        scene("a roll waits for the one that ends", with(old(), node(2).old().is(Ending))).tells(&[
            "Reconciling True Rolling: waiting until all nodes are ready and linked; 2 of 3 nodes have an older template",
        ]),
        scene("a roll waits for the one that starts", with(old(), node(2).is(Starting)))
            .linked(1)
            .tells(&[
                "Reconciling True Rolling: waiting until all nodes are ready and linked; 2 of 3 nodes have an older template",
            ]),
        scene("a roll waits for the mesh", with(old(), node(2))).linked(2),
        scene("a roll goes on when the mesh is whole", with(old(), node(2))).acts(&["drain 1 roll"]),
        scene("what was begun is ended", with(old(), node(1).old().drained(Roll, 0)))
            .linked(1)
            .acts(&["replace 1"]),
        scene("a change that was taken back lifts its reason", with(three(), node(2).drained(Roll, 1)))
            .acts(&["undrain 2 roll"]),
        scene("old nodes that do not run are replaced at once", with(old(), node(0).old().is(Crashing)))
            .linked(1)
            .acts(&["replace 0"])
            .tells(&["Reconciling True Rolling: replacing {0}, which does not run; 3 of 3 nodes have an older template"])
            .events(&["Crashing: {0} ends again and again: ..."]),
        scene("a new one that does not run stops the roll", with(old(), node(2).is(Crashing)))
            .linked(1)
            .events(&["Crashing: {2} ends again and again: ..."]),
        scene(
            "nothing is replaced while others are scaled down",
            [node(0).old(), node(1).drained(ScaleDown, 1)],
        )
        .wants(1),
        scene(
            "a roll keeps its node drained while others are scaled down",
            [node(0).old(), node(1).old().drained(Roll, 1), node(2).drained(ScaleDown, 1)],
        )
        .wants(2),
        scene(
            "a node that falls silent while it leaves gets its time",
            with(old(), node(1).old().is(Silent).leaving(9)),
        )
        .linked(1),
        scene(
            "a node that is silent beyond its time is replaced",
            with(old(), node(1).old().is(Silent).leaving(3_600)),
        )
        .linked(1)
        .acts(&["replace 1"]),
        scene("a pause holds a change of the nodes back, however long it lasts", old())
            .paused()
            .still(3_600)
            .tells(&[
                "Ready Unknown Reconciling: spec.paused holds changes back (pods): they are carried out when it is false",
                "Reconciling True Paused: spec.paused holds changes back (pods): they are carried out when it is false",
                "Paused True Paused: spec.paused is set: nothing is applied, drained or rolled",
                "no Stalled",
            ]),
        scene("a pause holds a scale-down back", three()).wants(2).paused().tells(&[
            "Reconciling True Paused: spec.paused holds changes back (pods): they are carried out when it is false",
        ]),
        scene("a pause holds a scale-up back", [0, 1].map(node)).wants(3).paused().tells(&[
            "Reconciling True Paused: spec.paused holds changes back (pods): they are carried out when it is false",
        ]),
        scene("a pause that holds nothing back changes nothing", three()).paused().tells(&[
            "Ready True AsDesired: 3 nodes, 3 pairs",
            "Paused True Paused: spec.paused is set: nothing is applied, drained or rolled",
            "no Reconciling",
        ]),
        scene("a node runs and does not become ready", with(three(), node(1).is(Unready)))
            .linked(1)
            .afterwards()
            .tells(&[
                "NodesReady False NotReady: {1} runs, and has not been ready for more than 3 minutes: ...",
                "Degraded True NotReady: {1} runs, and has not been ready for more than 3 minutes: ...",
            ])
            .events(&[
                "MeshBroken: 1 of 3 node pairs are linked",
                "NotReady: {1} runs, and has not been ready for more than 3 minutes: ...",
            ]),
        scene("a start that gets no further is given ten minutes", with(three(), node(1).is(Starting)))
            .linked(1)
            .still(599)
            .tells(&["Reconciling True NotYet: 2 of 3 nodes are ready", "no Stalled"]),
        scene("a start that gets no further stalls", with(three(), node(1).is(Starting)))
            .linked(1)
            .still(600)
            .first()
            .tells(&[
                "Ready False NoProgress: nothing has moved for 10 minutes: 2 of 3 nodes are ready",
                "Stalled True NoProgress: nothing has moved for 10 minutes: 2 of 3 nodes are ready",
                "no Reconciling",
            ])
            .events(&["NoProgress: nothing has moved for 10 minutes: 2 of 3 nodes are ready"]),
        scene("who waits for the last session does not stall", with(old(), node(2).old().drained(Roll, 1)))
            .still(3_600)
            .tells(&["Reconciling True Rolling: draining {2}; 3 of 3 nodes have an older template", "no Stalled"]),
        scene("Redis is away, and all goes on", three())
            .redis(Silent)
            .afterwards()
            .tells(&[
                "Ready True AsDesired: 3 nodes, 3 pairs",
                "RedisReady False NotReached: 3 of 3 nodes do not reach Redis (no answer); what plays goes on",
                "Degraded False AsExpected: nothing needs a person",
            ])
            .events(&["RedisLost: 3 of 3 nodes do not reach Redis (no answer); what plays goes on"]),
        scene("Redis dies again and again", three())
            .redis(Crashing)
            .afterwards()
            .tells(&["Ready True AsDesired: 3 nodes, 3 pairs", "Degraded True Crashing: ..."])
            .events(&[
                "RedisLost: 3 of 3 nodes do not reach Redis (no answer); what plays goes on",
                "Crashing: ...",
            ]),
        scene("the front door is gone", three()).door(None).afterwards().tells(&[
            "Ready False NotYet: 0 of 1 front doors are ready",
            "FrontDoorReady False NotAllReady: 0 of 1 front doors are ready",
            "Degraded False AsExpected: nothing needs a person",
            "no Reconciling",
        ]),
        scene("the front door starts", three()).door(Some(Starting)).tells(&[
            "FrontDoorReady False NotAllReady: 0 of 1 front doors are ready",
            "Reconciling True NotYet: 0 of 1 front doors are ready",
        ]),
        scene("the front door dies again and again", three())
            .door(Some(Crashing))
            .afterwards()
            .tells(&["Ready False NotYet: ...", "FrontDoorReady False Crashing: ...", "Degraded True Crashing: ..."])
            .events(&["Crashing: ..."]),
        scene("the front door runs and does not become ready", three())
            .door(Some(Unready))
            .afterwards()
            .tells(&["FrontDoorReady False NotReady: ...", "Degraded True NotReady: ..."])
            .events(&["NotReady: ..."]),
    ]
}
