"""What the cluster's own tests run in pods: `probe`, which answers over UDP and HTTP (cmd/probe)."""

PROBE = "localhost/sfumato-cluster/probe:1"

SECURE_POD = """
      securityContext: { runAsNonRoot: true, runAsUser: 65532, seccompProfile: { type: RuntimeDefault } }"""
SECURE_CONTAINER = "{ allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: { drop: [ALL] } }"


def statefulset(namespace: str, replicas: int, *, grace: int = 1, stay: int = 3) -> str:
    """Pods spread over hosts, behind `probe` (port 80) and the headless `probe-pods`, both of both address families.
    They stay for so many seconds on a host that is called lost."""
    return f"""
apiVersion: v1
kind: Service
metadata: {{ name: probe-pods, namespace: {namespace} }}
spec:
  clusterIP: None
  ipFamilyPolicy: PreferDualStack
  publishNotReadyAddresses: true
  selector: {{ app: probe }}
  ports: [{{ port: 8080 }}]
---
apiVersion: v1
kind: Service
metadata: {{ name: probe, namespace: {namespace} }}
spec:
  ipFamilyPolicy: PreferDualStack
  selector: {{ app: probe }}
  ports: [{{ port: 80, targetPort: 8080 }}]
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {{ name: probe, namespace: {namespace} }}
spec:
  replicas: {replicas}
  serviceName: probe-pods
  podManagementPolicy: Parallel
  selector: {{ matchLabels: {{ app: probe }} }}
  template:
    metadata: {{ labels: {{ app: probe }} }}
    spec:
      terminationGracePeriodSeconds: {grace}
      automountServiceAccountToken: false
      topologySpreadConstraints:
        - {{ maxSkew: 1, topologyKey: kubernetes.io/hostname, whenUnsatisfiable: ScheduleAnyway, labelSelector: {{ matchLabels: {{ app: probe }} }} }}
      tolerations:
        - {{ key: node.kubernetes.io/unreachable, operator: Exists, effect: NoExecute, tolerationSeconds: {stay} }}
        - {{ key: node.kubernetes.io/not-ready, operator: Exists, effect: NoExecute, tolerationSeconds: {stay} }}{SECURE_POD}
      containers:
        - name: probe
          image: {PROBE}
          imagePullPolicy: IfNotPresent
          args: [serve]
          readinessProbe: {{ httpGet: {{ path: /, port: 8080 }}, periodSeconds: 1 }}
          resources: {{ limits: {{ memory: 64Mi }} }}
          securityContext: {SECURE_CONTAINER}
"""


def pods(kubectl, namespace: str) -> list[dict]:
    """The probes, by name."""
    return sorted(kubectl.get("pods", "--namespace", namespace, "--selector=app=probe"), key=lambda pod: pod["metadata"]["name"])


def probe_from(kubectl, namespace: str, pod: str, *words: str) -> str:
    """Runs `probe WORDS` in a pod."""
    return kubectl.run("exec", "--namespace", namespace, pod, "--", "probe", *words)


def everyone(count: int) -> set[str]:
    return {f"probe-{number}" for number in range(count)}


def hosts_of(found: list[dict]) -> set[str]:
    return {pod["spec"]["nodeName"] for pod in found}
