//! The front door: a Deployment that finds the nodes by the headless Service and then follows what they say of each other.

use super::labels::{Component, labels, selector};
use super::pods::{self, http_probe, mount, secret_volume};
use super::ports::HEALTH_PORT;
use super::secret_keys::{CA_CERT, FRONT_DOOR_TOKEN};
use super::wish::{Settings, Wish};
use crate::crd::web::{FIRST_REPLICAS, TLS_CERT, TLS_KEY};
use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec};
use k8s_openapi::api::core::v1::{Affinity, PodSpec, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// TCP port that the front door's pods listen on.
pub const LISTEN_PORT: i32 = 2020;
/// How long open requests of a pod that ends may take, in seconds.
const GRACE_SECONDS: i64 = 15;
/// Where the certificate that clients are shown is mounted.
const TLS_DIR: &str = "/etc/sfumato/tls";

/// Pods to begin with.
pub fn first_replicas(wish: &Wish) -> i32 {
    wish.spec.web.replicas.unwrap_or(FIRST_REPLICAS)
}

pub fn deployment(wish: &Wish, settings: &Settings) -> Deployment {
    let web = &wish.spec.web;
    let image = web.image.clone().unwrap_or_else(|| settings.web_image.clone());
    let mut container = pods::container(wish, "sfu-web", image);
    container.args = Some(vec![
        format!("--listen=[::]:{LISTEN_PORT}"),
        format!(
            "--seed=https://{}.{}.svc:{}",
            wish.id.nodes_service(),
            wish.id.namespace,
            wish.spec.ports.admin
        ),
        format!("--admin-token-file={}/{FRONT_DOOR_TOKEN}", pods::ADMIN_DIR),
        format!("--admin-ca={}/{CA_CERT}", pods::ADMIN_DIR),
        "--log-format=json".to_owned(),
    ]);
    // Variables: a front door of the release before would refuse an option that it does not know.
    let mut environment = vec![
        pods::env("SFUMATO_WEB_HEALTH_LISTEN", format!("[::]:{HEALTH_PORT}")),
        pods::env("SFUMATO_WEB_LOG_FIELDS", pods::log_fields(&wish.id)),
    ];
    let mut mounts = vec![mount("admin", pods::ADMIN_DIR, true)];
    let mut volumes = vec![secret_volume("admin", wish.id.secret(), &[FRONT_DOOR_TOKEN, CA_CERT])];
    if let Some(tls) = &web.tls {
        environment.extend([
            pods::env("SFUMATO_WEB_TLS_CERT", format!("{TLS_DIR}/{TLS_CERT}")),
            pods::env("SFUMATO_WEB_TLS_KEY", format!("{TLS_DIR}/{TLS_KEY}")),
        ]);
        mounts.push(mount("tls", TLS_DIR, true));
        volumes.push(secret_volume("tls", tls.secret_name.clone(), &[TLS_CERT, TLS_KEY]));
    }
    container.env = Some(environment);
    let port = |name, number| pods::container_port(name, number, "TCP");
    container.ports = Some(vec![port("http", LISTEN_PORT), port("health", HEALTH_PORT)]);
    container.resources.clone_from(&web.resources);
    container.volume_mounts = Some(mounts);
    container.liveness_probe = Some(http_probe("/livez", "health", 5, 6));
    container.readiness_probe = Some(http_probe("/readyz", "health", 2, 2));
    let selector = selector(&wish.id.name, Component::Web);
    let mut template = PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: Some(labels(&wish.id.name, Component::Web)),
            ..ObjectMeta::default()
        }),
        spec: Some(PodSpec {
            automount_service_account_token: Some(false),
            enable_service_links: Some(false),
            security_context: Some(pods::pod_security(wish, pods::USER)),
            termination_grace_period_seconds: Some(GRACE_SECONDS),
            image_pull_secrets: pods::pull_secrets(wish),
            topology_spread_constraints: Some(pods::spread(&selector)),
            affinity: Some(Affinity {
                pod_anti_affinity: Some(pods::zones_apart(&selector)),
                ..Affinity::default()
            }),
            volumes: Some(volumes),
            containers: vec![container],
            ..PodSpec::default()
        }),
    };
    pods::place(&mut template, web.pods.as_ref());
    Deployment {
        metadata: wish.meta(wish.id.web(), Component::Web),
        spec: Some(DeploymentSpec {
            replicas: Some(first_replicas(wish)),
            selector,
            template,
            ..DeploymentSpec::default()
        }),
        ..Deployment::default()
    }
}
