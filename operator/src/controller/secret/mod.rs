//! The one Secret of a cluster with everything that is drawn by chance. It is created when it is absent and never built
//! anew: what the nodes hold must stay valid.

mod data;
mod pki;
pub mod redis_password;

pub use data::{Data, text};

use crate::controller::build::secret_keys::{CA_CERT, FRONT_DOOR_TOKEN, PKI, REDIS_PASSWORD, TLS_CERT, TLS_KEY, TOKEN};
use crate::controller::build::{Component, MANAGER, Wish, labels};
use crate::controller::watch::ownership::{Checked, Taken, Whose, check, only_over, whose};
use crate::controller::watch::queue::Key;
use crate::controller::words::words;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client, Resource};
use parking_lot::Mutex;
use pki::{Pki, PkiError};
use rand::RngExt;
use redis_password::NodesRead;
use sfumato_admin_api::server::admin_token::FRONT_DOOR_PREFIX;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    #[error("{}", words(.0))]
    Api(#[from] kube::Error),
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// There is one of somebody else.
    #[error(transparent)]
    Taken(#[from] Taken),
    /// There is one that Kubernetes is about to delete, with the cluster of this name before.
    #[error("it is being deleted; it is made anew when it is gone")]
    Going,
    /// Somebody has written it since it was read.
    #[error("it has changed since it was read; it is looked at again")]
    Changed,
    #[error("it cannot be written: {0}")]
    Unwritable(#[from] serde_json::Error),
}

/// The Secrets of all clusters, as they were read last.
#[derive(Default)]
pub struct Secrets {
    read: Mutex<BTreeMap<Key, Read>>,
}

struct Read {
    uid: String,
    at: Instant,
    data: Data,
}

impl Secrets {
    /// The Secret of a cluster, made or completed where that is needed. What was read before counts for as long as `believed`;
    /// to read it takes one of `turns`.
    ///
    /// # Errors
    /// When the API server refuses, or certificates cannot be made.
    pub async fn ensure(
        &self,
        client: &Client,
        turns: &Semaphore,
        (wish, read): (&Wish, NodesRead),
        believed: Duration,
    ) -> Result<Data, SecretError> {
        let key = Key::from(&wish.id);
        let known = {
            let read = self.read.lock();
            let known = read.get(&key).filter(|read| read.uid == wish.id.uid);
            known.map(|read| (read.at.elapsed() < believed, read.data.clone()))
        };
        let remembered = match known {
            Some((true, data)) => return Ok(data),
            Some((false, data)) => data,
            None => Data::new(),
        };
        // What is remembered takes no turn. Nobody closes it, so that this cannot fail.
        let _turn = turns.acquire().await;
        let data = bring_up(client, (wish, read), remembered).await?;
        let read = Read {
            uid: wish.id.uid.clone(),
            at: Instant::now(),
            data: data.clone(),
        };
        self.read.lock().insert(key, read);
        Ok(data)
    }

    /// Forgets a cluster that is gone.
    pub fn forget(&self, cluster: &Key) {
        self.read.lock().remove(cluster);
    }
}

/// Reads the Secret, and writes what is missing. What was read before is written again when the Secret was deleted, so
/// that running nodes keep understanding each other.
async fn bring_up(client: &Client, (wish, read): (&Wish, NodesRead), remembered: Data) -> Result<Data, SecretError> {
    let api: Api<Secret> = Api::namespaced(client.clone(), &wish.id.namespace);
    let name = wish.id.secret();
    let live = api.get_opt(&name).await?;
    let metadata = live.as_ref().map(|secret| &secret.metadata);
    let Checked::Live(checked) = check(metadata, &wish.id, &Secret::kind(&()), &name)? else {
        return Err(SecretError::Going);
    };
    let is_adopted = metadata.is_some_and(|live| whose(live, &wish.id) != Whose::Ours);
    let held = live.and_then(|secret| secret.data).unwrap_or_default();
    let wanted = complete(held.clone(), (&remembered, read), &mut draw, Timestamp::now())?;
    let mut secret = skeleton(wish);
    secret.data = Some(wanted.clone());
    let (written, what) = if checked.is_none() {
        let created = api.create(&PostParams::default(), &secret).await;
        (created, "made the admin Secret")
    } else if is_adopted || wanted != held {
        let params = PatchParams::apply(MANAGER).force();
        // Guarded: two operators must not each write a token of their own.
        let patched = api
            .patch(&name, &params, &Patch::Apply(only_over(&secret, checked)?))
            .await;
        let what = if is_adopted {
            "adopted the admin Secret"
        } else {
            "completed the admin Secret"
        };
        (patched, what)
    } else {
        return Ok(wanted);
    };
    match written {
        Ok(_) => tracing::info!(
            namespace = wish.id.namespace,
            cluster = wish.id.name,
            object = name,
            "{what}"
        ),
        Err(kube::Error::Api(status)) if status.code == 409 => return Err(SecretError::Changed),
        Err(error) => return Err(error.into()),
    }
    Ok(wanted)
}

fn skeleton(wish: &Wish) -> Secret {
    let mut secret = Secret {
        type_: Some("Opaque".to_owned()),
        ..Secret::default()
    };
    secret.metadata.name = Some(wish.id.secret());
    secret.metadata.namespace = Some(wish.id.namespace.clone());
    secret.metadata.labels = Some(labels(&wish.id.name, Component::Node));
    secret.metadata.owner_references = Some(vec![wish.owner.clone()]);
    secret
}

/// Fills in what is missing: from what is remembered, else newly drawn.
fn complete(
    held: Data,
    (remembered, read): (&Data, NodesRead),
    draw: &mut dyn FnMut() -> String,
    now: Timestamp,
) -> Result<Data, PkiError> {
    let mut data = held;
    let fill = |data: &mut Data, key: &str, make: &mut dyn FnMut() -> String| {
        let empty = data.get(key).is_none_or(|value| value.0.trim_ascii().is_empty());
        if empty {
            let value = remembered.get(key).cloned();
            let value = value.unwrap_or_else(|| ByteString(make().into_bytes()));
            data.insert(key.to_owned(), value);
        }
    };
    fill(&mut data, TOKEN, draw);
    fill(&mut data, FRONT_DOOR_TOKEN, &mut || {
        format!("{FRONT_DOOR_PREFIX}{}", draw())
    });
    let tokens = admin_tokens(&data);
    data.insert(TOKEN.to_owned(), ByteString(tokens.into_bytes()));
    fill(&mut data, REDIS_PASSWORD, draw);
    redis_password::derive(&mut data, remembered, read);
    let kept = read_pki(&data).or_else(|| read_pki(remembered));
    let pki = Pki::advance(kept.clone(), now)?;
    let mut put = |key: &str, text: String| data.insert(key.to_owned(), ByteString(text.into_bytes()));
    put(CA_CERT, pki.trusted());
    put(TLS_CERT, pki.certificate().to_owned());
    put(TLS_KEY, pki.key().to_owned());
    if kept.as_ref() != Some(&pki) || !data.contains_key(PKI) {
        // Strings, times and nothing else: writing it cannot fail.
        let text = serde_json::to_vec(&pki).unwrap_or_default();
        data.insert(PKI.to_owned(), ByteString(text));
    }
    Ok(data)
}

/// The admin tokens, and after them those of the front door: media nodes of the release before accept only what is in this
/// list. Those of this release know by the beginning that such a line is no admin's.
fn admin_tokens(data: &Data) -> String {
    let held = text(data, TOKEN).unwrap_or_default();
    let front_door = text(data, FRONT_DOOR_TOKEN).unwrap_or_default();
    let is_front_door = |line: &&str| line.starts_with(FRONT_DOOR_PREFIX);
    let lines = |text| str::lines(text).map(str::trim).filter(|line| !line.is_empty());
    let admin = lines(&held).filter(|line| !is_front_door(line));
    let all: Vec<&str> = admin.chain(lines(&front_door).filter(is_front_door)).collect();
    all.join("\n")
}

fn read_pki(data: &Data) -> Option<Pki> {
    serde_json::from_slice(&data.get(PKI)?.0).ok()
}

/// The token to present: the first line.
#[must_use]
pub fn current_token(data: &Data) -> String {
    text(data, TOKEN)
        .and_then(|tokens| tokens.lines().next().map(|line| line.trim().to_owned()))
        .unwrap_or_default()
}

/// 256 bits as hexadecimal digits, which need no escaping anywhere.
fn draw() -> String {
    let bytes: [u8; 32] = rand::rng().random();
    bytes.iter().fold(String::with_capacity(64), |mut text, byte| {
        use std::fmt::Write;
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn counted() -> impl FnMut() -> String {
        let mut drawn = 0;
        move || {
            drawn += 1;
            format!("drawn-{drawn}")
        }
    }

    fn now() -> Timestamp {
        Timestamp::from_second(1_800_000_000).unwrap()
    }

    fn data(pairs: &[(&str, &str)]) -> Data {
        let pair = |(key, value): &(&str, &str)| ((*key).to_owned(), ByteString(value.as_bytes().to_vec()));
        pairs.iter().map(pair).collect()
    }

    /// What becomes of this where nothing is remembered.
    fn completed(held: Data) -> Data {
        complete(held, (&Data::new(), NodesRead::File), &mut counted(), now()).unwrap()
    }

    #[test]
    fn what_is_there_stays_and_what_is_missing_is_drawn() {
        let made = completed(data(&[(TOKEN, "kept")]));
        assert_eq!(text(&made, TOKEN).unwrap(), "kept\nfront-door-drawn-1");
        assert_eq!(text(&made, FRONT_DOOR_TOKEN).unwrap(), "front-door-drawn-1");
        assert_eq!(text(&made, REDIS_PASSWORD).unwrap(), "drawn-2");
        assert!(text(&made, "redis.conf").unwrap().contains("requirepass \"drawn-2\""));
        assert_eq!(completed(made.clone()), made);
    }

    #[test]
    fn a_secret_that_was_deleted_comes_back_as_it_was() {
        let before = completed(Data::new());
        let mut other = || "other".to_owned();
        assert_eq!(
            complete(Data::new(), (&before, NodesRead::File), &mut other, now()).unwrap(),
            before
        );
    }

    #[test]
    fn an_empty_token_is_no_token() {
        let made = completed(data(&[(TOKEN, " \n")]));
        assert_eq!(current_token(&made), "drawn-1");
    }

    #[test]
    fn the_first_line_is_the_current_token() {
        assert_eq!(current_token(&data(&[(TOKEN, "new\nold\n")])), "new");
    }

    #[test]
    fn nodes_of_the_release_before_accept_the_front_door_and_what_was_taken_from_it_is_taken_from_them() {
        let held = data(&[
            (TOKEN, "new\nfront-door-leaked\nold\n"),
            (FRONT_DOOR_TOKEN, "front-door-2\nfront-door-1\n"),
        ]);
        let made = completed(held);
        assert_eq!(text(&made, TOKEN).unwrap(), "new\nold\nfront-door-2\nfront-door-1");
        assert_eq!(current_token(&made), "new");
    }

    #[test]
    fn drawn_secrets_differ() {
        assert_ne!(draw(), draw());
        assert_eq!(draw().len(), 64);
    }
}
