#[path = "fuzz_tests.rs"]
mod fuzz;

use super::*;
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RsaKeyPair};
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Value, json};

/// A moment in 2027.
const EXP: u64 = 1_800_000_000;
const SECRET: &str = "a secret of more than thirty-two characters";
const OTHER: &str = "another secret of more than thirty-two characters";

fn signed(key: &EncodingKey, header: &Header, claims: &Value) -> String {
    encode(header, claims, key).unwrap()
}

fn by_secret(secret: &str) -> String {
    let claims = json!({"publish": ["demo"], "exp": EXP});
    signed(
        &EncodingKey::from_secret(secret.as_bytes()),
        &Header::new(Algorithm::HS256),
        &claims,
    )
}

fn with_kid(algorithm: Algorithm, kid: &str) -> Header {
    let mut header = Header::new(algorithm);
    header.kid = Some(kid.to_owned());
    header
}

/// A key pair, with its public half as a set has it.
struct Pair {
    algorithm: Algorithm,
    private: EncodingKey,
    public: Value,
}

impl Pair {
    /// The public half under this name.
    fn public(&self, kid: Option<&str>) -> Value {
        let mut jwk = self.public.clone();
        if let Some(kid) = kid {
            jwk["kid"] = kid.into();
        }
        jwk
    }
}

fn ed25519() -> Pair {
    let pkcs8 = Ed25519KeyPair::generate_pkcs8v1(&SystemRandom::new()).unwrap();
    let pair = Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap();
    let x = BASE64_URL_SAFE_NO_PAD.encode(pair.public_key());
    Pair {
        algorithm: Algorithm::EdDSA,
        private: EncodingKey::from_ed_der(pkcs8.as_ref()),
        public: json!({"kty": "OKP", "crv": "Ed25519", "x": x}),
    }
}

fn p256() -> Pair {
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
    let private = EncodingKey::from_ec_der(pkcs8.as_ref());
    Pair {
        algorithm: Algorithm::ES256,
        public: serde_json::to_value(Jwk::from_encoding_key(&private, Algorithm::ES256).unwrap()).unwrap(),
        private,
    }
}

fn rsa() -> Pair {
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let pkcs8: Pkcs8V1Der<'_> = pair.as_der().unwrap();
    // The key itself (PKCS #1) stands at the end of its envelope (PKCS #8), which is 26 bytes long for this size.
    let private = EncodingKey::from_rsa_der(&pkcs8.as_ref()[26..]);
    Pair {
        algorithm: Algorithm::RS256,
        public: serde_json::to_value(Jwk::from_encoding_key(&private, Algorithm::RS256).unwrap()).unwrap(),
        private,
    }
}

fn set(keys: &[Value]) -> Result<Keys, String> {
    Keys::from_jwks(&json!({ "keys": keys }).to_string())
}

fn refused(token: &str, keys: &Keys) -> String {
    verify(token, std::iter::once(keys)).unwrap_err()
}

#[test]
fn a_token_by_a_line_of_the_secret_file_is_accepted_and_another_is_not() {
    let keys = Keys::from_secrets(&format!("{SECRET}\n\n  {OTHER}\n")).unwrap();
    for secret in [SECRET, OTHER] {
        let claims = verify(&by_secret(secret), std::iter::once(&keys)).unwrap();
        assert_eq!(claims.publish, ["demo".parse().unwrap()]);
    }
    let error = refused(&by_secret("a third secret of more than thirty-two characters"), &keys);
    assert_eq!(error, "the token's signature is wrong: it was signed with another key");
}

#[test]
fn a_short_secret_and_an_empty_file_are_refused_with_what_to_do() {
    let error = Keys::from_secrets("short").err().unwrap();
    assert!(error.contains("openssl rand -hex 32"), "{error}");
    assert!(Keys::from_secrets(" \n").is_err());
}

#[test]
fn a_token_of_each_kind_of_key_is_accepted_by_its_kid_alone() {
    let pairs = [ed25519(), p256(), rsa()];
    let kid = |pair: &Pair| format!("{:?}", pair.algorithm);
    let public: Vec<Value> = pairs.iter().map(|pair| pair.public(Some(&kid(pair)))).collect();
    let keys = set(&public).unwrap();
    let claims = json!({"play": ["*"], "exp": EXP});
    for pair in &pairs {
        let token = signed(&pair.private, &with_kid(pair.algorithm, &kid(pair)), &claims);
        assert!(verify(&token, std::iter::once(&keys)).is_ok(), "{}", kid(pair));
        for header in [Header::new(pair.algorithm), with_kid(pair.algorithm, "other")] {
            assert_eq!(
                refused(&signed(&pair.private, &header, &claims), &keys),
                "this node has no key of the token's `kid` and `alg`"
            );
        }
    }
}

#[test]
fn a_set_of_one_key_needs_no_kid_in_the_token() {
    let pair = ed25519();
    let keys = set(&[pair.public(Some("only"))]).unwrap();
    let token = signed(&pair.private, &Header::new(pair.algorithm), &json!({"exp": EXP}));
    assert!(verify(&token, std::iter::once(&keys)).is_ok());
}

#[test]
fn a_file_says_itself_which_keys_are_valid_when_it_lists_several_or_names_its_only_one() {
    let pair = ed25519();
    assert!(!Keys::from_secrets(SECRET).unwrap().are_listed());
    assert!(Keys::from_secrets(&format!("{SECRET}\n{OTHER}")).unwrap().are_listed());
    assert!(!set(&[pair.public(None)]).unwrap().are_listed());
    assert!(set(&[pair.public(Some("a"))]).unwrap().are_listed());
    assert!(set(&[pair.public(None), p256().public(None)]).unwrap().are_listed());
}

#[test]
fn a_public_key_is_never_taken_for_a_shared_secret() {
    let jwk = rsa().public(None);
    let keys = set(std::slice::from_ref(&jwk)).unwrap();
    // What everybody can read, used as the secret of HS256.
    let forged = EncodingKey::from_secret(jwk["n"].as_str().unwrap().as_bytes());
    let token = signed(&forged, &Header::new(Algorithm::HS256), &json!({"exp": EXP}));
    assert_eq!(
        refused(&token, &keys),
        "this node has no key of the token's `kid` and `alg`"
    );
}

#[test]
fn keys_that_cannot_be_used_are_passed_over_and_a_set_without_any_other_is_refused() {
    let pair = p256();
    let mut for_encryption = pair.public(None);
    for_encryption["use"] = "enc".into();
    let mut other_algorithm = pair.public(None);
    other_algorithm["alg"] = "ES384".into();
    let useless = [
        for_encryption,
        other_algorithm,
        json!({"kty": "oct", "k": "c2VjcmV0"}),
        json!({"kty": "AKP", "alg": "ML-DSA-44", "pub": "AA"}),
        json!({"kty": "EC", "crv": "P-384", "x": "AA", "y": "AA"}),
        json!("text"),
    ];
    for jwk in &useless {
        let error = set(std::slice::from_ref(jwk)).err().unwrap();
        assert!(error.contains("keys[0]"), "{error}");
    }
    let mut all = useless.to_vec();
    all.push(pair.public(Some("good")));
    let keys = set(&all).unwrap();
    let token = signed(&pair.private, &with_kid(pair.algorithm, "good"), &json!({"exp": EXP}));
    assert!(verify(&token, std::iter::once(&keys)).is_ok());
    for (text, named) in [
        ("", "{\"keys\": [...]}"),
        ("{}", "{\"keys\": [...]}"),
        ("[]", "{\"keys\": [...]}"),
        ("{\"keys\": []}", "put a public key"),
    ] {
        let error = Keys::from_jwks(text).err().unwrap();
        assert!(error.contains(named), "{text}: {error}");
    }
}

#[test]
fn a_token_that_was_changed_or_is_none_is_refused() {
    let keys = Keys::from_secrets(SECRET).unwrap();
    let token = by_secret(SECRET);
    let (head, signature) = token.rsplit_once('.').unwrap();
    let (header, _) = head.split_once('.').unwrap();
    let unsigned = "eyJhbGciOiJub25lIn0.e30.";
    let others = by_secret(OTHER);
    let payload = others.split('.').nth(1).unwrap();
    for wrong in [
        "",
        "a",
        "a.b.c",
        head,
        unsigned,
        &format!("{header}.{}.{signature}", &payload[1..]),
        &format!("{head}.{}", &signature[1..]),
        &format!("{token}."),
        &"é".repeat(100),
    ] {
        assert!(verify(wrong, std::iter::once(&keys)).is_err(), "{wrong}");
    }
}

#[test]
fn claims_of_another_shape_are_named_in_the_error() {
    let keys = Keys::from_secrets(SECRET).unwrap();
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    let header = Header::new(Algorithm::HS256);
    for (claims, named) in [
        (json!({"publish": ["demo"]}), "exp"),
        (json!({"publish": "demo", "exp": EXP}), "sequence"),
        (json!({"publish": ["a b"], "exp": EXP}), "stream pattern `a b`"),
        (json!({"exp": "tomorrow"}), "number"),
    ] {
        let error = refused(&signed(&key, &header, &claims), &keys);
        assert!(error.contains(named), "{error}");
    }
    let mut critical = Header::new(Algorithm::HS256);
    critical.crit = Some(vec!["b64".into()]);
    let error = refused(&signed(&key, &critical, &json!({"exp": EXP})), &keys);
    assert!(error.contains("crit"), "{error}");
}
