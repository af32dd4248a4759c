use super::*;
use crate::http::problem::Problem;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Value, json};
use tempfile::NamedTempFile;

const SECRET: &str = "a secret of more than thirty-two characters";

fn secret_file() -> NamedTempFile {
    let file = NamedTempFile::new().unwrap();
    std::fs::write(file.path(), SECRET).unwrap();
    file
}

fn gate(file: &NamedTempFile) -> Gate {
    let options = AccessOptions {
        auth_secret_file: Some(file.path().to_owned()),
        ..AccessOptions::default()
    };
    Gate::open(&options).unwrap()
}

fn in_an_hour() -> u64 {
    jsonwebtoken::get_current_timestamp() + 3600
}

fn token(secret: &str, claims: &Value) -> String {
    encode(&Header::default(), claims, &EncodingKey::from_secret(secret.as_bytes())).unwrap()
}

fn ask(gate: &Gate, authorization: Option<&str>, query: Option<&str>) -> Result<Access, (StatusCode, String)> {
    let mut headers = HeaderMap::new();
    if let Some(value) = authorization {
        headers.insert(header::AUTHORIZATION, value.parse().unwrap());
    }
    let stream = "demo".parse().unwrap();
    gate.admit(Action::Publish, &stream, &headers, query)
        .map_err(|refused| {
            let response = Problem::from(refused).into_response();
            let challenge = &response.headers()[header::WWW_AUTHENTICATE];
            (response.status(), challenge.to_str().unwrap().to_owned())
        })
}

#[test]
fn without_keys_everybody_may_and_nobody_may_take_over() {
    let gate = Gate::open(&AccessOptions::default()).unwrap();
    for authorization in [None, Some("Bearer nonsense"), Some("Bearer undefined")] {
        assert_eq!(ask(&gate, authorization, None), Ok(Access { takeover: false }));
    }
}

#[test]
fn a_good_token_in_the_header_or_in_the_query_opens_with_its_rights() {
    let file = secret_file();
    let gate = gate(&file);
    let token = token(
        SECRET,
        &json!({"publish": ["de*"], "takeover": true, "exp": in_an_hour()}),
    );
    let granted = Ok(Access { takeover: true });
    assert_eq!(ask(&gate, Some(&format!("Bearer {token}")), None), granted);
    assert_eq!(ask(&gate, None, Some(&format!("x=1&access_token={token}"))), granted);
}

#[test]
fn no_token_is_401_without_an_error_code() {
    let file = secret_file();
    let expected = (StatusCode::UNAUTHORIZED, "Bearer realm=\"sfumato\"".to_owned());
    assert_eq!(ask(&gate(&file), None, None), Err(expected));
}

#[test]
fn a_wrong_or_expired_token_is_401_invalid_token() {
    let file = secret_file();
    let gate = gate(&file);
    let other = "another secret of more than thirty-two characters";
    for token in [
        "nonsense".to_owned(),
        token(other, &json!({"publish": ["*"], "exp": in_an_hour()})),
        token(SECRET, &json!({"publish": ["*"], "exp": 1_000_000_000})),
        token(SECRET, &json!({"publish": ["*"]})),
    ] {
        let (status, challenge) = ask(&gate, Some(&format!("Bearer {token}")), None).unwrap_err();
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{challenge}");
        assert!(
            challenge.starts_with("Bearer realm=\"sfumato\", error=\"invalid_token\", error_description=\""),
            "{challenge}"
        );
        // The description is quoted: a quote in it would end it.
        assert_eq!(challenge.matches('"').count(), 6, "{challenge}");
    }
}

#[test]
fn a_token_for_something_else_is_403_insufficient_scope() {
    let file = secret_file();
    let token = token(SECRET, &json!({"play": ["demo"], "exp": in_an_hour()}));
    let (status, challenge) = ask(&gate(&file), Some(&format!("Bearer {token}")), None).unwrap_err();
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert!(challenge.contains("error=\"insufficient_scope\""), "{challenge}");
}

#[test]
fn a_token_that_comes_twice_is_400_invalid_request() {
    let file = secret_file();
    let (status, challenge) = ask(&gate(&file), Some("Bearer a"), Some("access_token=a")).unwrap_err();
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(challenge.contains("error=\"invalid_request\""), "{challenge}");
}

/// Asks until the answer has this status; the files are looked at every second.
fn eventually(gate: &Gate, token: &str, expected: Option<StatusCode>) {
    let end = Instant::now() + std::time::Duration::from_secs(30);
    loop {
        let status = ask(gate, Some(&format!("Bearer {token}")), None)
            .err()
            .map(|(status, _)| status);
        if status == expected {
            return;
        }
        assert!(Instant::now() < end, "{status:?} for 30 s, instead of {expected:?}");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

#[test]
fn a_secret_that_is_removed_from_two_lines_is_out_at_once_and_one_that_is_replaced_overlaps() {
    let file = secret_file();
    let options = AccessOptions {
        auth_secret_file: Some(file.path().to_owned()),
        key_overlap: std::time::Duration::from_secs(600),
        ..AccessOptions::default()
    };
    let gate = Gate::open(&options).unwrap();
    let claims = json!({"publish": ["demo"], "exp": in_an_hour()});
    let [second, third] =
        ["second", "third"].map(|name| format!("the {name} secret, of more than thirty-two characters"));
    let [by_first, by_second, by_third] = [SECRET, &second, &third].map(|secret| token(secret, &claims));
    std::fs::write(file.path(), &second).unwrap();
    eventually(&gate, &by_second, None);
    eventually(&gate, &by_first, None);
    std::fs::write(file.path(), format!("{third}\n{second}\n")).unwrap();
    eventually(&gate, &by_third, None);
    eventually(&gate, &by_first, Some(StatusCode::UNAUTHORIZED));
    eventually(&gate, &by_second, None);
    std::fs::write(file.path(), &third).unwrap();
    eventually(&gate, &by_second, Some(StatusCode::UNAUTHORIZED));
    eventually(&gate, &by_third, None);
}

#[test]
fn a_set_without_a_key_stops_the_start_and_says_what_to_write() {
    let file = NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "{}").unwrap();
    let options = AccessOptions {
        auth_jwks_file: Some(file.path().to_owned()),
        ..AccessOptions::default()
    };
    let error = Gate::open(&options).err().unwrap();
    let named = format!("--auth-jwks-file {}: ", file.path().display());
    assert!(error.starts_with(&named) && error.contains("public keys"), "{error}");
}

#[test]
fn keys_that_cannot_be_read_stop_the_start_and_the_flag_is_named() {
    let options = AccessOptions {
        auth_jwks_file: Some("/nonexistent/keys.json".into()),
        ..AccessOptions::default()
    };
    let error = Gate::open(&options).err().unwrap();
    assert!(
        error.starts_with("--auth-jwks-file /nonexistent/keys.json: "),
        "{error}"
    );
}
