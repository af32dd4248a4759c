//! `sfu-operator manifests`: what Kubernetes needs to run the operator, with the least rights that it can work with.

use crate::cli::INSTALLATION_NAME;
use crate::cli::{Access, ManifestsArgs};
use crate::controller::build::MANAGER;
use crate::crd::pods::UserIds;
use crate::crds::{self, CrdsError, Sorted};
use serde_json::{Value, json};

/// Label of everything that an operator is made of. Its value is the same for all installations.
const LABEL: &str = "app.kubernetes.io/name";
/// Label that tells the installations in one namespace apart.
const INSTALLATION: &str = "app.kubernetes.io/instance";
/// User and group of the operator's image.
const USER: i64 = 65_532;
/// Port of health and metrics.
const PORT: u16 = 8080;

/// The option of `run` that needs a right more.
const PROXY: &str = "--node-access=proxy";

/// All of it as YAML documents.
///
/// # Errors
/// When something cannot be written as YAML.
pub fn yaml(args: &ManifestsArgs) -> Result<String, CrdsError> {
    let documents = documents(args);
    let texts: Result<Vec<String>, CrdsError> = documents
        .iter()
        .map(|document| serde_saphyr::to_string(&Sorted(document)).map_err(|e| CrdsError::Yaml(e.to_string())))
        .collect();
    Ok(texts?.join("---\n"))
}

fn documents(args: &ManifestsArgs) -> Vec<Value> {
    let access = access(args);
    let mut all = vec![
        crds::definition(),
        json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": {
                "name": args.namespace,
                "labels": { "pod-security.kubernetes.io/enforce": "restricted" },
            },
        }),
        json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": own(args) }),
    ];
    all.extend(rights(args, "Role", &own(args), &own_rules(args)));
    // Outside of its own namespace the names say whose the rights are: a second installation gets rights of its own there, and
    // takes nobody's.
    let name = format!("{}:{}", args.namespace, args.name);
    if args.watch_namespaces.is_empty() {
        let metadata = json!({ "name": name, "labels": all_labels(args) });
        all.extend(rights(args, "ClusterRole", &metadata, &rules(access)));
    }
    if args.kubernetes_nodes {
        let metadata = json!({ "name": format!("{name}:kubernetes-nodes"), "labels": all_labels(args) });
        all.extend(rights(args, "ClusterRole", &metadata, &[of_kubernetes_nodes()]));
    }
    for namespace in &args.watch_namespaces {
        let metadata = json!({ "name": name, "namespace": namespace, "labels": all_labels(args) });
        all.extend(rights(args, "Role", &metadata, &rules(access)));
    }
    all.push(deployment(args));
    all
}

/// A role, and the binding of the same name that gives it to the operator.
fn rights(args: &ManifestsArgs, kind: &str, metadata: &Value, rules: &[Value]) -> [Value; 2] {
    let group = "rbac.authorization.k8s.io";
    let version = format!("{group}/v1");
    let binding = json!({
        "apiVersion": version, "kind": format!("{kind}Binding"), "metadata": metadata,
        "roleRef": { "apiGroup": group, "kind": kind, "name": metadata["name"] },
        "subjects": [{ "kind": "ServiceAccount", "name": args.name, "namespace": args.namespace }],
    });
    let role = json!({ "apiVersion": version, "kind": kind, "metadata": metadata, "rules": rules });
    [role, binding]
}

/// Also where it was asked for by `--arg`, or the operator would lack a right.
fn access(args: &ManifestsArgs) -> Access {
    if args.args.iter().any(|arg| arg == PROXY) {
        Access::Proxy
    } else {
        args.node_access
    }
}

/// What the operator may do in the namespaces that it looks after.
fn rules(access: Access) -> Vec<Value> {
    let mut rules = usual_rules();
    if access == Access::Proxy {
        // Whoever has it can send any request to any port of any pod there.
        rules.push(
            json!({ "apiGroups": [""], "resources": ["pods/proxy"], "verbs": ["get", "create", "update", "delete"] }),
        );
    }
    rules
}

fn usual_rules() -> Vec<Value> {
    vec![
        json!({ "apiGroups": ["sfumato.dev"], "resources": ["sfuclusters"], "verbs": ["get", "list", "watch"] }),
        json!({ "apiGroups": ["sfumato.dev"], "resources": ["sfuclusters/status"], "verbs": ["patch"] }),
        // Owner references block the deletion of their owner, which needs this where the admission plugin is on.
        json!({ "apiGroups": ["sfumato.dev"], "resources": ["sfuclusters/finalizers"], "verbs": ["update"] }),
        json!({ "apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch", "patch", "delete"] }),
        // Whether the namespace is being deleted. A role in a namespace gives it for that one only.
        json!({ "apiGroups": [""], "resources": ["namespaces"], "verbs": ["get"] }),
        json!({ "apiGroups": [""], "resources": ["pods/eviction"], "verbs": ["create"] }),
        json!({ "apiGroups": [""], "resources": ["services", "serviceaccounts"], "verbs": children() }),
        // No list and no watch: they would show every Secret.
        json!({ "apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "create", "patch"] }),
        // Why a StatefulSet makes no pods is told in events only.
        json!({ "apiGroups": [""], "resources": ["events"], "verbs": ["list"] }),
        json!({ "apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["create", "patch"] }),
        json!({ "apiGroups": ["apps"], "resources": ["statefulsets", "deployments"], "verbs": children() }),
        // Left by a Redis whose Deployment somebody has deleted without its pods.
        json!({ "apiGroups": ["apps"], "resources": ["replicasets"], "verbs": ["get", "delete"] }),
        // Whose volume Redis would find, and an old one of its own.
        json!({ "apiGroups": [""], "resources": ["persistentvolumeclaims"], "verbs": ["get", "delete"] }),
        json!({ "apiGroups": ["policy"], "resources": ["poddisruptionbudgets"], "verbs": children() }),
        json!({ "apiGroups": ["networking.k8s.io"], "resources": ["networkpolicies"], "verbs": children() }),
    ]
}

/// Whose addresses clients are told, where a manifest says so. They are in no namespace.
fn of_kubernetes_nodes() -> Value {
    json!({ "apiGroups": [""], "resources": ["nodes"], "verbs": ["get"] })
}

fn children() -> Value {
    json!(["get", "list", "watch", "create", "patch", "delete"])
}

/// What it may do in its own namespace: hold its Lease.
fn own_rules(args: &ManifestsArgs) -> Vec<Value> {
    vec![
        json!({ "apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["create"] }),
        json!({
            "apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "resourceNames": [args.name],
            "verbs": ["get", "update"],
        }),
    ]
}

fn deployment(args: &ManifestsArgs) -> Value {
    let mut options = vec![
        "run".to_owned(),
        "--log-format=json".to_owned(),
        "--identity=$(POD_NAME)".to_owned(),
        "--namespace=$(POD_NAMESPACE)".to_owned(),
    ];
    if args.name != INSTALLATION_NAME {
        options.push(format!("--name={}", args.name));
    }
    if !args.watch_namespaces.is_empty() {
        options.push(format!("--watch-namespaces={}", args.watch_namespaces.join(",")));
    }
    if args.node_access == Access::Proxy {
        options.push(PROXY.to_owned());
    }
    options.extend(args.args.iter().cloned());
    let field = |name: &str, path: &str| json!({ "name": name, "valueFrom": { "fieldRef": { "fieldPath": path } } });
    let probe = |path: &str, period: u32| json!({ "httpGet": { "path": path, "port": "health" }, "periodSeconds": period, "timeoutSeconds": 2 });
    let pods = &args.pods;
    let mut security = json!({ "runAsNonRoot": true, "seccompProfile": { "type": "RuntimeDefault" } });
    if pods.user_ids == UserIds::Fixed {
        security["runAsUser"] = json!(USER);
        security["runAsGroup"] = json!(USER);
    }
    let apart = json!({ "podAntiAffinity": { "preferredDuringSchedulingIgnoredDuringExecution": [{
        "weight": 100,
        "podAffinityTerm": {
            "topologyKey": "kubernetes.io/hostname", "labelSelector": { "matchLabels": labels(args) },
        },
    }] } });
    let mut deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": own(args),
        "spec": {
            "replicas": args.replicas,
            "selector": { "matchLabels": labels(args) },
            "template": {
                "metadata": { "labels": with(all_labels(args), &pods.pod_labels) },
                "spec": {
                    "serviceAccountName": args.name,
                    "securityContext": security,
                    "nodeSelector": with(json!({ "kubernetes.io/os": "linux" }), &pods.node_selector),
                    "terminationGracePeriodSeconds": 15,
                    "containers": [{
                        "name": args.name,
                        "image": args.image,
                        "args": options,
                        "env": [field("POD_NAME", "metadata.name"), field("POD_NAMESPACE", "metadata.namespace")],
                        "ports": [{ "name": "health", "containerPort": PORT }],
                        "livenessProbe": probe("/livez", 10),
                        "readinessProbe": probe("/readyz", 2),
                        "resources": pods.resources(),
                        "securityContext": {
                            "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
                            "capabilities": { "drop": ["ALL"] },
                        },
                    }],
                    "affinity": pods.affinity.as_ref().unwrap_or(&apart),
                },
            },
        },
    });
    let template = &mut deployment["spec"]["template"];
    if !pods.pod_annotations.is_empty() {
        template["metadata"]["annotations"] = with(json!({}), &pods.pod_annotations);
    }
    let pod = &mut template["spec"];
    let secrets: Vec<Value> = pods
        .image_pull_secrets
        .iter()
        .map(|name| json!({ "name": name }))
        .collect();
    for (field, values) in [
        ("tolerations", json!(pods.tolerations)),
        ("topologySpreadConstraints", json!(pods.topology_spread)),
        ("imagePullSecrets", json!(secrets)),
    ] {
        if values != json!([]) {
            pod[field] = values;
        }
    }
    if let Some(class) = &pods.priority_class {
        pod["priorityClassName"] = json!(class);
    }
    if let Some(policy) = pods.image_pull_policy {
        pod["containers"][0]["imagePullPolicy"] = json!(policy);
    }
    deployment
}

/// Metadata of what is in the operator's own namespace.
fn own(args: &ManifestsArgs) -> Value {
    json!({ "name": args.name, "namespace": args.namespace, "labels": all_labels(args) })
}

/// Labels of all objects.
fn all_labels(args: &ManifestsArgs) -> Value {
    with(labels(args), &args.pods.labels)
}

/// A map with further entries.
fn with(mut map: Value, more: &[(String, String)]) -> Value {
    for (key, value) in more {
        map[key] = json!(value);
    }
    map
}

/// The Deployment's selector cannot be changed: an installation of the usual name has the label that it always had.
fn labels(args: &ManifestsArgs) -> Value {
    let mut labels = json!({ LABEL: MANAGER });
    if args.name != INSTALLATION_NAME {
        labels[INSTALLATION] = json!(args.name);
    }
    labels
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::documents;
    use crate::cli::{Cli, Command};
    use clap::Parser;
    use serde_json::Value;
    use std::collections::BTreeSet;

    fn printed(options: &[&str]) -> String {
        let Cli { command } = Cli::parse_from([&["sfu-operator", "manifests"], options].concat());
        let Command::Manifests(args) = command else {
            panic!("`manifests` is another command");
        };
        serde_json::to_string(&documents(&args)[1..]).unwrap()
    }

    #[test]
    fn the_right_to_reach_pods_through_the_api_server_is_given_to_who_asks_for_it() {
        for options in [&[][..], &["--watch-namespaces=media"]] {
            assert!(!printed(options).contains("pods/proxy"), "{options:?}");
        }
        for options in [
            &["--node-access=proxy"][..],
            &["--arg=--node-access=proxy"],
            &["--node-access=proxy", "--watch-namespaces=media,more"],
        ] {
            let text = printed(options);
            assert!(text.contains("pods/proxy"), "{options:?}");
            assert_eq!(text.matches("--node-access=proxy").count(), 1, "{options:?}");
        }
    }

    fn documents_of(options: &[&str]) -> Vec<Value> {
        serde_json::from_str(&printed(options)).unwrap()
    }

    /// Kind, namespace and name, which tell objects apart.
    fn named(documents: &[Value]) -> BTreeSet<[String; 3]> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let metadata = |it: &Value| [&it["kind"], &it["metadata"]["namespace"], &it["metadata"]["name"]].map(text);
        documents.iter().map(metadata).collect()
    }

    #[test]
    fn a_second_installation_takes_nothing_from_the_first() {
        for [one, other] in [
            [&[][..], &["--namespace=mine"]],
            [
                &["--watch-namespaces=media"],
                &["--watch-namespaces=media", "--namespace=mine"],
            ],
            [
                &["--watch-namespaces=media"],
                &["--watch-namespaces=media", "--name=second"],
            ],
            [&[], &["--name=second"]],
        ] {
            let (one, other) = (named(&documents_of(one)), named(&documents_of(other)));
            let shared: Vec<_> = one.intersection(&other).filter(|it| it[0] != "Namespace").collect();
            assert_eq!(shared, Vec::<&[String; 3]>::new());
        }
    }

    #[test]
    fn an_installation_with_a_name_has_a_lease_and_pods_of_its_own() {
        let text = printed(&["--name=second"]);
        assert!(text.contains(r#""resourceNames":["second"]"#), "{text}");
        assert!(text.contains(r#""--name=second""#), "{text}");
        assert_eq!(
            text.matches(r#""app.kubernetes.io/instance":"second""#).count(),
            9,
            "{text}"
        );
        assert!(
            !printed(&[]).contains("app.kubernetes.io/instance"),
            "a selector cannot be changed"
        );
    }

    #[test]
    fn the_operator_runs_where_and_as_whom_it_is_told() {
        let usual = printed(&[]);
        for words in [r#""nodeSelector":{"kubernetes.io/os":"linux"}"#, r#""runAsUser":65532"#] {
            assert!(usual.contains(words), "{usual}");
        }
        for word in ["tolerations", "priorityClassName"] {
            assert!(!usual.contains(word), "{usual}");
        }
        let text = printed(&[
            "--node-selector=pool=system",
            "--toleration=dedicated=system:NoSchedule",
            "--toleration=spot",
            "--priority-class=high",
            "--user-ids=platform",
        ]);
        for words in [
            r#""pool":"system""#,
            r#"{"effect":"NoSchedule","key":"dedicated","operator":"Equal","value":"system"}"#,
            r#"{"key":"spot","operator":"Exists"}"#,
            r#""priorityClassName":"high""#,
        ] {
            assert!(text.contains(words), "{words} is not in {text}");
        }
        assert!(
            !text.contains("runAsUser") && text.contains(r#""runAsNonRoot":true"#),
            "{text}"
        );
    }

    #[test]
    fn the_operators_pods_get_what_they_are_told() {
        let text = printed(&[
            "--request=cpu=100m",
            "--limit=memory=",
            "--limit=cpu=2",
            "--label=team=media",
            "--pod-label=stage=live",
            "--pod-annotation=note=x",
            "--image-pull-policy=Always",
            "--image-pull-secret=registry",
            "--affinity={nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: []}}}",
            r#"--topology-spread={"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}"#,
        ]);
        for words in [
            r#""resources":{"requests":{"cpu":"100m","memory":"64Mi"},"limits":{"cpu":"2"}}"#,
            r#""labels":{"app.kubernetes.io/name":"sfu-operator","team":"media","stage":"live"}"#,
            r#""annotations":{"note":"x"}"#,
            r#""imagePullPolicy":"Always""#,
            r#""imagePullSecrets":[{"name":"registry"}]"#,
            r#""topologySpreadConstraints":[{"maxSkew":1,"#,
            r#""affinity":{"nodeAffinity":"#,
            r#""selector":{"matchLabels":{"app.kubernetes.io/name":"sfu-operator"}}"#,
        ] {
            assert!(text.contains(words), "{words} is not in {text}");
        }
        assert!(!text.contains("podAntiAffinity"), "{text}");
        assert_eq!(text.matches(r#""team":"media""#).count(), 7, "{text}");
        let none = printed(&["--request=cpu=", "--request=memory=", "--limit=memory="]);
        assert!(none.contains(r#""resources":{}"#), "{none}");
    }

    #[test]
    fn what_means_nothing_is_refused_with_an_example() {
        for (option, words) in [
            ("--request=cpu", "cpu=500m"),
            ("--limit=memory=much", "`much` is no quantity"),
            ("--label=app.kubernetes.io/name=x", "are the operator's own"),
            ("--pod-annotation=x", "KEY=VALUE"),
            ("--image-pull-policy=Sometimes", "IfNotPresent"),
            (
                "--affinity={nodeAffinity: {required: []}}",
                "no field nodeAffinity.required",
            ),
            ("--affinity=x", "invalid value 'x'"),
            ("--topology-spread={maxSkew: 1, topology: x}", "topology"),
            ("--node-selector=pool", "KEY=VALUE"),
            ("--toleration==x", "KEY=VALUE:EFFECT"),
            ("--toleration=x:Never", "NoExecute"),
        ] {
            let refused = Cli::try_parse_from(["sfu-operator", "manifests", option])
                .unwrap_err()
                .to_string();
            assert!(refused.contains(words), "{refused}");
        }
    }
}
