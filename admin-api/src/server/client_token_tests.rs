#[path = "../../tests/support/fuzz.rs"]
#[allow(dead_code, reason = "claims are not damaged byte by byte")]
mod fuzz;

use super::*;
use proptest::prelude::*;

/// A moment in 2027.
const NOW: u64 = 1_800_000_000;

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(NOW)
}

fn claims(json: &serde_json::Value) -> TokenClaims {
    serde_json::from_value(json.clone()).unwrap()
}

fn good() -> TokenClaims {
    claims(&serde_json::json!({"publish": ["demo"], "play": ["stage-*"], "exp": NOW + 60}))
}

fn ask(claims: &TokenClaims, rules: &TokenRules, action: Action, stream: &str) -> Result<Access, Denied> {
    check(claims, rules, action, &stream.parse().unwrap(), now())
}

fn may(claims: &TokenClaims, action: Action, stream: &str) -> bool {
    ask(claims, &TokenRules::default(), action, stream).is_ok()
}

fn is_invalid(outcome: &Result<Access, Denied>) -> bool {
    matches!(outcome, Err(Denied::Invalid(_)))
}

#[test]
fn a_right_holds_for_its_own_action_and_streams_alone() {
    let claims = good();
    assert!(may(&claims, Action::Publish, "demo"));
    assert!(!may(&claims, Action::Play, "demo"));
    assert!(!may(&claims, Action::Publish, "demo2"));
    assert!(may(&claims, Action::Play, "stage-1"));
    assert!(!may(&claims, Action::Publish, "stage-1"));
    let refused = ask(&claims, &TokenRules::default(), Action::Play, "demo").unwrap_err();
    assert_eq!(refused.to_string(), "the token's `play` claim does not name demo");
}

#[test]
fn a_token_ends_at_its_exp_and_the_skew_after_it() {
    let mut claims = good();
    for (exp, fine) in [(NOW + 1, true), (NOW - 29, true), (NOW - 30, false), (0, false)] {
        claims.exp = NumericDate(exp);
        assert_eq!(may(&claims, Action::Publish, "demo"), fine, "{exp}");
    }
}

#[test]
fn a_token_starts_at_its_nbf_and_the_skew_before_it() {
    let mut claims = good();
    for (nbf, fine) in [(NOW, true), (NOW + 30, true), (NOW + 31, false)] {
        claims.nbf = Some(NumericDate(nbf));
        assert_eq!(may(&claims, Action::Publish, "demo"), fine, "{nbf}");
    }
}

#[test]
fn a_token_without_exp_cannot_be_read() {
    let json = serde_json::json!({"publish": ["demo"]});
    let error = serde_json::from_value::<TokenClaims>(json).unwrap_err();
    assert!(error.to_string().contains("exp"), "{error}");
}

#[test]
fn issuer_and_audience_must_agree_when_the_node_was_told_them() {
    let mut claims = good();
    let issuer = TokenRules {
        issuer: Some("us".into()),
        audience: None,
    };
    assert!(is_invalid(&ask(&claims, &issuer, Action::Publish, "demo")));
    claims.iss = Some("them".into());
    assert!(is_invalid(&ask(&claims, &issuer, Action::Publish, "demo")));
    claims.iss = Some("us".into());
    assert!(ask(&claims, &issuer, Action::Publish, "demo").is_ok());

    let audience = TokenRules {
        issuer: None,
        audience: Some("live".into()),
    };
    assert!(is_invalid(&ask(&claims, &audience, Action::Publish, "demo")));
    claims.aud = Some(Audience::Many(vec!["other".into(), "live".into()]));
    assert!(ask(&claims, &audience, Action::Publish, "demo").is_ok());
    claims.aud = Some(Audience::One("other".into()));
    assert!(is_invalid(&ask(&claims, &audience, Action::Publish, "demo")));
}

#[test]
fn a_token_for_an_audience_is_refused_by_a_node_that_was_told_none() {
    let mut claims = good();
    claims.aud = Some(Audience::One("live".into()));
    assert!(is_invalid(&ask(
        &claims,
        &TokenRules::default(),
        Action::Publish,
        "demo"
    )));
}

#[test]
fn only_a_token_that_says_so_may_take_over() {
    let mut claims = good();
    let access = |claims: &TokenClaims| ask(claims, &TokenRules::default(), Action::Publish, "demo").unwrap();
    assert!(!access(&claims).takeover);
    claims.takeover = true;
    assert!(access(&claims).takeover);
}

#[test]
fn only_a_token_that_says_so_may_observe_and_only_while_it_is_valid_for_this_service() {
    let observes = |claims: &TokenClaims, rules: &TokenRules| check_observer(claims, rules, now());
    let mut claims = claims(&serde_json::json!({"publish": ["*"], "play": ["*"], "takeover": true, "exp": NOW + 60}));
    let rules = TokenRules::default();
    assert_eq!(observes(&claims, &rules), Err(Denied::MayNotObserve));
    claims.observe = true;
    assert_eq!(observes(&claims, &rules), Ok(()));
    let issuer = TokenRules {
        issuer: Some("us".into()),
        audience: None,
    };
    assert!(matches!(observes(&claims, &issuer), Err(Denied::Invalid(_))));
    claims.exp = NumericDate(NOW - 30);
    assert!(matches!(observes(&claims, &rules), Err(Denied::Invalid(_))));
}

#[test]
fn a_right_to_observe_is_no_right_to_a_stream() {
    let claims = claims(&serde_json::json!({"observe": true, "exp": NOW + 60}));
    assert!(!may(&claims, Action::Publish, "demo") && !may(&claims, Action::Play, "demo"));
}

#[test]
fn dates_may_have_fractions_and_nothing_else_is_a_date() {
    let date = |text: &str| serde_json::from_str::<NumericDate>(text).ok();
    assert_eq!(date("1800000000.75"), Some(NumericDate(NOW)));
    assert_eq!(date("1.8e9"), Some(NumericDate(NOW)));
    for wrong in ["-1", "\"1800000000\"", "1e300", "null", "true"] {
        assert_eq!(date(wrong), None, "{wrong}");
    }
}

#[test]
fn patterns_fit_as_written() {
    let fits = |pattern: &str, name: &str| {
        pattern
            .parse::<StreamPattern>()
            .unwrap()
            .matches(&name.parse().unwrap())
    };
    for (pattern, name) in [
        ("demo", "demo"),
        ("*", "demo"),
        ("de*", "demo"),
        ("*mo", "demo"),
        ("d*m*o", "demo"),
        ("demo*", "demo"),
        ("*a*a*", "banana"),
        ("a*ab", "aaab"),
    ] {
        assert!(fits(pattern, name), "{pattern} {name}");
    }
    for (pattern, name) in [
        ("demo", "demo2"),
        ("demo", "Demo"),
        ("demo*", "dem"),
        ("*demo", "demo1"),
        ("aa*aa", "aaa"),
        ("a*b*c", "acb"),
    ] {
        assert!(!fits(pattern, name), "{pattern} {name}");
    }
    for wrong in ["", "a b", "a/b", "ä", &"x".repeat(129)] {
        assert!(wrong.parse::<StreamPattern>().is_err(), "{wrong}");
    }
}

/// The definition of a pattern, as slow as it is plain.
fn fits_by_definition(pattern: &[u8], name: &[u8]) -> bool {
    match pattern.split_first() {
        None => name.is_empty(),
        Some((b'*', rest)) => (0..=name.len()).any(|skip| fits_by_definition(rest, &name[skip..])),
        Some((first, rest)) => name.first() == Some(first) && fits_by_definition(rest, &name[1..]),
    }
}

/// JSON of any kind where a claim stands.
fn value() -> impl Strategy<Value = serde_json::Value> {
    let near = (NOW - 60..NOW + 60).prop_map(|second| serde_json::json!(second));
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        near,
        ".{0,12}".prop_map(Into::into),
        prop_oneof![Just("*"), Just("demo"), Just("d*")].prop_map(Into::into),
    ];
    leaf.prop_recursive(2, 70, 70, |inner| {
        proptest::collection::vec(inner, 0..70).prop_map(Into::into)
    })
}

proptest! {
    #![proptest_config(fuzz::config())]

    #[test]
    fn claims_of_any_content_never_panic_and_give_no_right_that_they_do_not_name(
        fields in proptest::collection::btree_map("(publish|play|takeover|observe|exp|nbf|iss|aud|other)", value(), 0..9),
        exp in prop_oneof![Just(None), (NOW - 60..NOW + 60).prop_map(Some)],
        issuer in proptest::option::of(Just("us".to_owned())),
        audience in proptest::option::of(Just("live".to_owned())),
    ) {
        let mut json = serde_json::to_value(&fields).unwrap();
        if let Some(exp) = exp {
            json["exp"] = exp.into();
        }
        let Ok(claims) = fuzz::in_time(|| serde_json::from_value::<TokenClaims>(json.clone())) else { return Ok(()) };
        let rules = TokenRules { issuer, audience };
        let is_alive = |seconds: u64| seconds.saturating_add(30) > NOW;
        for (action, name) in [(Action::Publish, "publish"), (Action::Play, "play")] {
            if let Ok(access) = ask(&claims, &rules, action, "demo") {
                let patterns = json[name].as_array().unwrap();
                prop_assert!(patterns.iter().any(|pattern| ["*", "demo", "d*"].contains(&pattern.as_str().unwrap())
                    || fits_by_definition(pattern.as_str().unwrap().as_bytes(), b"demo")));
                prop_assert!(is_alive(claims.exp.0) && (!access.takeover || json["takeover"] == true), "{json}");
            }
        }
        if check_observer(&claims, &rules, now()).is_ok() {
            prop_assert!(is_alive(claims.exp.0) && json["observe"] == true, "{json}");
        }
    }
}

proptest! {
    #[test]
    fn matching_agrees_with_the_definition_of_a_pattern(pattern in "[ab*]{1,8}", name in "[ab]{1,10}") {
        let parsed: StreamPattern = pattern.parse().unwrap();
        let stream = name.parse().unwrap();
        prop_assert_eq!(parsed.matches(&stream), fits_by_definition(pattern.as_bytes(), name.as_bytes()));
    }
}
