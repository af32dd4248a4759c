//! From pods to the members of a mesh. Pure.

use crate::controller::build::admin_port;
use crate::controller::watch::seen::{Pod, is_node};
use kube::ResourceExt;
use sfumato_mesh::Target;
use std::net::IpAddr;
use std::sync::Arc;

/// How the operator reaches the nodes' admin listeners.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeAccess {
    /// By the pods' own addresses: for an operator inside the cluster.
    Direct,
    /// Through the API server: for an operator outside.
    Proxy,
}

/// The nodes among these pods that can be in the mesh: those that have an address and whose containers have not ended for
/// good. Also those that are not ready or are being deleted: they have links until they are gone.
#[must_use]
pub fn targets(pods: &[Arc<Pod>], access: NodeAccess) -> Vec<Target> {
    pods.iter().filter_map(|pod| target(pod, access)).collect()
}

fn target(pod: &Pod, access: NodeAccess) -> Option<Target> {
    let status = &pod.status;
    if !is_node(pod) || matches!(status.phase.as_deref(), Some("Succeeded" | "Failed")) {
        return None;
    }
    let ip: IpAddr = status.pod_ip.as_deref()?.parse().ok()?;
    let name = pod.name_any();
    let namespace = pod.namespace()?;
    let port = u16::try_from(admin_port(&pod.spec)).ok()?;
    let admin_url = match access {
        NodeAccess::Direct => format!("https://{}", std::net::SocketAddr::new(ip, port)),
        NodeAccess::Proxy => {
            format!("http://api-server/api/v1/namespaces/{namespace}/pods/https:{name}:{port}/proxy")
        }
    };
    Some(Target {
        name: name.parse().ok()?,
        admin_url,
        uid: pod.uid()?,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[allow(clippy::needless_pass_by_value, reason = "a test reads better without the ampersand")]
    fn pod(component: &str, status: Value) -> Arc<Pod> {
        let pod = json!({
            "metadata": {
                "name": "live-0", "namespace": "media", "uid": "u",
                "labels": {
                    "app.kubernetes.io/name": "sfumato",
                    "app.kubernetes.io/instance": "live",
                    "app.kubernetes.io/component": component,
                },
            },
            "status": status,
        });
        Arc::new(serde_json::from_value(pod).unwrap())
    }

    fn urls(pods: &[Arc<Pod>], access: NodeAccess) -> Vec<String> {
        targets(pods, access).into_iter().map(|t| t.admin_url).collect()
    }

    #[test]
    fn a_pod_is_a_member_as_soon_as_it_has_an_address_ready_or_not() {
        assert_eq!(
            urls(&[pod("node", json!({ "phase": "Pending" }))], NodeAccess::Direct),
            Vec::<String>::new()
        );
        let running = pod("node", json!({ "phase": "Running", "podIP": "10.1.0.2" }));
        assert_eq!(urls(&[running], NodeAccess::Direct), ["https://10.1.0.2:4001"]);
        let six = pod("node", json!({ "phase": "Running", "podIP": "fd00::2" }));
        assert_eq!(urls(&[six], NodeAccess::Direct), ["https://[fd00::2]:4001"]);
        let mut other = Pod::clone(&pod("node", json!({ "phase": "Running", "podIP": "10.1.0.2" })));
        let ports = json!([{ "ports": [{ "name": "client", "containerPort": 3001 }, { "name": "admin", "containerPort": 4101 }] }]);
        other.spec.containers = serde_json::from_value(ports).unwrap();
        assert_eq!(urls(&[Arc::new(other)], NodeAccess::Direct), ["https://10.1.0.2:4101"]);
    }

    #[test]
    fn pods_that_have_ended_and_pods_of_other_components_are_no_members() {
        for (component, phase) in [
            ("node", "Failed"),
            ("node", "Succeeded"),
            ("web", "Running"),
            ("redis", "Running"),
        ] {
            let pod = pod(component, json!({ "phase": phase, "podIP": "10.1.0.2" }));
            assert_eq!(
                urls(&[pod], NodeAccess::Direct),
                Vec::<String>::new(),
                "{component} {phase}"
            );
        }
    }
}
