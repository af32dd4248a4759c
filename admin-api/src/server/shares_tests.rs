use super::*;
use proptest::prelude::*;

const TENTH: Share = Share {
    most: 500,
    part: Part::Tenth,
};

#[test]
fn one_client_alone_gets_half_and_no_more() {
    let mut shares = Shares::new(TENTH);
    let got = (0..600).take_while(|_| shares.take(&["attacker"]).is_ok()).count();
    assert_eq!(got, 250);
    assert_eq!(shares.take(&["attacker"]), Err(Over::One(50)));
    assert_eq!(shares.take(&["somebody else"]), Ok(()));
}

#[test]
fn a_campus_gets_half_of_what_established_sessions_may_be_even_when_others_hold_the_rest() {
    let mut shares = Shares::new(Share {
        most: 2_000,
        part: Part::Half,
    });
    for other in 0..999 {
        shares.take(&[format!("viewer {other}")]).unwrap();
    }
    let campus = ["campus".to_owned()];
    let got = (0..2_000).take_while(|_| shares.take(&campus).is_ok()).count();
    assert_eq!(got, 1_000);
    assert_eq!(shares.take(&campus), Err(Over::One(1_000)));
}

#[test]
fn who_counts_as_nobody_is_bounded_by_the_whole_alone() {
    let mut shares = Shares::<&str>::new(TENTH);
    for _ in 0..500 {
        shares.take(&[]).unwrap();
    }
    assert_eq!(shares.take(&[]), Err(Over::All(500)));
}

#[test]
fn a_user_at_many_addresses_has_one_share() {
    let mut shares = Shares::new(TENTH);
    let got = (0..500)
        .take_while(|address| shares.take(&["user".to_owned(), format!("address {address}")]).is_ok())
        .count();
    assert_eq!(got, 250);
    assert_eq!(shares.take(&["address 1".to_owned()]), Ok(()));
}

proptest! {
    #[test]
    fn no_more_than_all_are_held_and_nobody_gets_more_than_a_share_of_the_upper_half(
        most in 1_u32..60,
        half in any::<bool>(),
        asks in prop::collection::vec((0_u8..6, any::<bool>()), 0..300),
    ) {
        let part = if half { Part::Half } else { Part::Tenth };
        let share = Share { most, part };
        let mut shares = Shares::new(share);
        let mut held: Vec<u8> = Vec::new();
        for (who, gives) in asks {
            if gives {
                if let Some(at) = held.iter().position(|other| *other == who) {
                    held.swap_remove(at);
                    shares.give_back(&[who]);
                }
                continue;
            }
            let own = held.iter().filter(|other| **other == who).count() as u32;
            let before = held.len() as u32;
            if shares.take(&[who]).is_ok() {
                held.push(who);
                prop_assert!(before < most);
                prop_assert!(before < most.div_ceil(2) || own < share.of_one());
            } else {
                prop_assert!(before == most || own > 0, "who holds nothing gets in while there is room");
            }
        }
        prop_assert_eq!(shares.all() as usize, held.len());
        for who in 0..6 {
            prop_assert_eq!(shares.held_by(&who) as usize, held.iter().filter(|other| **other == who).count());
        }
        for who in held {
            shares.give_back(&[who]);
        }
        prop_assert!(shares.own.is_empty(), "who holds nothing is forgotten");
    }
}
