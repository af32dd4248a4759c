//! Managed Redis: one pod. What it holds is written again by the nodes when it is lost, so it needs no replica.
//!
//! Without storage it is a Deployment without any volume, so that nothing keeps its pod on a host that is to be emptied. With
//! storage it is a StatefulSet, whose volume goes with it.

use super::labels::{Component, labels, selecting, selector};
use super::pods::{self, mount, secret_volume, tcp_probe};
use super::ports::REDIS_PORT;
use super::secret_keys::REDIS_CONF;
use super::services;
use super::wish::{ClusterId, Settings, Wish};
use crate::crd::redis::{ManagedRedis, RedisStorage};
use k8s_openapi::api::apps::v1::{
    Deployment, DeploymentSpec, DeploymentStrategy, StatefulSet, StatefulSetPersistentVolumeClaimRetentionPolicy,
    StatefulSetSpec,
};
use k8s_openapi::api::core::v1::{
    Container, PersistentVolumeClaim, PersistentVolumeClaimSpec, PodSpec, PodTemplateSpec, Service, ServiceSpec,
    VolumeResourceRequirements,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

const CONFIG_DIR: &str = "/etc/redis";
const DATA_DIR: &str = "/data";
const VOLUME: &str = "data";
const GRACE_SECONDS: i64 = 10;
/// What becomes of a volume that nobody needs any more.
pub const CLAIMS_GO: &str = "Delete";
/// The same where it is kept.
pub const CLAIMS_STAY: &str = "Retain";
/// Label of the pods without storage: the selector of a StatefulSet of the release before must not be that of a Deployment.
const IN_MEMORY: (&str, &str) = ("sfumato.dev/redis", "memory");

#[derive(Debug, Clone, PartialEq)]
pub struct Redis {
    pub workload: RedisWorkload,
    pub service: Service,
}

/// What keeps the pod.
#[derive(Debug, Clone, PartialEq)]
#[allow(clippy::large_enum_variant, reason = "there is one of a cluster")]
pub enum RedisWorkload {
    /// With storage; or one of the release before without it, until the manifest says something else of Redis.
    StatefulSet(StatefulSet),
    /// Without storage.
    Deployment(Deployment),
}

impl RedisWorkload {
    /// Its metadata, and the template of its pod.
    pub fn parts_mut(&mut self) -> (&mut ObjectMeta, Option<&mut PodTemplateSpec>) {
        match self {
            Self::StatefulSet(set) => (&mut set.metadata, set.spec.as_mut().map(|spec| &mut spec.template)),
            Self::Deployment(deployment) => (
                &mut deployment.metadata,
                deployment.spec.as_mut().map(|spec| &mut spec.template),
            ),
        }
    }
}

/// Redis, unless the manifest names one that exists.
pub fn redis(wish: &Wish, settings: &Settings) -> Option<Redis> {
    if wish.spec.redis.external.is_some() {
        return None;
    }
    let managed = wish.spec.redis.managed.clone().unwrap_or_default();
    let container = container(wish, settings, &managed);
    let workload = match &managed.storage {
        Some(storage) => RedisWorkload::StatefulSet(stored(wish, container, storage)),
        None => RedisWorkload::Deployment(in_memory(wish, container)),
    };
    let service = service(wish);
    Some(Redis { workload, service })
}

/// What the release before made of Redis without storage, around the template that it was given.
pub fn set_of_the_release_before(wish: &Wish, template: PodTemplateSpec) -> StatefulSet {
    set(wish, template, None)
}

fn service(wish: &Wish) -> Service {
    Service {
        metadata: wish.meta(wish.id.redis(), Component::Redis),
        spec: Some(ServiceSpec {
            selector: Some(selecting(&wish.id.name, Component::Redis)),
            ports: Some(vec![services::port("redis", REDIS_PORT, "redis")]),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    }
}

fn in_memory(wish: &Wish, mut container: Container) -> Deployment {
    container.args = Some(options(&["--appendonly", "no"]));
    let mut selector = selector(&wish.id.name, Component::Redis);
    let mut template = template(wish, container);
    let label = || (IN_MEMORY.0.to_owned(), IN_MEMORY.1.to_owned());
    selector.match_labels.get_or_insert_default().extend([label()]);
    let metadata = template.metadata.get_or_insert_default();
    metadata.labels.get_or_insert_default().extend([label()]);
    Deployment {
        metadata: wish.meta(wish.id.redis(), Component::Redis),
        spec: Some(DeploymentSpec {
            replicas: Some(1),
            selector,
            // Never two at once: each would hold other claims.
            strategy: Some(DeploymentStrategy {
                type_: Some("Recreate".to_owned()),
                ..DeploymentStrategy::default()
            }),
            template,
            ..DeploymentSpec::default()
        }),
        ..Deployment::default()
    }
}

fn stored(wish: &Wish, mut container: Container, storage: &RedisStorage) -> StatefulSet {
    // A log of every write.
    container.args = Some(options(&["--dir", DATA_DIR, "--appendonly", "yes"]));
    container
        .volume_mounts
        .get_or_insert_default()
        .push(mount(VOLUME, DATA_DIR, false));
    set(wish, template(wish, container), Some(claim(storage)))
}

fn set(wish: &Wish, template: PodTemplateSpec, claim: Option<PersistentVolumeClaim>) -> StatefulSet {
    let goes = || Some(CLAIMS_GO.to_owned());
    let policy = claim
        .is_some()
        .then(|| StatefulSetPersistentVolumeClaimRetentionPolicy {
            when_deleted: goes(),
            when_scaled: goes(),
        });
    StatefulSet {
        metadata: wish.meta(wish.id.redis(), Component::Redis),
        spec: Some(StatefulSetSpec {
            replicas: Some(1),
            service_name: Some(wish.id.redis()),
            selector: selector(&wish.id.name, Component::Redis),
            // There is one pod. But of one that runs and is not ready, the controller of an ordered StatefulSet does not have
            // the volume go with it.
            pod_management_policy: Some(pods::AT_ONCE.to_owned()),
            template,
            volume_claim_templates: claim.map(|claim| vec![claim]),
            persistent_volume_claim_retention_policy: policy,
            ..StatefulSetSpec::default()
        }),
        ..StatefulSet::default()
    }
}

fn template(wish: &Wish, container: Container) -> PodTemplateSpec {
    let mut template = PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: Some(labels(&wish.id.name, Component::Redis)),
            ..ObjectMeta::default()
        }),
        spec: Some(PodSpec {
            automount_service_account_token: Some(false),
            enable_service_links: Some(false),
            security_context: Some(pods::pod_security(wish, pods::REDIS_USER)),
            termination_grace_period_seconds: Some(GRACE_SECONDS),
            image_pull_secrets: pods::pull_secrets(wish),
            volumes: Some(vec![secret_volume("config", wish.id.secret(), &[REDIS_CONF])]),
            containers: vec![container],
            ..PodSpec::default()
        }),
    };
    let managed = wish.spec.redis.managed.as_ref();
    pods::place(&mut template, managed.and_then(|managed| managed.pods.as_ref()));
    template
}

fn container(wish: &Wish, settings: &Settings, managed: &ManagedRedis) -> Container {
    let image = managed.image.clone().unwrap_or_else(|| settings.redis_image.clone());
    let mut container = pods::container(wish, "redis", image);
    container.command = Some(vec!["redis-server".to_owned(), format!("{CONFIG_DIR}/{REDIS_CONF}")]);
    container.ports = Some(vec![pods::container_port("redis", REDIS_PORT, "TCP")]);
    container.resources.clone_from(&managed.resources);
    container.volume_mounts = Some(vec![mount("config", CONFIG_DIR, true)]);
    container.readiness_probe = Some(tcp_probe("redis", 2));
    container.liveness_probe = Some(tcp_probe("redis", 10));
    container
}

/// Options of every Redis of ours, and these.
fn options(further: &[&str]) -> Vec<String> {
    let all = ["--port", "6379", "--save", ""].iter().chain(further);
    all.map(|&option| option.to_owned()).collect()
}

/// The claim that the StatefulSet of Redis makes for its pod.
pub fn redis_volume(id: &ClusterId) -> String {
    format!("{VOLUME}-{}-0", id.redis())
}

fn claim(storage: &RedisStorage) -> PersistentVolumeClaim {
    PersistentVolumeClaim {
        metadata: ObjectMeta {
            name: Some(VOLUME.to_owned()),
            ..ObjectMeta::default()
        },
        spec: Some(PersistentVolumeClaimSpec {
            access_modes: Some(vec!["ReadWriteOnce".to_owned()]),
            storage_class_name: storage.storage_class_name.clone(),
            resources: Some(VolumeResourceRequirements {
                requests: Some([("storage".to_owned(), Quantity(storage.size.clone()))].into()),
                ..VolumeResourceRequirements::default()
            }),
            ..PersistentVolumeClaimSpec::default()
        }),
        ..PersistentVolumeClaim::default()
    }
}
