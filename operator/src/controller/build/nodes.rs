//! The nodes: a StatefulSet whose pods the operator itself replaces (`OnDelete`), after it has emptied them.

use super::access;
use super::labels::{Component, labels, selector};
use super::pods::{self, env, env_field, env_secret, http_probe, mount, secret_volume};
use super::ports::{ADMIN_PORT, CLIENT_PORT, HEALTH_PORT, REDIS_PORT};
use super::secret_keys::{CA_CERT, REDIS_PASSWORD, TLS_CERT, TLS_KEY, TOKEN};
use super::wish::{Settings, Wish};
use crate::crd::{FanOut, PORTS_PER_NODE, SfuClusterSpec};
use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetSpec, StatefulSetUpdateStrategy};
use k8s_openapi::api::core::v1::{
    Affinity, ContainerPort, EnvVar, PodSpec, PodTemplateSpec, ResourceRequirements, ServiceAccount,
    TopologySpreadConstraint,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// Container of the media node in its pod.
const NODE_CONTAINER: &str = "sfu-node";
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
            pod_management_policy: Some("Parallel".to_owned()),
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
    let keys = [TOKEN, CA_CERT, TLS_CERT, TLS_KEY];
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
            annotations: (!spec.pod_annotations.is_empty()).then(|| spec.pod_annotations.clone()),
            ..ObjectMeta::default()
        }),
        spec: Some(PodSpec {
            service_account_name: Some(wish.id.nodes_service()),
            automount_service_account_token: Some(false),
            enable_service_links: Some(false),
            security_context: Some(pods::pod_security(pods::USER)),
            termination_grace_period_seconds: Some(i64::try_from(grace).unwrap_or(i64::MAX)),
            image_pull_secrets: pods::pull_secrets(wish),
            node_selector: (!spec.node_selector.is_empty()).then(|| spec.node_selector.clone()),
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
    let id = &wish.id;
    let last_pipe = spec.mesh.port_base + PORTS_PER_NODE - 1;
    let fan_out = match spec.mesh.fan_out {
        FanOut::OnDemand => "on-demand",
        FanOut::Eager => "eager",
    };
    let mut args = vec![
        format!("--cluster={}/{}/{}", id.namespace, id.name, id.uid),
        format!("--workers={}", workers(spec)),
        format!("--listen=[::]:{CLIENT_PORT}"),
        format!("--admin-listen=[::]:{ADMIN_PORT}"),
        format!("--health-listen=[::]:{HEALTH_PORT}"),
        format!("--admin-token-file={}/{TOKEN}", pods::ADMIN_DIR),
        format!("--admin-tls-cert={}/{TLS_CERT}", pods::ADMIN_DIR),
        format!("--admin-tls-key={}/{TLS_KEY}", pods::ADMIN_DIR),
        format!("--admin-ca={}/{CA_CERT}", pods::ADMIN_DIR),
        format!("--media-port={}", spec.media.port),
        format!("--media-tcp={}", spec.media.tcp),
        format!("--pipe-ports={}-{last_pipe}", spec.mesh.port_base),
        format!("--link-encryption={}", spec.mesh.encryption),
        format!("--beat-interval={}", spec.mesh.beat_interval),
        format!("--fan-out={fan_out}"),
        format!("--fan-out-idle-timeout={}", spec.mesh.fan_out_idle_timeout),
        format!("--drain-deadline={}", spec.drain.deadline),
        "--log-format=json".to_owned(),
    ];
    // Only what the manifest says: a number that follows from the replicas would replace every node when they change.
    if let Some(lanes) = spec.mesh.lanes {
        args.push(format!("--lanes={lanes}"));
    }
    args.extend(access::args(spec));
    args
}

/// What only the pod knows, and Redis.
fn environment(wish: &Wish) -> Vec<EnvVar> {
    let mut all = vec![
        env_field("SFUMATO_NAME", "metadata.name"),
        env_field("SFUMATO_POD_UID", "metadata.uid"),
        env_field("SFUMATO_MEDIA_IP", "status.podIPs"),
        env_field("SFUMATO_PIPE_IP", "status.podIP"),
        env_field("SFUMATO_ADVERTISE_IP", "status.podIP"),
    ];
    match &wish.spec.redis.external {
        Some(external) => {
            let from = &external.url_secret_ref;
            all.push(env_secret("SFUMATO_REDIS_URL", from.name.clone(), &from.key));
        }
        None => {
            all.push(env_secret("SFUMATO_REDIS_PASSWORD", wish.id.secret(), REDIS_PASSWORD));
            // Kubernetes puts the variable before it in.
            let (host, namespace) = (wish.id.redis(), &wish.id.namespace);
            let url = format!("redis://:$(SFUMATO_REDIS_PASSWORD)@{host}.{namespace}.svc:{REDIS_PORT}");
            all.push(env("SFUMATO_REDIS_URL", url));
        }
    }
    all.extend(access::ice_environment(&wish.spec.media.ice_servers));
    all.extend(wish.spec.env.iter().cloned());
    all
}

fn ports(spec: &SfuClusterSpec) -> Vec<ContainerPort> {
    let port = |name: &str, number: i32, protocol: &str| ContainerPort {
        name: Some(name.to_owned()),
        container_port: number,
        protocol: Some(protocol.to_owned()),
        ..ContainerPort::default()
    };
    vec![
        port("client", CLIENT_PORT, "TCP"),
        port("admin", ADMIN_PORT, "TCP"),
        port("health", HEALTH_PORT, "TCP"),
        port("media", spec.media.port, "UDP"),
    ]
}

/// Workers of each node: as many as it may use cores, unless the manifest says otherwise.
pub fn workers(spec: &SfuClusterSpec) -> i32 {
    spec.workers_per_node
        .unwrap_or_else(|| cores(spec.resources.as_ref()).clamp(1, 64))
}

/// Most lanes of a node pair, where the ports of a node bound them in a mesh of this size. What the manifest says of lanes
/// the nodes know themselves, from when they were started.
pub fn fitting_lanes(spec: &SfuClusterSpec) -> Option<u16> {
    let fit = PORTS_PER_NODE / (spec.replicas - 1).max(1);
    u16::try_from(fit).ok().filter(|_| fit < workers(spec))
}

/// Whole cores that a container may use: its limit, else what it asks for, else one.
fn cores(resources: Option<&ResourceRequirements>) -> i32 {
    let of = |which: fn(&ResourceRequirements) -> &Option<std::collections::BTreeMap<_, _>>| {
        which(resources?)
            .as_ref()?
            .get("cpu")
            .and_then(|quantity: &k8s_openapi::apimachinery::pkg::api::resource::Quantity| whole_cores(&quantity.0))
    };
    of(|r| &r.limits).or_else(|| of(|r| &r.requests)).unwrap_or(1)
}

/// `1500m` and `1.5` are two cores.
fn whole_cores(quantity: &str) -> Option<i32> {
    let (number, scale) = match quantity.strip_suffix('m') {
        Some(milli) => (milli, 1_000.0),
        None => (quantity, 1.0),
    };
    let cores = (number.parse::<f64>().ok()? / scale).ceil();
    #[allow(clippy::cast_possible_truncation)] // Bounded.
    (cores.is_finite() && cores > 0.0).then(|| cores.min(1_024.0) as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_are_bounded_only_where_ports_are_short() {
        let lanes = |replicas, workers| {
            let spec = serde_json::json!({ "replicas": replicas, "workersPerNode": workers });
            fitting_lanes(&serde_json::from_value(spec).expect("a valid spec"))
        };
        assert_eq!(
            (lanes(1, 64), lanes(3, 1), lanes(4, 1), lanes(32, 3)),
            (None, None, None, None)
        );
        assert_eq!((lanes(32, 4), lanes(3, 64)), (Some(3), Some(50)));
    }

    #[test]
    fn a_node_has_a_worker_for_each_core_that_it_may_use() {
        for (quantity, cores) in [("2", 2), ("1500m", 2), ("100m", 1), ("0.5", 1), ("3.0", 3)] {
            assert_eq!(whole_cores(quantity), Some(cores), "{quantity}");
        }
        for quantity in ["", "0", "x", "-1", "nan"] {
            assert_eq!(whole_cores(quantity), None, "{quantity}");
        }
    }
}
