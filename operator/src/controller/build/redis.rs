//! Managed Redis: one pod. What it holds is written again by the nodes when it is lost, so it needs no replica.

use super::labels::{Component, labels, selecting, selector};
use super::pods::{self, mount, secret_volume, tcp_probe};
use super::ports::REDIS_PORT;
use super::secret_keys::REDIS_CONF;
use super::services;
use super::wish::{Settings, Wish};
use crate::crd::redis::{ManagedRedis, RedisStorage};
use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetSpec};
use k8s_openapi::api::core::v1::{
    ContainerPort, EmptyDirVolumeSource, PersistentVolumeClaim, PersistentVolumeClaimSpec, PodSpec, PodTemplateSpec,
    Service, ServiceSpec, Volume, VolumeResourceRequirements,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

const CONFIG_DIR: &str = "/etc/redis";
const DATA_DIR: &str = "/data";
const GRACE_SECONDS: i64 = 10;

#[derive(Debug, Clone, PartialEq)]
pub struct Redis {
    pub stateful_set: StatefulSet,
    pub service: Service,
}

/// Redis, unless the manifest names one that exists.
pub fn redis(wish: &Wish, settings: &Settings) -> Option<Redis> {
    if wish.spec.redis.external.is_some() {
        return None;
    }
    let managed = wish.spec.redis.managed.clone().unwrap_or_default();
    Some(Redis {
        stateful_set: stateful_set(wish, settings, &managed),
        service: service(wish),
    })
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

fn stateful_set(wish: &Wish, settings: &Settings, managed: &ManagedRedis) -> StatefulSet {
    let image = managed.image.clone().unwrap_or_else(|| settings.redis_image.clone());
    let mut container = pods::container(wish, "redis", image);
    container.command = Some(vec!["redis-server".to_owned(), format!("{CONFIG_DIR}/{REDIS_CONF}")]);
    container.args = Some(persistence(managed.storage.is_some()));
    container.ports = Some(vec![ContainerPort {
        name: Some("redis".to_owned()),
        container_port: REDIS_PORT,
        protocol: Some("TCP".to_owned()),
        ..ContainerPort::default()
    }]);
    container.resources.clone_from(&managed.resources);
    container.volume_mounts = Some(vec![mount("config", CONFIG_DIR, true), mount("data", DATA_DIR, false)]);
    container.readiness_probe = Some(tcp_probe("redis", 2));
    container.liveness_probe = Some(tcp_probe("redis", 10));
    let mut volumes = vec![secret_volume("config", wish.id.secret(), &[REDIS_CONF])];
    if managed.storage.is_none() {
        volumes.push(Volume {
            name: "data".to_owned(),
            empty_dir: Some(EmptyDirVolumeSource::default()),
            ..Volume::default()
        });
    }
    StatefulSet {
        metadata: wish.meta(wish.id.redis(), Component::Redis),
        spec: Some(StatefulSetSpec {
            replicas: Some(1),
            service_name: Some(wish.id.redis()),
            selector: selector(&wish.id.name, Component::Redis),
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta {
                    labels: Some(labels(&wish.id.name, Component::Redis)),
                    ..ObjectMeta::default()
                }),
                spec: Some(PodSpec {
                    automount_service_account_token: Some(false),
                    enable_service_links: Some(false),
                    security_context: Some(pods::pod_security(pods::REDIS_USER)),
                    termination_grace_period_seconds: Some(GRACE_SECONDS),
                    image_pull_secrets: pods::pull_secrets(wish),
                    tolerations: Some(pods::tolerations(&[])),
                    volumes: Some(volumes),
                    containers: vec![container],
                    ..PodSpec::default()
                }),
            },
            volume_claim_templates: managed.storage.as_ref().map(|storage| vec![claim(storage)]),
            ..StatefulSetSpec::default()
        }),
        ..StatefulSet::default()
    }
}

/// A log of every write when there is a volume; nothing on disk when there is none.
fn persistence(kept: bool) -> Vec<String> {
    let append_only = if kept { "yes" } else { "no" };
    [
        "--port",
        "6379",
        "--dir",
        DATA_DIR,
        "--save",
        "",
        "--appendonly",
        append_only,
    ]
    .map(str::to_owned)
    .into()
}

fn claim(storage: &RedisStorage) -> PersistentVolumeClaim {
    PersistentVolumeClaim {
        metadata: ObjectMeta {
            name: Some("data".to_owned()),
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
