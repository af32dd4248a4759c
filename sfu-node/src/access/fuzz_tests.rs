//! Tokens and key files of any content: none panics, and nothing is accepted that our keys have not signed.

use super::*;
use crate::tests::fuzz::{config, in_time};
use proptest::prelude::*;
use std::sync::LazyLock;

/// Keys of every kind, and a token by each.
struct Known {
    keys: [Keys; 2],
    tokens: Vec<String>,
}

static KNOWN: LazyLock<Known> = LazyLock::new(|| {
    let pairs = [ed25519(), p256(), rsa()];
    let public: Vec<Value> = pairs
        .iter()
        .map(|pair| pair.public(Some(&format!("{:?}", pair.algorithm))))
        .collect();
    let claims = json!({"publish": ["demo"], "play": ["*"], "observe": true, "exp": EXP});
    let sign = |pair: &Pair| {
        let header = with_kid(pair.algorithm, &format!("{:?}", pair.algorithm));
        signed(&pair.private, &header, &claims)
    };
    let mut tokens: Vec<String> = pairs.iter().map(sign).collect();
    tokens.push(by_secret(SECRET));
    Known {
        keys: [set(&public).unwrap(), Keys::from_secrets(SECRET).unwrap()],
        tokens,
    }
});

fn is_accepted(token: &str) -> bool {
    in_time(|| {
        KNOWN
            .keys
            .iter()
            .any(|keys| verify(token, std::iter::once(keys)).is_ok())
    })
}

/// One change of a text, at places that are counted anew when it has become shorter.
#[derive(Debug, Clone)]
enum Change {
    Replace(prop::sample::Index, char),
    Insert(prop::sample::Index, String),
    Remove(prop::sample::Index, usize),
    /// Takes a part between dots from another token.
    Graft(usize, usize),
    /// Writes another header.
    Header(String),
}

fn change() -> impl Strategy<Value = Change> {
    let place = any::<prop::sample::Index>;
    prop_oneof![
        (place(), "[A-Za-z0-9_.=+/-]").prop_map(|(at, text)| Change::Replace(at, text.chars().next().unwrap_or('A'))),
        (place(), "\\PC{1,3}").prop_map(|(at, text)| Change::Insert(at, text)),
        (place(), 1..40_usize).prop_map(|(at, length)| Change::Remove(at, length)),
        (0..4_usize, 0..3_usize).prop_map(|(token, part)| Change::Graft(token, part)),
        header().prop_map(Change::Header),
    ]
}

/// Headers that would be obeyed by a careless reader.
fn header() -> impl Strategy<Value = String> {
    let algorithm = prop_oneof![
        Just("none"),
        Just("None"),
        Just("HS256"),
        Just("HS512"),
        Just("RS256"),
        Just("ES256"),
        Just("EdDSA"),
        Just(""),
    ];
    let more = prop_oneof![
        Just(json!({})),
        Just(json!({"jwk": {"kty": "oct", "k": "AA"}})),
        Just(json!({"jku": "https://example.org/keys", "x5u": "https://example.org"})),
        Just(json!({"crit": ["b64"], "b64": false})),
        Just(json!({"kid": "../../etc/passwd"})),
        Just(json!({"kid": "RS256", "zip": "DEF"})),
    ];
    (algorithm, more).prop_map(|(algorithm, mut header)| {
        header["alg"] = algorithm.into();
        BASE64_URL_SAFE_NO_PAD.encode(header.to_string())
    })
}

fn apply(token: &str, change: &Change) -> String {
    let chars: Vec<char> = token.chars().collect();
    let at = |place: &prop::sample::Index| place.index(chars.len() + 1);
    let text = |chars: &[char]| chars.iter().collect::<String>();
    let parts = || token.split('.').map(str::to_owned).collect::<Vec<String>>();
    match change {
        Change::Replace(place, with) => {
            let at = at(place).min(chars.len());
            let rest = chars.get(at + 1..).unwrap_or_default();
            format!("{}{with}{}", text(&chars[..at]), text(rest))
        }
        Change::Insert(place, what) => {
            let (before, after) = chars.split_at(at(place));
            format!("{}{what}{}", text(before), text(after))
        }
        Change::Remove(place, length) => {
            let at = at(place);
            let rest = chars.get(at + length..).unwrap_or_default();
            format!("{}{}", text(&chars[..at]), text(rest))
        }
        Change::Graft(other, part) => {
            let mut parts = parts();
            let theirs = KNOWN.tokens[*other].split('.').nth(*part);
            if let (Some(ours), Some(theirs)) = (parts.get_mut(*part), theirs) {
                theirs.clone_into(ours);
            }
            parts.join(".")
        }
        Change::Header(header) => {
            let mut parts = parts();
            parts[0].clone_from(header);
            parts.join(".")
        }
    }
}

#[test]
fn the_tokens_that_are_changed_below_are_good_ones() {
    assert!(KNOWN.tokens.iter().all(|token| is_accepted(token)));
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn no_text_is_a_token_and_none_panics(text in ".{0,200}", parts in proptest::collection::vec("[A-Za-z0-9_-]{0,40}", 1..5)) {
        prop_assert!(!is_accepted(&text));
        prop_assert!(!is_accepted(&parts.join(".")));
    }

    #[test]
    fn a_changed_token_is_refused(which in 0..4_usize, changes in proptest::collection::vec(change(), 1..4)) {
        let token = &KNOWN.tokens[which];
        let changed = changes.iter().fold(token.clone(), |token, change| apply(&token, change));
        // Changes can undo each other, and can put a token together again that is one of ours.
        prop_assume!(!KNOWN.tokens.contains(&changed));
        prop_assert!(!is_accepted(&changed), "{changed}");
    }

    #[test]
    fn a_token_by_another_key_is_refused_whatever_its_header_says(header in header(), claims in ".{0,60}", secret in "\\PC{0,60}") {
        prop_assume!(secret != SECRET);
        let text = format!("{header}.{}", BASE64_URL_SAFE_NO_PAD.encode(claims));
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, secret.as_bytes());
        let signature = BASE64_URL_SAFE_NO_PAD.encode(aws_lc_rs::hmac::sign(&key, text.as_bytes()));
        let token = format!("{text}.{signature}");
        prop_assert!(!is_accepted(&token), "{token}");
        let unsigned = format!("{text}.");
        prop_assert!(!is_accepted(&unsigned), "{unsigned}");
    }

    #[test]
    fn no_key_file_panics_and_none_lets_anybody_in_by_accident(
        text in ".{0,300}",
        kty in prop_oneof![Just("RSA"), Just("EC"), Just("OKP"), Just("oct"), Just("")],
        fields in proptest::collection::btree_map("(n|e|x|y|crv|alg|use|kid|k|d)", "(RS256|P-256|Ed25519|sig|enc|[A-Za-z0-9_-]{0,60}|\\PC{0,8})", 0..8),
    ) {
        let mut jwk = serde_json::to_value(&fields).unwrap();
        jwk["kty"] = kty.into();
        let keys = in_time(|| [
            Keys::from_secrets(&text).ok(),
            Keys::from_jwks(&text).ok(),
            set(std::slice::from_ref(&jwk)).ok(),
        ]);
        for keys in keys.into_iter().flatten() {
            prop_assume!(text.trim() != SECRET);
            for token in &KNOWN.tokens {
                prop_assert!(verify(token, std::iter::once(&keys)).is_err(), "{text} {jwk}");
            }
        }
    }
}
