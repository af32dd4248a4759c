use super::*;

fn at(start: Instant, seconds: u64) -> Instant {
    start + Duration::from_secs(seconds)
}

#[test]
fn the_oldest_on_which_nobody_is_connected_makes_room_and_an_unused_one_before_it() {
    let start = Instant::now();
    let of = |uses, connected, seconds| Usage {
        uses,
        connected,
        last_used: at(start, seconds),
    };
    for (profiles, evicted, why) in [
        (vec![], None, "there is none"),
        (vec![of(1, 0, 5), of(1, 0, 3), of(1, 0, 9)], Some(1), "the oldest"),
        (
            vec![of(1, 1, 1), of(1, 0, 7)],
            Some(1),
            "somebody is connected on the older one",
        ),
        (
            vec![of(9, 1, 1), of(1, 0, 7)],
            Some(1),
            "one that is connected counts, whoever else is not",
        ),
        (
            vec![of(1, 0, 1), of(0, 0, 7)],
            Some(1),
            "nobody at all is on the newer one",
        ),
        (
            vec![of(0, 0, 4), of(0, 0, 2)],
            Some(1),
            "of two without anybody the older one",
        ),
        (vec![of(1, 1, 1), of(2, 2, 2)], None, "somebody is connected on each"),
    ] {
        let found = whom_to_evict(profiles.iter().copied().enumerate());
        assert_eq!(found, evicted, "{why}: {profiles:?}");
    }
}

/// All places, each taken by a request of its own, a second after the other.
fn full(start: Instant) -> (Profiles, Vec<ProfileUse>) {
    let profiles = Profiles::default();
    let uses = (0..MAX_PROFILES as u64).map(|n| taken(&profiles, &n.to_string(), at(start, n)).0);
    let uses = uses.collect();
    (profiles, uses)
}

fn taken(profiles: &Profiles, key: &str, now: Instant) -> (ProfileUse, Option<Arc<Profile>>) {
    match profiles.take(key, now) {
        Ok(taken) => taken,
        Err(AllConnected) => panic!("there is no room for {key}"),
    }
}

#[test]
fn whoever_comes_when_all_are_taken_gets_the_place_of_the_oldest_that_did_not_connect() {
    let start = Instant::now();
    let (profiles, uses) = full(start);
    assert!(uses[0].connect());
    let (used, evicted) = taken(&profiles, "good", at(start, 60));
    assert!(Arc::ptr_eq(&evicted.unwrap(), uses[1].profile()), "0 is connected");
    assert_eq!(profiles.count(), MAX_PROFILES);
    assert!(used.connect());
    assert!(!uses[1].connect(), "it lost its router before it connected");
    assert!(uses[1].profile().is_evicted() && !uses[2].profile().is_evicted());
}

#[test]
fn nobody_who_is_connected_loses_the_router_to_another() {
    let start = Instant::now();
    let (profiles, uses) = full(start);
    assert!(uses.iter().all(ProfileUse::connect));
    assert!(profiles.take("late", at(start, 60)).is_err());
    let (shared, evicted) = taken(&profiles, "7", at(start, 61));
    assert!(evicted.is_none(), "one of the same payload types is shared");
    drop(shared);
    assert!(profiles.take("late", at(start, 62)).is_err());
    let mut uses = uses;
    drop(uses.remove(5));
    let (_late, evicted) = taken(&profiles, "late", at(start, 63));
    assert!(evicted.is_some(), "its only session has ended");
}

#[test]
fn what_nobody_uses_goes_after_a_while_and_what_is_used_stays() {
    let start = Instant::now();
    let profiles = Profiles::default();
    let (used, _) = taken(&profiles, "used", start);
    drop(taken(&profiles, "unused", start));
    let idle = Duration::from_secs(30);
    profiles.sweep(Instant::now() + idle / 2, idle);
    assert_eq!(profiles.count(), 2);
    profiles.sweep(Instant::now() + idle * 2, idle);
    assert_eq!(profiles.count(), 1);
    drop(used);
    profiles.sweep(Instant::now() + idle * 2, idle);
    assert_eq!(profiles.count(), 0);
}

#[test]
fn a_router_that_could_not_be_made_leaves_its_place_and_takes_no_other() {
    let now = Instant::now();
    let profiles = Profiles::default();
    let (failed, _) = taken(&profiles, "key", now);
    profiles.forget("key", failed.profile());
    assert_eq!(profiles.count(), 0);
    let (_other, _) = taken(&profiles, "key", now);
    profiles.forget("key", failed.profile());
    assert_eq!(profiles.count(), 1);
}

#[test]
fn of_a_connect_and_an_eviction_at_once_exactly_one_counts() {
    for _ in 0..200 {
        let start = Instant::now();
        let (profiles, uses) = full(start);
        assert!(uses[1..].iter().all(ProfileUse::connect));
        let (connected, taken) = std::thread::scope(|scope| {
            let connect = scope.spawn(|| uses[0].connect());
            let take = scope.spawn(|| profiles.take("late", at(start, 60)).is_ok());
            (connect.join().unwrap(), take.join().unwrap())
        });
        assert_ne!(connected, taken);
    }
}
