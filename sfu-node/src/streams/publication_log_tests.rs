use super::*;

fn id(text: &str) -> PublicationId {
    text.parse().unwrap()
}

fn news(changed: &[&str], ended: &[&str]) -> Option<News> {
    Some(News {
        changed: changed.iter().map(|text| id(text)).collect(),
        ended: ended.iter().map(|text| id(text)).collect(),
    })
}

#[test]
fn who_knows_a_revision_is_told_what_began_changed_and_ended_since() {
    let mut log = PublicationLog::default();
    let start = log.revision();
    log.began(&id("a"));
    log.began(&id("b"));
    let both = log.revision();
    assert_eq!(log.since(start), news(&["a", "b"], &[]));
    assert_eq!(log.since(both), news(&[], &[]), "nothing is new");
    assert!(log.changed([&id("a")]));
    log.ended(&id("b"));
    assert_eq!(log.since(both), news(&["a"], &["b"]));
    assert_eq!(log.since(start), news(&["a"], &["b"]), "only the last change of each");
    log.turn();
    assert_eq!(
        log.since(log.revision() - 1),
        news(&[], &[]),
        "another change is none of a publication"
    );
}

#[test]
fn several_that_change_at_once_are_one_revision_and_those_that_are_gone_are_none() {
    let mut log = PublicationLog::default();
    log.began(&id("a"));
    log.began(&id("b"));
    log.ended(&id("b"));
    log.began(&id("c"));
    let before = log.revision();
    assert!(log.changed([&id("a"), &id("b"), &id("c")]));
    assert_eq!(log.revision(), before + 1);
    assert_eq!(log.since(before), news(&["a", "c"], &[]));
    assert!(!log.changed([&id("b")]));
    assert_eq!(log.revision(), before + 1, "nothing to tell");
}

#[test]
fn who_knows_a_revision_that_never_was_is_told_everything() {
    let mut log = PublicationLog::default();
    log.began(&id("a"));
    for revision in [0, log.revision() + 1, u64::MAX] {
        assert_eq!(log.since(revision), None, "{revision}");
    }
}

#[test]
fn what_is_remembered_is_bounded_and_who_has_missed_more_is_told_everything() {
    let mut log = PublicationLog::default();
    let start = log.revision();
    log.began(&id("stays"));
    for i in 0..MAX_ENDED {
        log.began(&id(&format!("p{i}")));
        log.ended(&id(&format!("p{i}")));
    }
    assert_eq!(log.since(start).unwrap().ended.len(), MAX_ENDED);
    let begun = log.revision();
    log.began(&id("one-more"));
    log.ended(&id("one-more"));
    assert_eq!(log.since(start), None, "the first end is forgotten");
    assert_eq!(log.since(begun), news(&[], &["one-more"]));
    assert_eq!((log.ended.len(), log.changed.len()), (MAX_ENDED, 1));
}

#[test]
fn a_publication_that_changes_for_ever_takes_no_memory() {
    let mut log = PublicationLog::default();
    log.began(&id("a"));
    let begun = log.revision();
    for _ in 0..10_000 {
        log.changed([&id("a")]);
    }
    assert_eq!(log.since(begun), news(&["a"], &[]));
    assert_eq!((log.changed.len(), log.ended.len()), (1, 0));
}
