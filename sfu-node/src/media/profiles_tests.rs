use super::*;
use std::net::IpAddr;

fn at(start: Instant, seconds: u64) -> Instant {
    start + Duration::from_secs(seconds)
}

fn client(number: u8) -> Vec<Holder> {
    vec![Holder::Address(IpAddr::from([198, 51, 100, number]).into())]
}

/// A profile router as a word: `2:1,3` was used last 2 s after the start, by clients 1 and 3. `*` marks a connected one, and
/// client 0 counts as nobody.
fn usage(start: Instant, word: &str) -> Usage {
    let (second, clients) = word.split_once(':').unwrap();
    let clients = clients.split(',').filter(|client| !client.is_empty());
    let holders = |text: &str| match text.trim_end_matches('*').parse().unwrap() {
        0 => Vec::new().into(),
        number => client(number).into(),
    };
    Usage {
        connected: clients.clone().filter(|client| client.ends_with('*')).count() as u32,
        uses: clients.map(holders).collect(),
        last_used: at(start, second.parse().unwrap()),
    }
}

/// Who makes room for a newcomer a minute after the start, when so many more have somebody connected on them.
fn makes_room(newcomer: u8, connected: usize, profiles: &str) -> Result<Option<usize>, NoRoom> {
    let start = Instant::now();
    let words = profiles.split_whitespace().map(str::to_owned);
    let more = (0..connected).map(|n| format!("1:{}*", 100 + n));
    let usages = words.chain(more).map(|word| usage(start, &word));
    let profiles: Vec<(usize, Usage)> = usages.enumerate().collect();
    assert!(profiles.len() <= MAX_PROFILES);
    let newcomer = if newcomer == 0 { Vec::new() } else { client(newcomer) };
    room(&profiles, &newcomer, at(start, 60))
}

#[test]
fn the_client_that_has_most_makes_room_and_a_good_player_has_time_to_connect() {
    let wait = |seconds| Err(NoRoom::Connecting(Duration::from_secs(seconds)));
    for (newcomer, connected, profiles, evicted, why) in [
        (1, 0, "", Ok(None), "there is none"),
        (1, 13, "59:2 59:3", Ok(None), "there is a place"),
        (1, 13, "5:2 3:3 9:4", Ok(Some(1)), "the one asked for longest ago"),
        (
            1,
            13,
            "1:2* 7:3 9:4",
            Ok(Some(1)),
            "somebody is connected on the older one",
        ),
        (
            1,
            14,
            "1:2,3* 7:4",
            Ok(Some(1)),
            "one that is connected counts, whoever else is not",
        ),
        (1, 14, "1:2 7:", Ok(Some(1)), "nobody at all is on the newer one"),
        (1, 14, "4: 2:", Ok(Some(1)), "of two without anybody the older one"),
        (1, 14, "58:2 59:", Ok(Some(1)), "one that nobody uses needs no time"),
        (1, 16, "", Err(NoRoom::AllConnected), "somebody is connected on each"),
        (1, 14, "58:2 59:3", wait(3), "both are about to connect"),
        (1, 14, "55:2 59:3", Ok(Some(0)), "one has had its time"),
        (1, 13, "57:2 59:3 59:3", Ok(Some(1)), "3 has more than its share"),
        (1, 13, "57:2 59:3 58:3", Ok(Some(2)), "the older one of 3"),
        (3, 13, "57:2 58:3 59:3", Ok(Some(1)), "3 pushes itself out"),
        (1, 13, "1:2 59:3 59:3", Ok(Some(1)), "3 has most, and 2 is slow"),
        (
            1,
            13,
            "57:2,3 59:3 58:3",
            Ok(Some(2)),
            "3 uses that of 2 as well, and does not cost it its router",
        ),
        (
            1,
            14,
            "58:0 59:0",
            wait(3),
            "nobody has no share, and is about to connect",
        ),
        (1, 14, "50:0 59:3", Ok(Some(0)), "nobody has had its time"),
        (
            9,
            0,
            "51:9 52:9 53:9 54:9 55:9 56:9 57:9",
            Ok(None),
            "less than half, all its own",
        ),
        (
            9,
            0,
            "51:9* 50:9* 59:9 58:9 55:9* 56:9* 57:9* 1:9*",
            Ok(Some(3)),
            "half is its share: one of its own",
        ),
        (
            9,
            0,
            "1:9* 1:9* 1:9* 1:9* 1:9* 1:9* 1:9* 1:9*",
            Err(NoRoom::AllConnected),
            "half, and all in use",
        ),
        (
            1,
            0,
            "1:9* 1:9* 1:9* 1:9* 1:9* 1:9* 1:9* 1:9*",
            Ok(None),
            "the other half is for others",
        ),
        (
            9,
            0,
            "1:9,1 1:9,1 1:9* 1:9* 1:9* 1:9* 1:9* 1:9*",
            Err(NoRoom::AllConnected),
            "those that others use as well are not its own",
        ),
        (
            0,
            0,
            "1:0* 1:0* 1:0* 1:0* 1:0* 1:0* 1:0* 1:0*",
            Ok(None),
            "nobody has no share",
        ),
    ] {
        assert_eq!(makes_room(newcomer, connected, profiles), evicted, "{profiles}: {why}");
    }
}

#[test]
fn a_subject_of_a_token_has_one_share_wherever_it_comes_from() {
    let start = Instant::now();
    let by = |number, subject: &str| {
        let mut holders = client(number);
        holders.push(Holder::Subject(subject.into()));
        let uses = vec![holders.into()];
        Usage {
            uses,
            connected: 0,
            last_used: at(start, 59),
        }
    };
    let mut profiles: Vec<(u8, Usage)> = (0..14).map(|n| (n, by(n + 1, "attacker"))).collect();
    profiles.push((14, by(15, "good")));
    profiles.push((15, by(16, "attacker")));
    let makes_room = room(&profiles, &client(20), at(start, 60)).unwrap();
    assert!(makes_room.is_some_and(|n| n != 14), "{makes_room:?}");
}

/// All places, each taken by a client of its own, a second after the other.
fn full(start: Instant) -> (Profiles, Vec<ProfileUse>) {
    let profiles = Profiles::default();
    let uses = (0..MAX_PROFILES as u8).map(|n| {
        let taken = profiles.take(&n.to_string(), &client(n + 1), at(start, n.into()));
        taken.ok().unwrap().0
    });
    let uses = uses.collect();
    (profiles, uses)
}

fn taken(profiles: &Profiles, key: &str, now: Instant) -> (ProfileUse, Option<Arc<Profile>>) {
    match profiles.take(key, &client(99), now) {
        Ok(taken) => taken,
        Err(no_room) => panic!("there is no room for {key}: {no_room:?}"),
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
    assert!(profiles.take("late", &[], at(start, 60)).is_err());
    let (shared, evicted) = taken(&profiles, "7", at(start, 61));
    assert!(evicted.is_none(), "one of the same payload types is shared");
    drop(shared);
    assert!(profiles.take("late", &[], at(start, 62)).is_err());
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
            let take = scope.spawn(|| profiles.take("late", &[], at(start, 60)).is_ok());
            (connect.join().unwrap(), take.join().unwrap())
        });
        assert_ne!(connected, taken);
    }
}
