#![allow(clippy::unwrap_used)]
use super::*;
use kube::CustomResourceExt;
use serde_json::{Value, json};

fn cluster(spec: Value) -> SfuCluster {
    SfuCluster::new("live", serde_json::from_value(spec).unwrap())
}

/// The path and message of the first rule that a spec breaks.
fn broken_rule(spec: Value) -> Option<String> {
    let errors = cluster(spec).validate_cel().err()?.into_vec();
    Some(format!("{}: {}", errors[0].field_path, errors[0].message))
}

fn schema() -> Value {
    serde_json::to_value(SfuCluster::crd()).unwrap()
}

#[test]
fn the_defaults_satisfy_every_rule_for_every_number_of_nodes() {
    for replicas in 1..=MAX_NODES {
        assert_eq!(broken_rule(json!({ "replicas": replicas })), None, "{replicas} nodes");
    }
}

#[test]
fn media_and_pipe_ports_may_touch_but_not_overlap() {
    let spec = |media, pipes| json!({ "replicas": 3, "media": { "port": media }, "mesh": { "portBase": pipes } });
    assert_eq!(broken_rule(spec(20_000, 20_300)), None);
    assert_eq!(broken_rule(spec(20_300, 20_000)), None);
    for (media, pipes) in [(20_000, 20_299), (20_000, 20_000), (20_299, 20_000)] {
        let broken = broken_rule(spec(media, pipes)).unwrap();
        assert!(
            broken.starts_with("spec.mesh.portBase: media.port and mesh.portBase are too close"),
            "{broken}"
        );
    }
}

#[test]
fn ports_stay_below_node_ports() {
    let broken = broken_rule(json!({ "replicas": 3, "media": { "port": 29_800 } })).unwrap();
    assert!(broken.starts_with("spec.media.port: "), "{broken}");
    let broken = broken_rule(json!({ "replicas": 3, "mesh": { "portBase": 29_701 } })).unwrap();
    assert!(broken.starts_with("spec.mesh.portBase: "), "{broken}");
    assert_eq!(
        broken_rule(json!({ "replicas": 3, "mesh": { "portBase": 29_700 } })),
        None
    );
}

#[test]
fn links_must_fit_the_ports_of_a_node() {
    let spec = |workers: Option<i32>, lanes: Option<i32>| json!({ "replicas": 32, "workersPerNode": workers, "mesh": { "lanes": lanes } });
    assert_eq!(broken_rule(spec(Some(3), None)), None);
    assert!(
        broken_rule(spec(Some(4), None))
            .unwrap()
            .starts_with("spec.workersPerNode: ")
    );
    assert!(
        broken_rule(spec(None, Some(4)))
            .unwrap()
            .starts_with("spec.mesh.lanes: ")
    );
    assert_eq!(broken_rule(spec(Some(4), Some(3))), None, "lanes limit the links");
    assert_eq!(broken_rule(spec(Some(3), Some(64))), None, "workers limit the links");
}

#[test]
fn redis_is_managed_or_external() {
    let external = json!({ "urlSecretRef": { "name": "redis", "key": "url" } });
    assert_eq!(broken_rule(json!({ "redis": {} })), None);
    assert_eq!(broken_rule(json!({ "redis": { "managed": {} } })), None);
    assert_eq!(broken_rule(json!({ "redis": { "external": external } })), None);
    let both = broken_rule(json!({ "redis": { "managed": {}, "external": external } }));
    assert_eq!(both.unwrap(), "spec.redis: choose one: managed or external");
}

#[test]
fn tokens_are_checked_with_exactly_one_kind_of_keys() {
    let from = json!({ "name": "keys", "key": "k" });
    let auth = |auth: Value| broken_rule(json!({ "auth": auth }));
    assert_eq!(auth(json!({})), None);
    assert_eq!(auth(json!({ "mode": "None" })), None);
    assert_eq!(auth(json!({ "mode": "Jwt", "secretRef": from })), None);
    assert_eq!(
        auth(json!({ "mode": "Jwt", "jwksSecretRef": from, "issuer": "me", "audience": "you" })),
        None
    );
    for bad in [
        json!({ "mode": "Jwt" }),
        json!({ "mode": "Jwt", "secretRef": from, "jwksSecretRef": from }),
    ] {
        assert!(
            auth(bad)
                .unwrap()
                .starts_with("spec.auth: mode Jwt needs exactly one of")
        );
    }
    for bad in [
        json!({ "secretRef": from }),
        json!({ "jwksSecretRef": from }),
        json!({ "issuer": "me" }),
        json!({ "mode": "None", "audience": "you" }),
    ] {
        assert!(auth(bad).unwrap().contains("set mode to Jwt"));
    }
}

#[test]
fn a_turn_server_has_a_user_name_and_a_password() {
    let from = json!({ "name": "turn", "key": "k" });
    let server = |server: Value| broken_rule(json!({ "media": { "iceServers": [server] } }));
    assert_eq!(server(json!({ "urls": ["stun:a", "stuns:a:3478"] })), None);
    assert_eq!(
        server(json!({ "urls": ["turn:a"], "username": "u", "credentialSecretRef": from })),
        None
    );
    let broken = server(json!({ "urls": ["stun:a", "turn:a"] })).unwrap();
    assert_eq!(
        broken,
        "spec.media.iceServers[0]: a TURN server needs username and credentialSecretRef, or sharedSecretRef"
    );
    for bad in [
        json!({ "urls": ["stun:a"], "username": "u" }),
        json!({ "urls": ["stun:a"], "credentialSecretRef": from }),
    ] {
        assert!(
            server(bad)
                .unwrap()
                .ends_with("username and credentialSecretRef come together")
        );
    }
}

#[test]
fn labels_and_annotations_of_the_operators_own_are_refused() {
    for field in ["podLabels", "podAnnotations"] {
        assert_eq!(
            broken_rule(json!({ field: { "team": "media", "example.com/a": "b" } })),
            None
        );
        for key in ["app.kubernetes.io/name", "sfumato.dev/drain"] {
            let broken = broken_rule(json!({ field: { key: "x" } })).unwrap();
            assert!(broken.starts_with(&format!("spec.{field}: keys under")), "{broken}");
        }
    }
    for field in ["labels", "annotations"] {
        let pods = json!({ field: { "sfumato.dev/x": "x" } });
        let broken = broken_rule(json!({ "web": { "pods": pods } })).unwrap();
        assert!(
            broken.starts_with(&format!("spec.web.pods.{field}: keys under")),
            "{broken}"
        );
        let broken = broken_rule(json!({ "redis": { "managed": { "pods": pods } } })).unwrap();
        assert!(
            broken.starts_with(&format!("spec.redis.managed.pods.{field}: keys under")),
            "{broken}"
        );
    }
}

#[test]
fn variables_that_the_operator_sets_are_refused() {
    let env = |name: &str| json!({ "env": [{ "name": name, "value": "x" }] });
    assert_eq!(broken_rule(env("SFUMATO_LOG")), None);
    for name in [
        "SFUMATO_NAME",
        "SFUMATO_FRONT_DOOR_TOKEN_FILE",
        "SFUMATO_SECURE_LISTEN",
        "SFUMATO_LOG_FIELDS",
        "SFUMATO_REDIS_URL",
        "SFUMATO_AUTH_ISSUER",
        "SFUMATO_ICE_SERVERS",
    ] {
        assert!(broken_rule(env(name)).unwrap().starts_with("spec.env: "), "{name}");
    }
}

#[test]
fn names_leave_room_for_what_is_made_from_them() {
    let named = |name: &str| SfuCluster::new(name, SfuClusterSpec::default()).validate_cel();
    for name in ["live", "a", "live-1", &"a".repeat(40)] {
        assert!(named(name).is_ok(), "{name}");
    }
    for name in ["Live", "live-"] {
        assert!(
            named(name).is_ok(),
            "{name}: Kubernetes itself refuses it, and one complaint is enough"
        );
    }
    for name in ["1live", "live.tv", &"a".repeat(41)] {
        let error = named(name).unwrap_err();
        assert!(error.to_string().contains("at most 40"), "{error}");
    }
}

#[test]
fn fields_of_the_front_doors_service_go_with_its_type() {
    let service = |service: Value| broken_rule(json!({ "web": { "service": service } }));
    let (class, ranges) = ("example.com/internal", ["203.0.113.0/24", "2001:db8::/32"]);
    let all = json!({
        "type": "LoadBalancer", "loadBalancerClass": class, "loadBalancerSourceRanges": ranges,
        "nodePort": 30080, "externalTrafficPolicy": "Local",
    });
    assert_eq!(service(all), None);
    assert_eq!(
        service(json!({ "type": "NodePort", "nodePort": 30080, "externalTrafficPolicy": "Cluster" })),
        None
    );
    assert_eq!(service(json!({ "nodePort": 0 })), None);
    for kind in ["ClusterIP", "NodePort"] {
        for (field, value) in [
            ("loadBalancerClass", json!(class)),
            ("loadBalancerSourceRanges", json!(ranges)),
        ] {
            let broken = service(json!({ "type": kind, field: value })).unwrap();
            let wanted = format!("spec.web.service.{field}: {field} is for type LoadBalancer only");
            assert!(broken.starts_with(&wanted), "{broken}");
        }
    }
    for (field, value) in [("nodePort", json!(30080)), ("externalTrafficPolicy", json!("Local"))] {
        let broken = service(json!({ field: value })).unwrap();
        let wanted = format!("spec.web.service.{field}: {field} is for types NodePort and LoadBalancer only");
        assert!(broken.starts_with(&wanted), "{broken}");
    }
}

#[test]
fn classes_and_networks_of_a_load_balancer_have_a_form() {
    let service = |field: &str, value: Value| {
        broken_rule(json!({ "web": { "service": { "type": "LoadBalancer", field: value } } }))
    };
    for good in ["tailscale", "service.k8s.aws/nlb", "a/B_1.2-c"] {
        assert_eq!(service("loadBalancerClass", json!(good)), None, "{good}");
    }
    for bad in ["", "-a", "a/b/c", "A.example/b", &"a".repeat(64)] {
        let broken = service("loadBalancerClass", json!(bad)).unwrap();
        assert!(
            broken.starts_with("spec.web.service.loadBalancerClass: must be the name of a class"),
            "{broken}"
        );
    }
    for bad in ["203.0.113.7", "203.0.113.0/33", "all"] {
        let broken = service("loadBalancerSourceRanges", json!(["0.0.0.0/0", bad])).unwrap();
        assert!(
            broken.starts_with("spec.web.service.loadBalancerSourceRanges[1]: must be a network"),
            "{broken}"
        );
    }
}

#[test]
fn https_of_the_front_door_names_a_secret() {
    let tls = |name: &str| broken_rule(json!({ "web": { "tls": { "secretName": name } } }));
    assert_eq!(tls("front-door.tls"), None);
    for bad in ["", "Front_Door"] {
        let broken = tls(bad).unwrap();
        assert!(
            broken.starts_with("spec.web.tls.secretName: must be the name of a Secret"),
            "{broken}"
        );
    }
}

#[test]
fn scaling_goes_by_replicas_and_by_a_selector_in_the_status() {
    let scale = schema()
        .pointer("/spec/versions/0/subresources/scale")
        .cloned()
        .unwrap();
    assert_eq!(
        scale,
        json!({ "specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas",
                "labelSelectorPath": ".status.selector" })
    );
}

#[test]
fn quantities_may_be_numbers_or_texts() {
    let spec: SfuClusterSpec =
        serde_json::from_value(json!({ "resources": { "limits": { "cpu": 2, "memory": "1Gi" } } })).unwrap();
    let limits = spec.resources.unwrap().limits.unwrap();
    assert_eq!((limits["cpu"].0.as_str(), limits["memory"].0.as_str()), ("2", "1Gi"));
}

#[test]
fn what_is_no_quantity_is_refused_with_an_example() {
    let limits = |memory: Value| broken_rule(json!({ "resources": { "limits": { "memory": memory } } }));
    for good in [json!("1Gi"), json!("0.5G"), json!(1024), json!("0")] {
        assert_eq!(limits(good.clone()), None, "{good}");
    }
    for bad in ["512mb", "much", "-1Gi", ""] {
        let broken = limits(json!(bad)).unwrap();
        assert!(
            broken.starts_with("spec.resources.limits.memory: must be a quantity of 0 or more"),
            "{broken}"
        );
    }
}

#[test]
fn durations_have_bounds() {
    for (field, low, high, bad) in [
        ("beatInterval", "100ms", "5s", "99ms"),
        ("linkGrace", "2s", "10m", "10m1s"),
        ("fanOutIdleTimeout", "1s", "1h", "0s"),
    ] {
        let spec = |value: &str| json!({ "mesh": { field: value } });
        assert_eq!(broken_rule(spec(low)), None);
        assert_eq!(broken_rule(spec(high)), None);
        let broken = broken_rule(spec(bad)).unwrap();
        let wanted = format!("spec.mesh.{field}: must be a duration with its unit between {low} and {high}, such as ");
        assert!(broken.starts_with(&wanted), "{broken}");
    }
}

#[test]
fn numbers_in_rules_and_bounds_are_those_of_the_constants() {
    let text = serde_json::to_string(&schema()).unwrap();
    assert!(text.contains(&format!(
        "self.media.port + {PORTS_PER_NODE} * self.replicas <= {FIRST_RESERVED_PORT}"
    )));
    let maximum = schema()
        .pointer("/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/replicas/maximum")
        .and_then(Value::as_f64);
    assert_eq!(maximum, Some(f64::from(MAX_NODES)));
}

#[test]
fn kubectl_get_prints_what_one_asks_first() {
    let columns = schema()["spec"]["versions"][0]["additionalPrinterColumns"].clone();
    let names: Vec<String> = columns
        .as_array()
        .unwrap()
        .iter()
        .map(|c| c["name"].as_str().unwrap().to_uppercase())
        .collect();
    assert_eq!(
        names,
        [
            "READY", "NODES", "MESH", "STREAMS", "VIEWERS", "LOAD", "VERSION", "REDIS", "AGE"
        ],
        "after NAME, which is always first"
    );
    let wide = columns.as_array().unwrap().iter().filter(|c| c["priority"] == 1);
    assert_eq!(wide.count(), 4, "from VIEWERS to REDIS: only with -o wide");
    assert_eq!(schema()["spec"]["names"]["shortNames"], json!(["sfu"]));
}

#[test]
fn the_schema_has_only_formats_that_the_api_server_knows() {
    fn formats(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                if let Some(format) = fields.get("format").and_then(Value::as_str) {
                    found.push(format.to_owned());
                }
                fields.values().for_each(|v| formats(v, found));
            }
            Value::Array(items) => items.iter().for_each(|v| formats(v, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    formats(&schema(), &mut found);
    found.retain(|f| !["int32", "int64", "date-time"].contains(&f.as_str()));
    assert_eq!(found, Vec::<String>::new());
}
