//! `sfu-operator manifests`: what Kubernetes needs to run the operator, with the least rights that it can work with.

use crate::cli::{Access, ManifestsArgs};
use crate::controller::LEASE;
use crate::crd::SfuCluster;
use crate::crd::pods::UserIds;
use crate::crds::{CrdsError, Sorted};
use kube::CustomResourceExt;
use serde_json::{Value, json};

/// Name of everything that the operator itself is made of.
const NAME: &str = "sfu-operator";
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
        serde_json::to_value(SfuCluster::crd()).unwrap_or_default(),
        json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": {
                "name": args.namespace,
                "labels": { "pod-security.kubernetes.io/enforce": "restricted" },
            },
        }),
        json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": named(&args.namespace) }),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": named(&args.namespace),
            "rules": own_rules(),
        }),
        binding("RoleBinding", "Role", Some(&args.namespace), &args.namespace),
    ];
    if args.watch_namespaces.is_empty() {
        all.push(json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
            "metadata": { "name": NAME, "labels": labels() }, "rules": rules(access),
        }));
        all.push(binding("ClusterRoleBinding", "ClusterRole", None, &args.namespace));
    }
    for namespace in &args.watch_namespaces {
        let mut metadata = named(namespace);
        metadata["name"] = json!("sfu-operator-clusters");
        all.push(json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": metadata, "rules": rules(access),
        }));
        let mut binding = binding("RoleBinding", "Role", Some(namespace), &args.namespace);
        binding["metadata"]["name"] = json!("sfu-operator-clusters");
        binding["roleRef"]["name"] = json!("sfu-operator-clusters");
        all.push(binding);
    }
    all.push(deployment(args));
    all
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
        json!({ "apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch", "delete"] }),
        json!({ "apiGroups": [""], "resources": ["pods/eviction"], "verbs": ["create"] }),
        json!({ "apiGroups": [""], "resources": ["services", "serviceaccounts"], "verbs": children() }),
        // No list and no watch: they would show every Secret.
        json!({ "apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "create", "patch"] }),
        // Why a StatefulSet makes no pods is told in events only.
        json!({ "apiGroups": [""], "resources": ["events"], "verbs": ["list"] }),
        json!({ "apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["create", "patch"] }),
        json!({ "apiGroups": ["apps"], "resources": ["statefulsets", "deployments"], "verbs": children() }),
        json!({ "apiGroups": ["policy"], "resources": ["poddisruptionbudgets"], "verbs": children() }),
        json!({ "apiGroups": ["networking.k8s.io"], "resources": ["networkpolicies"], "verbs": children() }),
    ]
}

fn children() -> Value {
    json!(["get", "list", "watch", "create", "patch", "delete"])
}

/// What it may do in its own namespace: hold its Lease.
fn own_rules() -> Value {
    json!([
        { "apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["create"] },
        {
            "apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "resourceNames": [LEASE],
            "verbs": ["get", "update"],
        },
    ])
}

fn binding(kind: &str, role: &str, namespace: Option<&str>, operator: &str) -> Value {
    let mut metadata = json!({ "name": NAME, "labels": labels() });
    if let Some(namespace) = namespace {
        metadata["namespace"] = json!(namespace);
    }
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": metadata,
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": role, "name": NAME },
        "subjects": [{ "kind": "ServiceAccount", "name": NAME, "namespace": operator }],
    })
}

fn deployment(args: &ManifestsArgs) -> Value {
    let mut options = vec![
        "run".to_owned(),
        "--log-format=json".to_owned(),
        "--identity=$(POD_NAME)".to_owned(),
        "--namespace=$(POD_NAMESPACE)".to_owned(),
    ];
    if !args.watch_namespaces.is_empty() {
        options.push(format!("--watch-namespaces={}", args.watch_namespaces.join(",")));
    }
    if args.node_access == Access::Proxy {
        options.push(PROXY.to_owned());
    }
    options.extend(args.args.iter().cloned());
    let field = |name: &str, path: &str| json!({ "name": name, "valueFrom": { "fieldRef": { "fieldPath": path } } });
    let probe = |path: &str, period: u32| json!({ "httpGet": { "path": path, "port": "health" }, "periodSeconds": period, "timeoutSeconds": 2 });
    let mut security = json!({ "runAsNonRoot": true, "seccompProfile": { "type": "RuntimeDefault" } });
    if args.user_ids == UserIds::Fixed {
        security["runAsUser"] = json!(USER);
        security["runAsGroup"] = json!(USER);
    }
    let mut selector = json!({ "kubernetes.io/os": "linux" });
    for (key, value) in &args.node_selector {
        selector[key] = json!(value);
    }
    let mut deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": named(&args.namespace),
        "spec": {
            "replicas": args.replicas,
            "selector": { "matchLabels": labels() },
            "template": {
                "metadata": { "labels": labels() },
                "spec": {
                    "serviceAccountName": NAME,
                    "securityContext": security,
                    "nodeSelector": selector,
                    "terminationGracePeriodSeconds": 15,
                    "containers": [{
                        "name": NAME,
                        "image": args.image,
                        "args": options,
                        "env": [field("POD_NAME", "metadata.name"), field("POD_NAMESPACE", "metadata.namespace")],
                        "ports": [{ "name": "health", "containerPort": PORT }],
                        "livenessProbe": probe("/livez", 10),
                        "readinessProbe": probe("/readyz", 2),
                        "resources": { "requests": { "cpu": "50m", "memory": "64Mi" }, "limits": { "memory": "256Mi" } },
                        "securityContext": {
                            "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
                            "capabilities": { "drop": ["ALL"] },
                        },
                    }],
                    "affinity": { "podAntiAffinity": { "preferredDuringSchedulingIgnoredDuringExecution": [{
                        "weight": 100,
                        "podAffinityTerm": {
                            "topologyKey": "kubernetes.io/hostname", "labelSelector": { "matchLabels": labels() },
                        },
                    }] } },
                },
            },
        },
    });
    let pod = &mut deployment["spec"]["template"]["spec"];
    if !args.tolerations.is_empty() {
        pod["tolerations"] = json!(args.tolerations);
    }
    if let Some(class) = &args.priority_class {
        pod["priorityClassName"] = json!(class);
    }
    deployment
}

fn named(namespace: &str) -> Value {
    json!({ "name": NAME, "namespace": namespace, "labels": labels() })
}

fn labels() -> Value {
    json!({ "app.kubernetes.io/name": NAME })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::documents;
    use crate::cli::{Cli, Command};
    use clap::Parser;

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
    fn a_label_or_a_taint_that_is_none_is_refused_with_an_example() {
        for (option, words) in [
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
