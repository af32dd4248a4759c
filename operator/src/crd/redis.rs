//! Redis, which holds the claims on stream names: one of the operator's, or one that exists already.

use super::pods::{self, PodOptions};
use super::rules;
use k8s_openapi::api::core::v1::ResourceRequirements;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// Redis for the claims on stream names: `managed` or `external`, and `managed` with its defaults when neither is given.
/// Media never waits for it.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!(has(self.managed) && has(self.external))")
    .message("choose one: managed or external"))]
pub struct RedisSpec {
    /// A Redis of the cluster's own, kept by the operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub managed: Option<ManagedRedis>,
    /// A Redis that exists already. Several clusters may share one: every key begins with the cluster's name and UID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external: Option<ExternalRedis>,
}

/// A Redis of the cluster's own: one pod with a generated password.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ManagedRedis {
    /// Image with a `redis-server` program. By default the one that the operator was told to use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(min = 1, max = 512))]
    pub image: Option<String>,
    /// A volume to keep claims on, so that they outlast the pod. Without it they are written again by the nodes at once, and so
    /// they are when it changes: then Redis gets a new volume, and the old one goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<RedisStorage>,
    /// Processor and memory of the Redis pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "pods::resources_schema")]
    pub resources: Option<ResourceRequirements>,
    /// Where the Redis pod runs, its labels and annotations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pods: Option<PodOptions>,
}

/// A volume for Redis.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct RedisStorage {
    /// Size of the volume.
    #[schemars(length(max = 32))]
    #[x_kube(validation = rules::text(r"^[0-9]+(\.[0-9]+)?(Ki|Mi|Gi|Ti|k|M|G|T)?$", "a number of bytes, or one with a unit, such as `512Mi` or `1Gi`"))]
    pub size: String,
    /// StorageClass of the volume. By default the cluster's default class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(min = 1, max = 253))]
    pub storage_class_name: Option<String>,
}

/// A Redis that exists already.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ExternalRedis {
    /// Key of a Secret with the URL: `redis://:PASSWORD@HOST:6379/0`, or `rediss://...` for TLS. It may
    /// change without a restart.
    pub url_secret_ref: SecretKeyRef,
    /// Key of a Secret with the CA that the certificate of a `rediss://` server must come from, PEM; it may change without
    /// a restart. By default the CAs of the node's image, which are those that browsers trust.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_secret_ref: Option<SecretKeyRef>,
}

/// One key of a Secret of the same namespace.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct SecretKeyRef {
    /// Name of the Secret.
    #[schemars(length(max = 253))]
    #[x_kube(validation = rules::text("^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$", "the name of a Secret: 1 to 253 of a-z, 0-9, `-` and `.`, such as `media-keys`"))]
    pub name: String,
    /// Key in it.
    #[schemars(length(max = 253))]
    #[x_kube(validation = rules::text("^[-._a-zA-Z0-9]+$", "a key of a Secret: 1 to 253 of letters, digits, `-`, `.` and `_`, such as `password`"))]
    pub key: String,
}
