//! What was applied or compared last under a name, so that the same is not done again.

use crate::controller::build::ClusterId;
use crate::controller::watch::owned_fields::digest;
use crate::controller::watch::queue::Key;
use kube::core::ObjectMeta;
use kube::{Resource, ResourceExt};
use serde::Serialize;
use sha2::{Digest, Sha256};

/// A child.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Name {
    pub(super) kind: String,
    pub(super) namespace: String,
    pub(super) name: String,
}

impl Name {
    pub(super) fn of<K: Resource<DynamicType = ()>>(id: &ClusterId, desired: &K) -> Self {
        Self {
            kind: K::kind(&()).into_owned(),
            namespace: id.namespace.clone(),
            name: desired.name_any(),
        }
    }
}

/// What was applied last under a name, and what the API server made of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LastApply {
    pub(super) cluster: Key,
    uid: Option<String>,
    desired: Hash,
    managed: Option<String>,
}

impl LastApply {
    /// Of what hashes to this, that made what is live.
    pub(super) fn new(id: &ClusterId, live: &ObjectMeta, desired: Hash) -> Self {
        Self {
            cluster: Key::from(id),
            uid: live.uid.clone(),
            desired,
            managed: digest(live).map(str::to_owned),
        }
    }
}

/// What was compared, and whether an apply would have left it as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Compared {
    pub(super) cluster: Key,
    pub(super) desired: Hash,
    pub(super) version: Option<String>,
    pub(super) is_same: bool,
}

pub(super) type Hash = [u8; 32];

pub(super) fn hash_of<K: Serialize>(desired: &K) -> serde_json::Result<Hash> {
    Ok(Sha256::digest(serde_json::to_vec(desired)?).into())
}
