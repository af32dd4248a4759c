//! The password of managed Redis, which somebody may have chosen: what is made of it for Redis and for media nodes, and when
//! nothing can be made of it. Pure.

use super::data::{Data, text};
use crate::cluster::remark::Remark;
use crate::controller::build::secret_keys::{REDIS_CONF, REDIS_PASSWORD, REDIS_PASSWORD_ENCODED};
use k8s_openapi::ByteString;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use redis::IntoConnectionInfo;

/// Longest password, in bytes: a line of Redis' configuration has at most 1,024.
const MAX_BYTES: usize = 256;

/// How the media nodes that run read the password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodesRead {
    /// From a file, as it is.
    File,
    /// In a URL, as it is: those of the release before.
    Url,
}

/// Why a password is not given to Redis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    #[error(
        "is not one line of at most {MAX_BYTES} bytes of text without control characters: put another one into it, for example from `openssl rand -hex 32`"
    )]
    NoLine,
    #[error(
        "has characters that media nodes of the previous release misread in their URL: use letters and digits, or have these media nodes replaced first (spec.upgradePolicy: Automatic, or a spec.image of this release)"
    )]
    Misread,
}

/// Derives what Redis and nodes are given from a password. From one that is unusable nothing is derived: Redis keeps what it has,
/// which is in `data` or is remembered.
pub fn derive(data: &mut Data, remembered: &Data, read: NodesRead) {
    let conf = usable(data, read).map(|password| redis_conf(&password));
    put(data, remembered, REDIS_CONF, conf.ok());
    let encoded = line(data).map(|password| utf8_percent_encode(&password, NON_ALPHANUMERIC).to_string());
    put(data, remembered, REDIS_PASSWORD_ENCODED, encoded);
}

fn put(data: &mut Data, remembered: &Data, key: &str, text: Option<String>) {
    let text = text.map(|text| ByteString(text.into_bytes()));
    let kept = || data.get(key).or(remembered.get(key)).cloned();
    if let Some(value) = text.or_else(kept) {
        data.insert(key.to_owned(), value);
    }
}

/// What is told of an unusable password in the admin Secret of this name.
#[must_use]
pub fn trouble(data: &Data, read: NodesRead, secret: &str) -> Option<Remark> {
    let unusable = usable(data, read).err()?;
    let message =
        format!("the key {REDIS_PASSWORD} of the Secret {secret} {unusable}; until then Redis keeps its password");
    Some(Remark::new("SecretUnusable", message))
}

fn usable(data: &Data, read: NodesRead) -> Result<String, Unusable> {
    let password = line(data).ok_or(Unusable::NoLine)?;
    if read == NodesRead::Url && in_url(&password).as_deref() != Some(password.as_str()) {
        return Err(Unusable::Misread);
    }
    Ok(password)
}

/// What Redis and nodes can read as one line.
fn line(data: &Data) -> Option<String> {
    let password = text(data, REDIS_PASSWORD)?;
    let is_line = !password.is_empty() && password.len() <= MAX_BYTES && !password.contains(char::is_control);
    is_line.then_some(password)
}

/// What a node reads from a URL with this in it.
fn in_url(password: &str) -> Option<String> {
    let info = format!("redis://:{password}@host:6379").into_connection_info().ok()?;
    let is_there = info.addr().to_string() == "host:6379";
    let read = info.redis_settings().password().map(str::to_owned);
    read.filter(|_| is_there)
}

/// In quotes, since somebody may have chosen the password: a backslash escapes what would end them.
fn redis_conf(password: &str) -> String {
    let mut quoted = String::with_capacity(password.len());
    for sign in password.chars() {
        if matches!(sign, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(sign);
    }
    format!("bind * -::*\nprotected-mode yes\nrequirepass \"{quoted}\"\n")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Passwords that people choose, and whether nodes of the release before read them in a URL.
    const CHOSEN: [(&str, bool); 12] = [
        ("0123456789abcdef", true),
        ("a-b.c_d~e", true),
        ("a:b", true),
        ("a@b", true),
        ("a b", true),
        ("grün", true),
        ("a/b", false),
        ("a#b", false),
        ("a?b", false),
        ("a%41", false),
        ("@host:1/", false),
        ("$(HOME)", true),
    ];

    fn held(password: &[u8]) -> Data {
        [(REDIS_PASSWORD.to_owned(), ByteString(password.to_vec()))].into()
    }

    fn derived(password: &[u8], read: NodesRead) -> Data {
        let mut data = held(password);
        derive(&mut data, &Data::new(), read);
        data
    }

    #[test]
    fn whatever_a_password_is_made_of_a_url_with_its_encoded_form_reads_as_it() {
        for (password, _) in CHOSEN {
            let encoded = text(&derived(password.as_bytes(), NodesRead::File), REDIS_PASSWORD_ENCODED).unwrap();
            assert_eq!(in_url(&encoded).as_deref(), Some(password), "{encoded}");
        }
    }

    #[test]
    fn redis_keeps_its_password_while_nodes_of_the_release_before_would_misread_the_new_one() {
        for (password, is_read) in CHOSEN {
            let told = |read| trouble(&held(password.as_bytes()), read, "live-admin");
            assert_eq!(told(NodesRead::File), None, "{password}");
            assert_eq!(told(NodesRead::Url).is_none(), is_read, "{password}");
            let mut data = derived(b"old", NodesRead::Url);
            data.extend(held(password.as_bytes()));
            derive(&mut data, &Data::new(), NodesRead::Url);
            let kept = text(&data, REDIS_CONF).unwrap().contains("\"old\"");
            assert_eq!(kept, !is_read, "{password}");
        }
    }

    #[test]
    fn what_is_no_line_is_not_given_to_redis_which_never_runs_without_a_password() {
        let long = "x".repeat(MAX_BYTES + 1);
        for password in [b"a\nb".as_slice(), b"a\0", b"\xff\xfe", long.as_bytes(), b" "] {
            let remembered = derived(b"old", NodesRead::File);
            let mut data = held(password);
            derive(&mut data, &remembered, NodesRead::File);
            for key in [REDIS_CONF, REDIS_PASSWORD_ENCODED] {
                assert_eq!(data[key], remembered[key]);
            }
            assert!(!derived(password, NodesRead::File).contains_key(REDIS_CONF));
            let told = trouble(&data, NodesRead::File, "live-admin").unwrap();
            assert!(told.message.contains("one line"), "{told:?}");
        }
    }

    #[test]
    fn a_password_with_spaces_and_quotes_is_one_word_for_redis() {
        for (password, written) in [("a b", r#""a b""#), (r#"a"b\c"#, r#""a\"b\\c""#)] {
            let written = format!("requirepass {written}");
            assert_eq!(redis_conf(password).lines().last(), Some(written.as_str()));
        }
    }
}
