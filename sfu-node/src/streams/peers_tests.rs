use super::*;
use crate::streams::publication_log::PublicationLog;
use proptest::prelude::*;
use sfumato_admin_api::types::{Incarnation, TrackKind, TrackReport};
use std::collections::BTreeMap;

/// A publication; `version` shows as the width of its layer.
fn publication(id: &str, version: u32) -> PublicationReport {
    PublicationReport {
        id: id.parse().unwrap(),
        // Not in the order of ids.
        stream: format!("{}{id}", id.len() % 3).parse().unwrap(),
        generation: 1,
        worker: 0,
        tracks: vec![TrackReport {
            kind: TrackKind::Video,
            codec: "VP8".to_owned(),
            state: None,
            layers: vec![LayerReport {
                width: Some(version),
                ..LayerReport::default()
            }],
        }],
        viewers: 0,
        subscribers: Vec::new(),
    }
}

fn answer(publications: Vec<PublicationReport>, changes_since: Option<u64>, ended: &[&str]) -> Publications {
    Publications {
        incarnation: "0.a".parse::<Incarnation>().unwrap(),
        revision: 9,
        ready: true,
        publications,
        changes_since,
        ended: ended.iter().map(|id| id.parse().unwrap()).collect(),
    }
}

#[test]
fn changes_are_added_to_what_they_are_changes_of() {
    let known = [publication("a", 1), publication("b", 1)];
    let told = answer(vec![publication("b", 2), publication("c", 1)], Some(7), &["a"]);
    assert_eq!(
        merged(&known, Some(7), told),
        Ok(vec![publication("b", 2), publication("c", 1)])
    );
    let nothing = answer(Vec::new(), Some(7), &[]);
    assert_eq!(merged(&known, Some(7), nothing), Ok(known.to_vec()));
}

#[test]
fn an_answer_that_is_not_of_changes_is_everything() {
    let known = [publication("a", 1), publication("b", 1)];
    let all = vec![publication("b", 2)];
    for revision in [None, Some(7)] {
        assert_eq!(
            merged(&known, revision, answer(all.clone(), None, &[])),
            Ok(all.clone())
        );
    }
}

#[test]
fn changes_of_something_else_than_what_is_known_are_refused() {
    let known = [publication("a", 1)];
    for revision in [None, Some(6), Some(8)] {
        let told = answer(vec![publication("b", 1)], Some(7), &["a"]);
        assert_eq!(merged(&known, revision, told), Err(Unmergeable::UnknownBase));
    }
}

#[test]
fn a_peer_keeps_no_more_memory_than_the_most_streams_of_an_honest_one_take() {
    let layer = |rid: &str| LayerReport {
        rid: Some(rid.to_owned()),
        width: Some(1),
        height: Some(1),
    };
    let mut one = publication("0123456789abcdef0123", 1);
    one.stream = "a-long-name-of-a-room/and-of-who-is-in-it"
        .replace('/', "-")
        .parse()
        .unwrap();
    one.tracks[0].layers = ["q", "h", "f"].map(layer).to_vec();
    one.tracks.push(TrackReport {
        kind: TrackKind::Audio,
        codec: "opus".to_owned(),
        state: None,
        layers: Vec::new(),
    });
    let most = answer(vec![one.clone(); MAX_PUBLICATIONS], None, &[]);
    assert_eq!(merged(&[], None, most).map(|all| all.len()), Ok(MAX_PUBLICATIONS));
    // In as many bytes of JSON.
    one.tracks = vec![
        TrackReport {
            layers: vec![LayerReport::default(); 8],
            ..one.tracks[0].clone()
        };
        4
    ];
    let heavy = answer(vec![one; MAX_PUBLICATIONS], None, &[]);
    assert_eq!(
        merged(&[], None, heavy).map(|all| all.len()),
        Err(Unmergeable::TooHeavy)
    );
}

/// What happens at an origin, or between it and a peer.
#[derive(Debug, Clone)]
enum Step {
    Begin,
    Change(prop::sample::Index),
    End(prop::sample::Index),
    Ready,
    /// The peer polls.
    Poll,
    /// A poll fails.
    Fail,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => Just(Step::Begin),
        3 => any::<prop::sample::Index>().prop_map(Step::Change),
        2 => any::<prop::sample::Index>().prop_map(Step::End),
        1 => Just(Step::Ready),
        3 => Just(Step::Poll),
        1 => Just(Step::Fail),
    ]
}

fn sorted(all: &BTreeMap<String, u32>) -> Vec<PublicationReport> {
    let mut all: Vec<PublicationReport> = all.iter().map(|(id, version)| publication(id, *version)).collect();
    all.sort_by(|a, b| (&a.stream, &a.id).cmp(&(&b.stream, &b.id)));
    all
}

proptest! {
    #[test]
    fn a_peer_that_is_told_changes_knows_what_one_that_is_told_everything_knows(
        steps in proptest::collection::vec(step(), 0..120),
    ) {
        let (mut log, mut there) = (PublicationLog::default(), BTreeMap::new());
        let (mut known, mut revision, mut begun) = (Vec::new(), None, 0);
        for step in steps.into_iter().chain([Step::Poll]) {
            let some = |there: &BTreeMap<String, u32>, index: prop::sample::Index| {
                (!there.is_empty()).then(|| there.keys().nth(index.index(there.len())).cloned().unwrap())
            };
            match step {
                Step::Begin => {
                    begun += 1;
                    there.insert(format!("p{begun}"), 0);
                    log.began(&format!("p{begun}").parse().unwrap());
                }
                Step::Change(index) => if let Some(id) = some(&there, index) {
                    there.entry(id.clone()).and_modify(|version| *version += 1);
                    log.changed([&id.parse().unwrap()]);
                },
                Step::End(index) => if let Some(id) = some(&there, index) {
                    there.remove(&id);
                    log.ended(&id.parse().unwrap());
                },
                Step::Ready => log.turn(),
                Step::Fail => revision = None,
                Step::Poll => {
                    let news = revision.and_then(|after| log.since(after));
                    let all = sorted(&there);
                    let told = match &news {
                        None => answer(all.clone(), None, &[]),
                        Some(news) => {
                            let changed = all.iter().filter(|p| news.changed.contains(&p.id)).cloned().collect();
                            let ended: Vec<&str> = news.ended.iter().map(PublicationId::as_str).collect();
                            answer(changed, revision, &ended)
                        }
                    };
                    known = merged(&known, revision, told).unwrap();
                    revision = Some(log.revision());
                    prop_assert_eq!(&known, &all);
                }
            }
        }
    }
}
