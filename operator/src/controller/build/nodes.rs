//! The nodes: a StatefulSet whose pods the operator itself replaces (`OnDelete`), after it has emptied them.

use super::access;
use super::exposure::{self, MEDIA_ADDRESSES};
use super::labels::{Component, labels, selector};
use super::pods::{self, container_port, env, env_field, env_secret, http_probe, mount, secret_volume};
use super::ports::REDIS_PORT;
use super::secret_keys::{CA_CERT, FRONT_DOOR_TOKEN, REDIS_PASSWORD, REDIS_PASSWORD_ENCODED, TLS_CERT, TLS_KEY, TOKEN};
use super::wish::{Settings, Wish};
use super::workers::workers;
use crate::cluster::node_arguments::{Place, arguments};
use crate::crd::SfuClusterSpec;
use crate::crd::exposure::Exposure;
use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetSpec, StatefulSetUpdateStrategy};
use k8s_openapi::api::core::v1::{
    Affinity, ContainerPort, EnvVar, PodSpec, PodTemplateSpec, ServiceAccount, TopologySpreadConstraint,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// Container of the media node in its pod.
const NODE_CONTAINER: &str = "sfu-node";
/// Variable with the password of Redis, which Kubernetes puts into the URL.
pub const REDIS_PASSWORD_VARIABLE: &str = "SFUMATO_REDIS_PASSWORD";
/// The pod's own address, which Kubernetes puts into arguments.
const OWN_ADDRESS: &str = "[$(SFUMATO_ADVERTISE_IP)]";
/// Where the addresses are mounted that clients are told.
const MEDIA_ADDRESSES_DIR: &str = "/etc/sfumato/media-addresses";
/// What a pod may take beyond the drain's deadline to end, in seconds.
const END_SECONDS: u64 = 15;
/// Templates that are kept to go back to. Cannot be changed later.
const REVISIONS: i32 = 5;

/// Identity of the nodes' pods. It has no rights and no token is mounted.
pub fn account(wish: &Wish) -> ServiceAccount {
    ServiceAccount {
        metadata: wish.meta(wish.id.nodes_service(), Component::Node),
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    }
}

pub fn stateful_set(wish: &Wish, settings: &Settings) -> StatefulSet {
    StatefulSet {
        metadata: wish.meta(wish.id.nodes(), Component::Node),
        spec: Some(StatefulSetSpec {
            replicas: Some(wish.spec.replicas),
            service_name: Some(wish.id.nodes_service()),
            selector: selector(&wish.id.name, Component::Node),
            pod_management_policy: Some(pods::AT_ONCE.to_owned()),
            update_strategy: Some(StatefulSetUpdateStrategy {
                type_: Some("OnDelete".to_owned()),
                ..StatefulSetUpdateStrategy::default()
            }),
            revision_history_limit: Some(REVISIONS),
            template: template(wish, settings),
            ..StatefulSetSpec::default()
        }),
        ..StatefulSet::default()
    }
}

fn template(wish: &Wish, settings: &Settings) -> PodTemplateSpec {
    let spec = &wish.spec;
    let mut all_labels = spec.pod_labels.clone();
    all_labels.extend(labels(&wish.id.name, Component::Node));
    let (spread, affinity) = placement(wish);
    let image = spec.image.clone().unwrap_or_else(|| settings.node_image.clone());
    let mut container = pods::container(wish, NODE_CONTAINER, image);
    container.args = Some(args(wish));
    container.env = Some(environment(wish));
    container.ports = Some(ports(spec));
    container.resources.clone_from(&spec.resources);
    let (mut volumes, mut mounts) = access::volumes(wish);
    let mut keys = vec![TOKEN, FRONT_DOOR_TOKEN, CA_CERT, TLS_CERT, TLS_KEY];
    keys.extend(spec.redis.external.is_none().then_some(REDIS_PASSWORD));
    if exposure::is_announced(spec) {
        volumes.push(pods::annotation_volume("media-addresses", MEDIA_ADDRESSES));
        mounts.push(mount("media-addresses", MEDIA_ADDRESSES_DIR, true));
    }
    volumes.insert(0, secret_volume("admin", wish.id.secret(), &keys));
    mounts.insert(0, mount("admin", pods::ADMIN_DIR, true));
    container.volume_mounts = Some(mounts);
    container.startup_probe = Some(http_probe("/livez", "health", 1, 60));
    container.liveness_probe = Some(http_probe("/livez", "health", 5, 6));
    container.readiness_probe = Some(http_probe("/readyz", "health", 1, 2));
    let grace = spec.drain.deadline.0.as_secs() + END_SECONDS;
    PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: Some(all_labels),
            annotations: exposure::annotations(spec),
            ..ObjectMeta::default()
        }),
        spec: Some(PodSpec {
            host_network: is_on_host(spec).then_some(true),
            // Else the names of Services would be looked for where the host looks.
            dns_policy: is_on_host(spec).then(|| "ClusterFirstWithHostNet".to_owned()),
            service_account_name: Some(wish.id.nodes_service()),
            automount_service_account_token: Some(false),
            enable_service_links: Some(false),
            security_context: Some(pods::pod_security(wish, pods::USER)),
            termination_grace_period_seconds: Some(i64::try_from(grace).unwrap_or(i64::MAX)),
            image_pull_secrets: pods::pull_secrets(wish),
            node_selector: pods::node_selector(&spec.node_selector),
            tolerations: Some(pods::tolerations(&spec.tolerations)),
            affinity,
            topology_spread_constraints: Some(spread),
            priority_class_name: spec.priority_class_name.clone(),
            volumes: Some(volumes),
            containers: vec![container],
            ..PodSpec::default()
        }),
    }
}

/// How nodes are spread: as the spec says, and by default apart.
fn placement(wish: &Wish) -> (Vec<TopologySpreadConstraint>, Option<Affinity>) {
    let spec = &wish.spec;
    if !spec.topology_spread_constraints.is_empty() {
        return (spec.topology_spread_constraints.clone(), spec.affinity.clone());
    }
    let selector = selector(&wish.id.name, Component::Node);
    let mut affinity = spec.affinity.clone().unwrap_or_default();
    affinity
        .pod_anti_affinity
        .get_or_insert_with(|| pods::zones_apart(&selector));
    (pods::spread(&selector), Some(affinity))
}

fn args(wish: &Wish) -> Vec<String> {
    let spec = &wish.spec;
    let admin = |key: &str| format!("{}/{key}", pods::ADMIN_DIR);
    // A host may have further addresses, for the world.
    let within = if is_on_host(spec) { OWN_ADDRESS } else { "[::]" };
    let place = Place {
        cluster: wish.redis_prefix.clone().unwrap_or_else(|| wish.id.redis_prefix()),
        workers: workers(spec),
        listen: [
            format!("[::]:{}", spec.ports.client),
            format!("{within}:{}", spec.ports.admin),
            format!("{within}:{}", spec.ports.health),
        ],
        admin_token_file: admin(TOKEN),
        admin_tls: Some([TLS_CERT, TLS_KEY, CA_CERT].map(admin)),
        media_port: spec.media.port,
        first_pipe_port: spec.mesh.port_base,
        drain_deadline: spec.drain.deadline.0,
        log_format: "json",
        keys: access::keys(spec),
    };
    let all = arguments(spec, place).into_iter().chain(access::redis_ca_file(spec));
    all.map(|(name, value)| match name {
        "admin-listen" | "health-listen" => format!("--{name}={value}"),
        _ => format!("--{name}={}", literal(&value)),
    })
    .collect()
}

/// Whether nodes use the networks of their hosts.
fn is_on_host(spec: &SfuClusterSpec) -> bool {
    spec.media.exposure == Exposure::HostNetwork
}

/// Kubernetes puts variables into arguments where `$(NAME)` stands; two dollars stand for one.
fn literal(text: &str) -> String {
    text.replace('$', "$$")
}

/// What only the pod knows, and Redis.
fn environment(wish: &Wish) -> Vec<EnvVar> {
    let mut all = vec![
        env_field("SFUMATO_NAME", "metadata.name"),
        env_field("SFUMATO_POD_UID", "metadata.uid"),
        env_field("SFUMATO_MEDIA_IP", "status.podIPs"),
        env_field("SFUMATO_PIPE_IP", "status.podIP"),
        env_field("SFUMATO_ADVERTISE_IP", "status.podIP"),
        // Variables, because a node of the release before would not start with an option that it does not know.
        env(
            "SFUMATO_FRONT_DOOR_TOKEN_FILE",
            format!("{}/{FRONT_DOOR_TOKEN}", pods::ADMIN_DIR),
        ),
        env(
            "SFUMATO_SECURE_LISTEN",
            format!("[::]:{}", wish.spec.ports.secure_client),
        ),
        env("SFUMATO_LOG_FIELDS", pods::log_fields(&wish.id)),
    ];
    match &wish.spec.redis.external {
        Some(external) => all.push(env("SFUMATO_REDIS_URL_FILE", access::redis_url_file(external))),
        None => {
            let file = format!("{}/{REDIS_PASSWORD}", pods::ADMIN_DIR);
            all.push(env("SFUMATO_REDIS_PASSWORD_FILE", file));
            // For a node of the release before, which does not know that file.
            let encoded = env_secret(REDIS_PASSWORD_VARIABLE, wish.id.secret(), REDIS_PASSWORD_ENCODED);
            all.push(encoded);
            // Kubernetes puts the variable before it in.
            let (host, namespace) = (wish.id.redis(), &wish.id.namespace);
            let url = format!("redis://:$({REDIS_PASSWORD_VARIABLE})@{host}.{namespace}.svc:{REDIS_PORT}");
            all.push(env("SFUMATO_REDIS_URL", url));
        }
    }
    if exposure::is_announced(&wish.spec) {
        let file = format!("{MEDIA_ADDRESSES_DIR}/{}", pods::ANNOTATION_FILE);
        all.push(env("SFUMATO_MEDIA_ANNOUNCED_FILE", file));
    }
    all.extend(access::ice_environment(&wish.spec.media.ice_servers));
    all.extend(wish.spec.env.iter().cloned());
    all
}

fn ports(spec: &SfuClusterSpec) -> Vec<ContainerPort> {
    let listeners = [
        ("client", spec.ports.client),
        ("client-secure", spec.ports.secure_client),
        ("admin", spec.ports.admin),
        ("health", spec.ports.health),
    ];
    let listeners = listeners.map(|(name, number)| container_port(name, number, "TCP"));
    let all = listeners.into_iter().chain(exposure::media_ports(spec));
    if is_on_host(spec) {
        all.map(exposure::on_host).collect()
    } else {
        all.collect()
    }
}
