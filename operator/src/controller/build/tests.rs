#![allow(clippy::unwrap_used)]
use super::*;
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use serde_json::{Value, json};

fn wish(name: &str, spec: Value) -> Wish {
    Wish {
        id: ClusterId {
            namespace: "media".to_owned(),
            name: name.to_owned(),
            uid: "8e2f6a52-0000-4000-8000-000000000001".to_owned(),
        },
        owner: OwnerReference {
            api_version: "sfumato.dev/v1alpha1".to_owned(),
            kind: "SfuCluster".to_owned(),
            name: name.to_owned(),
            uid: "8e2f6a52-0000-4000-8000-000000000001".to_owned(),
            controller: Some(true),
            block_owner_deletion: Some(true),
        },
        spec: serde_json::from_value(spec).unwrap(),
        redis_prefix: None,
    }
}

fn settings() -> Settings {
    Settings {
        node_image: "node:1".to_owned(),
        web_image: "web:1".to_owned(),
        redis_image: "redis:1".to_owned(),
        operator_namespace: Some("sfumato-system".to_owned()),
    }
}

/// Every child in the order in which they are applied.
fn objects(children: Children) -> Vec<Value> {
    let Children {
        account,
        nodes,
        nodes_service,
        media_services,
        budget,
        web,
        web_budget,
        web_service,
        redis,
        policies,
    } = children;
    let mut all = vec![json!(account), json!(nodes_service)];
    all.extend(media_services.iter().map(|service| json!(service)));
    all.extend(policies.iter().map(|policy| json!(policy)));
    if let Some(redis) = redis {
        let workload = match redis.workload {
            RedisWorkload::StatefulSet(set) => json!(set),
            RedisWorkload::Deployment(deployment) => json!(deployment),
        };
        all.extend([json!(redis.service), workload]);
    }
    all.extend(budget.map(|budget| json!(budget)));
    all.extend([json!(nodes), json!(web_service)]);
    all.extend(web_budget.map(|budget| json!(budget)));
    all.push(json!(web));
    all
}

/// A change of what these hold replaces the pods of every cluster that its owner lets be upgraded. Make it knowingly.
#[test]
fn the_children_of_manifests_are_what_they_were() {
    let manifests = [
        ("defaults", json!({})),
        (
            "one-node",
            json!({ "replicas": 1, "web": { "replicas": 1 }, "networkPolicy": { "enabled": false } }),
        ),
        (
            "external-redis",
            json!({ "redis": { "external": { "urlSecretRef": { "name": "redis", "key": "url" } } },
                    "mesh": { "lanes": 2, "fanOut": "Eager", "encryption": false }, "workersPerNode": 3 }),
        ),
        (
            "placed",
            json!({
                "image": "mine:2", "imagePullPolicy": "Never", "imagePullSecrets": [{ "name": "registry" }],
                "resources": { "limits": { "cpu": "1500m", "memory": "1Gi" } },
                "nodeSelector": { "media": "yes" }, "priorityClassName": "high",
                "tolerations": [{ "key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute" }],
                "topologySpreadConstraints": [{ "maxSkew": 1, "topologyKey": "rack", "whenUnsatisfiable": "DoNotSchedule" }],
                "env": [{ "name": "SFUMATO_LOG", "value": "debug" }],
                "podLabels": { "team": "media" }, "podAnnotations": { "note": "x" }, "userIds": "Platform",
                "web": { "pods": {
                    "nodeSelector": { "doors": "yes" }, "priorityClassName": "low", "tolerations": [{ "key": "doors" }],
                    "labels": { "team": "web", "app.kubernetes.io/component": "node" }, "annotations": { "note": "y" },
                    "affinity": { "nodeAffinity": { "preferredDuringSchedulingIgnoredDuringExecution": [] } },
                } },
                "redis": { "managed": { "pods": {
                    "nodeSelector": { "kubernetes.io/os": "other" }, "priorityClassName": "low", "labels": { "team": "redis" },
                } } },
            }),
        ),
        (
            "stored-redis",
            json!({
                "redis": { "managed": { "image": "redis:mine", "storage": { "size": "1Gi", "storageClassName": "fast" },
                                        "resources": { "requests": { "memory": "64Mi" } } } },
                "web": { "service": { "type": "LoadBalancer", "port": 80, "annotations": { "lb": "internal" } } },
                "media": { "port": 21000, "tcp": false }, "drain": { "deadline": "90s" },
            }),
        ),
        (
            "host-ports",
            json!({ "replicas": 1, "media": { "exposure": "HostPort" }, "redis": { "external": {
                        "urlSecretRef": { "name": "redis", "key": "url" } } } }),
        ),
        (
            "node-ports",
            json!({ "replicas": 2, "workersPerNode": 2, "media": { "exposure": "NodePort", "nodePortBase": 31000, "tcp": false },
                    "redis": { "external": { "urlSecretRef": { "name": "redis", "key": "url" } } } }),
        ),
        (
            "host-network",
            json!({ "replicas": 1, "media": { "exposure": "HostNetwork", "port": 21000 }, "mesh": { "portBase": 25000 },
                    "ports": { "client": 3101, "secureClient": 3543, "admin": 4101, "health": 5101 } }),
        ),
        (
            "load-balancers",
            json!({ "replicas": 2, "media": { "exposure": "LoadBalancer", "loadBalancer": {
                        "class": "example.net/fast", "annotations": { "example.net/name": "live-{ordinal}" }, "ip": "203.0.113.{ordinal}",
                        "sourceRanges": ["198.51.100.0/24"], "portBase": 443, "separateProtocols": true } },
                    "redis": { "external": { "urlSecretRef": { "name": "redis", "key": "url" } } } }),
        ),
        (
            "with-secrets",
            json!({
                "auth": { "mode": "Jwt", "secretRef": { "name": "tokens", "key": "secret" }, "issuer": "me$(A)" },
                "redis": { "external": { "urlSecretRef": { "name": "redis", "key": "url" },
                                         "caSecretRef": { "name": "redis", "key": "ca.crt" } } },
                "media": { "iceServers": [
                    { "urls": ["stun:stun.example.net"] },
                    { "urls": ["turn:turn.example.net:3478?transport=udp", "turns:turn.example.net"], "username": "u",
                      "credentialSecretRef": { "name": "turn", "key": "password" } },
                ] },
            }),
        ),
    ];
    for (name, spec) in manifests {
        insta::assert_yaml_snapshot!(name, objects(build(&wish(name, spec), &settings())));
    }
}

#[test]
fn the_same_wish_gives_the_same_objects() {
    let wish = wish("live", json!({ "replicas": 5, "podLabels": { "b": "1", "a": "2" } }));
    let text = || serde_json::to_string(&objects(build(&wish, &settings()))).unwrap();
    assert_eq!(text(), text());
}

#[test]
fn the_number_of_nodes_does_not_change_their_pods() {
    let template = |replicas| {
        let children = build(&wish("live", json!({ "replicas": replicas })), &settings());
        children.nodes.spec.unwrap().template
    };
    assert_eq!(template(3), template(32));
}

#[test]
fn every_child_belongs_to_its_cluster_and_is_found_by_its_labels() {
    for object in objects(build(&wish("live", json!({})), &settings())) {
        assert_eq!(
            object["metadata"]["ownerReferences"][0]["uid"],
            "8e2f6a52-0000-4000-8000-000000000001"
        );
        assert_eq!(
            object["metadata"]["labels"][MANAGED_BY], MANAGER,
            "{}",
            object["metadata"]["name"]
        );
        assert_eq!(object["metadata"]["labels"][INSTANCE], "live");
    }
}

#[test]
fn a_users_label_cannot_displace_one_that_pods_are_selected_by() {
    // The API server refuses such a manifest; one that was stored before the rule existed must do no harm either.
    let wish = wish("live", json!({ "podLabels": { "app.kubernetes.io/component": "web" } }));
    let labels = build(&wish, &settings())
        .nodes
        .spec
        .unwrap()
        .template
        .metadata
        .unwrap()
        .labels
        .unwrap();
    assert_eq!(labels["app.kubernetes.io/component"], "node");
}

/// Of nodes, front door and Redis.
fn templates(spec: Value) -> [PodTemplateSpec; 3] {
    let mut children = build(&wish("live", spec), &settings());
    let (_, redis) = children.redis.as_mut().unwrap().workload.parts_mut();
    let redis = redis.unwrap().clone();
    [
        children.nodes.spec.unwrap().template,
        children.web.spec.unwrap().template,
        redis,
    ]
}

#[test]
fn users_are_left_to_the_platform_where_the_manifest_says_so() {
    for (spec, user) in [(json!({}), true), (json!({ "userIds": "Platform" }), false)] {
        for template in templates(spec) {
            let security = template.spec.unwrap().security_context.unwrap();
            let ids = [security.run_as_user, security.run_as_group, security.fs_group];
            assert!(ids.iter().all(|id| id.is_some() == user), "{ids:?}");
            assert_eq!(security.run_as_non_root, Some(true), "and nobody is root");
        }
    }
}

#[test]
fn pods_run_on_hosts_that_can_run_them_and_as_the_manifest_says() {
    for template in templates(json!({})) {
        let selector = template.spec.unwrap().node_selector.unwrap();
        assert_eq!(
            selector.iter().collect::<Vec<_>>(),
            [(&"kubernetes.io/os".to_owned(), &"linux".to_owned())]
        );
    }
    let pods = json!({
        "nodeSelector": { "pool": "a" }, "priorityClassName": "high", "labels": { "team": "x", "app.kubernetes.io/name": "x" },
        "annotations": { "note": "y" }, "tolerations": [{ "key": "pool", "operator": "Exists" }],
        "affinity": { "nodeAffinity": { "preferredDuringSchedulingIgnoredDuringExecution": [] } },
    });
    let [_, web, redis] = templates(json!({ "web": { "pods": pods }, "redis": { "managed": { "pods": pods } } }));
    for (template, is_web) in [(web, true), (redis, false)] {
        let (metadata, pod) = (template.metadata.unwrap(), template.spec.unwrap());
        let labels = metadata.labels.unwrap();
        assert_eq!(
            (labels["team"].as_str(), labels["app.kubernetes.io/name"].as_str()),
            ("x", "sfumato")
        );
        assert_eq!(metadata.annotations.unwrap()["note"], "y");
        let selector = pod.node_selector.unwrap();
        assert_eq!(
            (selector["pool"].as_str(), selector["kubernetes.io/os"].as_str()),
            ("a", "linux")
        );
        assert_eq!(pod.priority_class_name.as_deref(), Some("high"));
        assert_eq!(pod.tolerations.unwrap().len(), 3, "and those of a lost host");
        let affinity = pod.affinity.unwrap();
        assert!(affinity.node_affinity.is_some());
        assert_eq!(
            affinity.pod_anti_affinity.is_some(),
            is_web,
            "front doors are apart all the same"
        );
    }
}

#[test]
fn front_doors_may_be_away_one_at_a_time_where_there_are_several() {
    let budget = |web: Value| {
        build(&wish("live", json!({ "web": web })), &settings())
            .web_budget
            .is_some()
    };
    assert!(budget(json!({})) && budget(json!({ "replicas": 3 })));
    assert!(!budget(json!({ "replicas": 1 })) && !budget(json!({ "replicas": 0 })));
}

#[test]
fn a_front_door_with_https_behind_a_load_balancer_is_what_it_was() {
    let service = json!({
        "type": "LoadBalancer", "port": 443, "nodePort": 30443, "loadBalancerClass": "example.com/internal",
        "loadBalancerSourceRanges": ["203.0.113.0/24", "2001:db8::/32"], "externalTrafficPolicy": "Local",
    });
    let web = json!({ "service": service, "tls": { "secretName": "door" } });
    let Children { web, web_service, .. } = build(&wish("live", json!({ "web": web })), &settings());
    insta::assert_yaml_snapshot!("front-door", [json!(web_service), json!(web)]);
}

#[test]
fn a_port_of_the_front_door_is_named_after_what_is_spoken_there_and_reaches_pods_of_before() {
    let port = |web: Value| {
        let children = build(&wish("live", json!({ "web": web })), &settings());
        let service = json!(children.web_service);
        service["spec"]["ports"][0].clone()
    };
    let plain = json!({ "name": "http", "port": 2020, "protocol": "TCP", "targetPort": "http" });
    assert_eq!(port(json!({})), plain);
    assert_eq!(
        port(json!({ "service": { "type": "NodePort", "nodePort": 0 } })),
        plain,
        "the API server chooses the port of hosts"
    );
    let secure = json!({ "name": "https", "port": 2020, "protocol": "TCP", "targetPort": "http" });
    assert_eq!(port(json!({ "tls": { "secretName": "door" } })), secure);
}

#[test]
fn a_deployment_and_a_stateful_set_of_redis_have_one_service_and_selectors_of_their_own() {
    let redis = |spec: Value| {
        let mut redis = build(&wish("live", spec), &settings()).redis.unwrap();
        let service = redis.service.spec.unwrap().selector.unwrap();
        let pod = redis.workload.parts_mut().1.unwrap().clone();
        let labels = pod.metadata.unwrap().labels.unwrap();
        assert!(
            service.iter().all(|(key, value)| labels.get(key) == Some(value)),
            "{labels:?}"
        );
        let selector = match redis.workload {
            RedisWorkload::StatefulSet(set) => set.spec.unwrap().selector,
            RedisWorkload::Deployment(deployment) => deployment.spec.unwrap().selector,
        };
        (selector.match_labels.unwrap(), labels)
    };
    let (memory, _) = redis(json!({}));
    let (stored, labels) = redis(json!({ "redis": { "managed": { "storage": { "size": "1Gi" } } } }));
    assert_ne!(memory, stored);
    assert!(
        !memory.iter().all(|(key, value)| labels.get(key) == Some(value)),
        "a Deployment would take the other's pod"
    );
}

#[test]
fn pods_meet_the_restricted_pod_security_standard() {
    for template in templates(json!({})) {
        let pod = template.spec.unwrap();
        let security = pod.security_context.unwrap();
        assert_eq!(security.run_as_non_root, Some(true));
        assert_eq!(security.seccomp_profile.unwrap().type_, "RuntimeDefault");
        assert_eq!(pod.automount_service_account_token, Some(false));
        for container in pod.containers {
            let security = container.security_context.unwrap();
            assert_eq!(security.allow_privilege_escalation, Some(false));
            assert_eq!(security.read_only_root_filesystem, Some(true));
            assert_eq!(security.capabilities.unwrap().drop.unwrap(), ["ALL"]);
        }
    }
}

#[test]
fn policies_let_in_what_runs_and_what_is_wanted() {
    let wish = wish(
        "live",
        json!({ "media": { "port": 21_000, "tcp": false }, "workersPerNode": 2 }),
    );
    let ports = |args: &Value| Ports::of(&Pod { args, on_host: false });
    let same =
        ports(&json!({ "media-port": "21000", "workers": "2", "media-tcp": "false", "pipe-ports": "24000-24099" }));
    let of_before = json!({ "media-port": "20000", "workers": "1", "media-tcp": "true", "pipe-ports": "30000-30099", "admin": 4101 });
    let before = ports(&of_before);
    let unread = ports(&json!({ "media-port": "20000" }));
    let open = |running: [Option<Ports>; 3], policy: usize| -> Vec<String> {
        let mut policies = policies(&wish, &settings(), running.into_iter().flatten());
        let rules = policies.remove(policy).spec.unwrap().ingress.unwrap();
        let all = rules.iter().flat_map(|rule| {
            let who = if rule.from.is_some() { "some" } else { "all" };
            rule.ports.iter().flatten().map(move |port| {
                let (protocol, first) = (port.protocol.as_ref().unwrap(), json!(port.port));
                format!("{who} {protocol} {first}-{}", port.end_port.unwrap_or_default())
            })
        });
        all.collect()
    };
    let wanted = [
        "all UDP 21000-21001",
        "all TCP 3001-0",
        "all TCP 5001-0",
        "some TCP 3443-0",
        "some UDP 24000-24099",
        "some TCP 4001-0",
    ];
    assert_eq!(open([same.clone(), None, unread], 0), wanted);
    let more = [
        "all UDP 20000-0",
        "all TCP 20000-0",
        "some UDP 30000-30099",
        "all TCP 3001-0",
        "all TCP 5001-0",
        "some TCP 3443-0",
        "some TCP 4101-0",
    ];
    let both = [&wanted[..], &more].concat();
    assert_eq!(open([before.clone(), same, before.clone()], 0), both);
    assert_eq!(open([before, None, None], 1), ["some TCP 6379-0"]);

    // No selector finds a pod in the network of its host.
    let on_host = Ports::of(&Pod {
        args: &of_before,
        on_host: true,
    });
    let to_front_doors = |rule: &&&str| **rule == "some TCP 3443-0";
    let (found, expected): (Vec<String>, _) = (
        open([on_host.clone(), None, None], 0),
        both.iter().filter(to_front_doors),
    );
    assert_eq!(
        found.iter().filter(|rule| rule.starts_with("some")).count(),
        expected.count()
    );
    assert_eq!(open([on_host, None, None], 1), ["all TCP 6379-0"]);
}

/// A pod that was made with such arguments.
struct Pod<'a> {
    args: &'a Value,
    on_host: bool,
}

impl Made for Pod<'_> {
    fn argument(&self, name: &str) -> Option<String> {
        self.args[name].as_str().map(str::to_owned)
    }

    fn port(&self, name: &str) -> Option<i32> {
        self.args[name].as_i64().and_then(|port| i32::try_from(port).ok())
    }

    fn is_on_host(&self) -> bool {
        self.on_host
    }
}
