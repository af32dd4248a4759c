use super::*;

const UFRAG: &str = "abcd";
const PWD: &str = "0123456789012345678901";
const NEW_PWD: &str = "9876543210987654321098";

fn now() -> IceSession {
    IceSession {
        client: vec![Credentials {
            ufrag: UFRAG.to_owned(),
            pwd: PWD.to_owned(),
        }],
        ours: IceParameters {
            username_fragment: "ours".to_owned(),
            password: "secret".to_owned(),
            ice_lite: Some(true),
        },
    }
}

fn fragment(ufrag: Option<&str>, pwd: Option<&str>) -> Fragment {
    Fragment {
        ufrag: ufrag.map(str::to_owned),
        pwd: pwd.map(str::to_owned),
        ..Fragment::default()
    }
}

fn condition(name: header::HeaderName, value: &str) -> Condition {
    let mut headers = HeaderMap::new();
    headers.insert(name, value.parse().unwrap());
    Condition::of(&headers)
}

fn judged(fragment: &Fragment, condition: &Condition, strict: bool) -> Result<PatchAction, PatchFault> {
    judge(fragment, condition, &now(), strict).map_err(|refused| refused.fault)
}

#[test]
fn the_present_credentials_mean_trickle_and_others_mean_restart() {
    let any = Condition::Any;
    for same in [
        fragment(Some(UFRAG), Some(PWD)),
        fragment(Some(UFRAG), None),
        fragment(None, None),
    ] {
        assert_eq!(judged(&same, &any, true), Ok(PatchAction::Trickle), "{same:?}");
    }
    for (ufrag, pwd) in [("wxyz", NEW_PWD), (UFRAG, NEW_PWD), ("wxyz", PWD)] {
        let wanted = PatchAction::Restart(Credentials {
            ufrag: ufrag.to_owned(),
            pwd: pwd.to_owned(),
        });
        assert_eq!(judged(&fragment(Some(ufrag), Some(pwd)), &any, true), Ok(wanted));
    }
}

#[test]
fn half_of_new_credentials_is_400() {
    assert_eq!(
        judged(&fragment(Some("wxyz"), None), &Condition::Any, false),
        Err(PatchFault::Malformed)
    );
    assert_eq!(
        judged(&fragment(None, Some(NEW_PWD)), &Condition::Any, false),
        Err(PatchFault::Malformed)
    );
}

#[test]
fn a_restart_without_if_match_is_428_in_both_modes() {
    let restart = fragment(Some("wxyz"), Some(NEW_PWD));
    assert_eq!(
        judged(&restart, &Condition::Missing, false),
        Err(PatchFault::NoCondition)
    );
    assert_eq!(
        judged(&restart, &Condition::Missing, true),
        Err(PatchFault::NoCondition)
    );
}

#[test]
fn a_trickle_without_if_match_passes_in_lenient_mode_when_it_names_this_session() {
    let named = fragment(Some(UFRAG), Some(PWD));
    assert_eq!(judged(&named, &Condition::Missing, false), Ok(PatchAction::Trickle));
    assert_eq!(judged(&named, &Condition::Missing, true), Err(PatchFault::NoCondition));
    assert_eq!(
        judged(&fragment(None, None), &Condition::Missing, false),
        Err(PatchFault::NoCondition)
    );
}

#[test]
fn a_stale_tag_is_412_for_trickle_and_restart() {
    let stale = condition(header::IF_MATCH, "\"old\"");
    assert_eq!(
        judged(&fragment(Some(UFRAG), Some(PWD)), &stale, false),
        Err(PatchFault::OtherSession)
    );
    assert_eq!(
        judged(&fragment(Some("wxyz"), Some(NEW_PWD)), &stale, false),
        Err(PatchFault::OtherSession)
    );
}

#[test]
fn the_tag_is_taken_as_published_clients_write_it() {
    for (name, value) in [
        (header::IF_MATCH, "\"ours\""),
        (header::IF_MATCH, "ours"),
        (header::IF_MATCH, "\"other\", \"ours\""),
        (header::IF_MATCH, "*"),
        (header::IF_MATCH, "\"*\""),
        (header::ETAG, "\"ours\""),
        (header::ETAG, "*"),
    ] {
        let condition = condition(name.clone(), value);
        let outcome = judged(&fragment(Some(UFRAG), Some(PWD)), &condition, true);
        assert_eq!(outcome, Ok(PatchAction::Trickle), "{name}: {value}");
    }
    for value in ["W/\"ours\"", "\"our\"", "\"\"", ""] {
        let condition = condition(header::IF_MATCH, value);
        let outcome = judged(&fragment(Some(UFRAG), Some(PWD)), &condition, false);
        assert_eq!(outcome, Err(PatchFault::OtherSession), "{value}");
    }
}
