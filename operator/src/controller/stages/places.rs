//! Finds where clients reach a pod: its host, which the pod's status or that of the Kubernetes node names, or the load balancer
//! before its Services.

use super::apply_error::error_code;
use crate::cluster::remark::{NO_MEDIA_ADDRESS, Remark};
use crate::controller::build::{Balancer, MEDIA_ADDRESSES, Place, Source, Wish, carried};
use crate::controller::watch::caches::Caches;
use crate::controller::watch::queue::Key;
use crate::controller::watch::seen::{Address, Host, Ingress, Pod, owned};
use crate::controller::words::words;
use kube::{Api, Client, ResourceExt};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

/// How long the addresses of a host name are believed.
const NAME_BELIEVED: Duration = Duration::from_secs(30);
/// How long a look for the addresses of a host name may take.
const RESOLVED_WITHIN: Duration = Duration::from_secs(3);
/// What nobody has asked for in this time is forgotten.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(600);
/// Most addresses that a pod's clients are told of one Kubernetes node or Service.
const MAX_PLACES: usize = 4;

/// Looks them up, and remembers what was found and what is lacking.
pub struct Places {
    client: Client,
    /// Whoever asks the API server something has one.
    turns: Arc<Semaphore>,
    hosts: Mutex<HashMap<String, Looked<Arc<Host>>>>,
    names: Mutex<HashMap<String, Looked<Vec<IpAddr>>>>,
    /// Pods whose clients cannot be told, and since when.
    lacking: Since,
}

#[derive(Clone)]
struct Looked<T> {
    found: T,
    at: Instant,
}

/// Where clients reach a pod, as far as is known.
#[derive(Debug, Default)]
pub struct Found {
    pub places: Vec<Place>,
    /// Why that is not known.
    pub lacking: Option<Lacking>,
    /// What was looked up is to be looked up again after this time: no watch tells when it changes.
    pub again_after: Option<Duration>,
}

#[derive(Debug)]
pub struct Lacking {
    pub remark: Remark,
    /// Whether waiting may help.
    pub may_come: bool,
}

impl Lacking {
    fn new(message: String) -> Self {
        Self {
            remark: Remark::new(NO_MEDIA_ADDRESS, message),
            may_come: true,
        }
    }
}

impl Places {
    pub fn new(client: Client, turns: Arc<Semaphore>) -> Self {
        Self {
            client,
            turns,
            hosts: Mutex::default(),
            names: Mutex::default(),
            lacking: Mutex::default(),
        }
    }

    /// Since when each of these pods lacks a place; the others of the cluster are forgotten.
    pub fn lacking_since(&self, cluster: &Key, pods: &BTreeSet<String>, now: Instant) -> BTreeMap<String, Instant> {
        since(&self.lacking, cluster, pods, now)
    }

    pub fn forget(&self, cluster: &Key) {
        self.lacking.lock().remove(cluster);
    }

    /// Where the clients of a pod are sent.
    /// There is no watch on Kubernetes nodes: what was read of one is `believed` for some time.
    pub async fn find(&self, wish: &Wish, pod: &Pod, source: Source, (caches, believed): (&Caches, Duration)) -> Found {
        let own = parsed(&pod.status.pod_ips);
        match source {
            Source::Named(hosts) => Found {
                places: hosts.into_iter().map(|host| Place { protocol: None, host }).collect(),
                ..Found::default()
            },
            // A pod without an address has not been started yet.
            _ if own.is_empty() => Found::default(),
            Source::Host => {
                let all = parsed(&pod.status.host_ips);
                at(carried(&all, &own), None).unwrap_or_else(|| no_family(pod, &all))
            }
            Source::KubernetesNode(type_) => self.of_host(pod, type_, (&own, believed)).await,
            Source::Ingress(services) => self.of_ingress(wish, (pod, &own), services, caches).await,
        }
    }

    async fn of_host(&self, pod: &Pod, type_: &str, (own, believed): (&[IpAddr], Duration)) -> Found {
        let Some(name) = &pod.spec.node_name else {
            return Found::default();
        };
        let found = match self.host(name, believed).await {
            Ok(host) => {
                let all = addresses_of(&host, type_);
                let lacks = || {
                    let message = format!(
                        "Kubernetes node {name} has no address of type {type_} that carries to {}: annotate it with \
                         {MEDIA_ADDRESSES}=ADDRESS, or choose another spec.media.announce.from",
                        pod.name_any()
                    );
                    lacking(Lacking::new(message))
                };
                at(carried(&all, own), None).unwrap_or_else(lacks)
            }
            Err(error) => {
                let is_forbidden = error_code(&error) == Some(403);
                let advice = if is_forbidden {
                    ": give the operator the right with rbac.kubernetesNodes of its chart, or choose another spec.media.announce.from"
                } else {
                    ""
                };
                let message = format!("Kubernetes node {name} cannot be read ({}){advice}", words(&error));
                lacking(Lacking {
                    may_come: !is_forbidden,
                    ..Lacking::new(message)
                })
            }
        };
        Found {
            again_after: Some(believed),
            ..found
        }
    }

    async fn host(&self, name: &str, believed: Duration) -> kube::Result<Arc<Host>> {
        let now = Instant::now();
        if let Some(known) = fresh(&self.hosts, name, believed, now) {
            return Ok(known);
        }
        let api: Api<Host> = Api::all(self.client.clone());
        // Nobody closes it, so that this cannot fail.
        let _turn = self.turns.acquire().await;
        let host = Arc::new(api.get(name).await?);
        remember(&self.hosts, name, Arc::clone(&host), now);
        Ok(host)
    }

    async fn of_ingress(
        &self,
        wish: &Wish,
        (pod, own): (&Pod, &[IpAddr]),
        services: Vec<Balancer>,
        caches: &Caches,
    ) -> Found {
        let mut all = Found::default();
        for Balancer { service, protocol } in services {
            let live = owned(&caches.services, &wish.id, &service);
            let ingress = live.iter().flat_map(|live| &live.status.load_balancer.ingress);
            let ingress: Vec<_> = ingress.take(MAX_PLACES).collect();
            if ingress.iter().any(|it| it.ip.is_none() && it.hostname.is_some()) {
                all.again_after = Some(NAME_BELIEVED);
            }
            let looked = ingress.into_iter().map(|Ingress { ip, hostname }| async move {
                match (ip, hostname) {
                    (Some(ip), _) => ip.parse().into_iter().collect(),
                    (None, Some(name)) => self.resolve(name).await,
                    (None, None) => Vec::new(),
                }
            });
            let addresses: Vec<IpAddr> = futures::future::join_all(looked).await.concat();
            let found = at(carried(&addresses, own), protocol);
            match found {
                Some(found) => all.places.extend(found.places),
                None => {
                    let (name, namespace) = (pod.name_any(), &wish.id.namespace);
                    let message = format!(
                        "Service {service} has no address from a load balancer, so that clients cannot be told where they reach {name}: see \
                         `kubectl describe service {service} --namespace {namespace}`, and whether this cluster has load balancers at all"
                    );
                    // Half of what is told would be told as all.
                    return Found {
                        again_after: all.again_after,
                        ..lacking(Lacking::new(message))
                    };
                }
            }
        }
        all
    }

    /// Addresses of a host name; those of before where it cannot be asked now. Whoever waits for a name server waits again only
    /// after some time.
    async fn resolve(&self, name: &str) -> Vec<IpAddr> {
        let now = Instant::now();
        if let Some(known) = fresh(&self.names, name, NAME_BELIEVED, now) {
            return known;
        }
        match tokio::time::timeout(RESOLVED_WITHIN, tokio::net::lookup_host((name, 0))).await {
            Ok(Ok(found)) => {
                // In an order that stays, or each answer would be told anew.
                let found: BTreeSet<IpAddr> = found.map(|address| address.ip()).collect();
                let found: Vec<IpAddr> = found.into_iter().collect();
                remember(&self.names, name, found.clone(), now);
                found
            }
            Ok(Err(_)) | Err(_) => {
                let before = fresh(&self.names, name, FORGOTTEN_AFTER, now).unwrap_or_default();
                remember(&self.names, name, before.clone(), Instant::now());
                before
            }
        }
    }
}

type Since = Mutex<HashMap<Key, BTreeMap<String, Instant>>>;

fn since(lacking: &Since, cluster: &Key, pods: &BTreeSet<String>, now: Instant) -> BTreeMap<String, Instant> {
    let mut all = lacking.lock();
    if pods.is_empty() {
        all.remove(cluster);
        return BTreeMap::new();
    }
    let known = all.entry(cluster.clone()).or_default();
    known.retain(|pod, _| pods.contains(pod));
    for pod in pods {
        known.entry(pod.clone()).or_insert(now);
    }
    known.clone()
}

fn fresh<T: Clone>(all: &Mutex<HashMap<String, Looked<T>>>, name: &str, believed: Duration, now: Instant) -> Option<T> {
    let all = all.lock();
    let known = all.get(name)?;
    (now.saturating_duration_since(known.at) < believed).then(|| known.found.clone())
}

fn remember<T>(all: &Mutex<HashMap<String, Looked<T>>>, name: &str, found: T, now: Instant) {
    let mut all = all.lock();
    all.retain(|_, looked| now.saturating_duration_since(looked.at) < FORGOTTEN_AFTER);
    all.insert(name.to_owned(), Looked { found, at: now });
}

/// Those that its annotation names; without one, those of a type.
fn addresses_of(host: &Host, type_: &str) -> Vec<IpAddr> {
    let parsed = |text: &str| text.trim().parse::<IpAddr>().ok();
    match host.annotations().get(MEDIA_ADDRESSES) {
        Some(named) => named.split(',').filter_map(parsed).take(MAX_PLACES).collect(),
        None => {
            let all = host.status.addresses.iter().filter(|address| address.type_ == type_);
            all.filter_map(|address| parsed(&address.address))
                .take(MAX_PLACES)
                .collect()
        }
    }
}

fn at(addresses: Vec<IpAddr>, protocol: Option<&'static str>) -> Option<Found> {
    let places = addresses.into_iter().take(MAX_PLACES).map(|ip| Place {
        protocol,
        host: ip.to_string(),
    });
    let places: Vec<Place> = places.collect();
    (!places.is_empty()).then(|| Found {
        places,
        ..Found::default()
    })
}

fn no_family(pod: &Pod, host: &[IpAddr]) -> Found {
    if host.is_empty() {
        return Found::default();
    }
    let message = format!(
        "the host of {} has no address of the family that the pod has: name addresses in spec.media.announce",
        pod.name_any()
    );
    lacking(Lacking::new(message))
}

fn lacking(what: Lacking) -> Found {
    Found {
        lacking: Some(what),
        ..Found::default()
    }
}

fn parsed(addresses: &[Address]) -> Vec<IpAddr> {
    addresses.iter().filter_map(|address| address.ip.parse().ok()).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_annotation_of_a_kubernetes_node_goes_before_its_addresses() {
        let host = |annotations| -> Host {
            let addresses = json!([
                { "type": "InternalIP", "address": "10.0.0.7" }, { "type": "ExternalIP", "address": "203.0.113.7" },
                { "type": "Hostname", "address": "worker-7" }, { "type": "ExternalIP", "address": "2001:db8::7" },
            ]);
            serde_json::from_value(json!({ "metadata": { "name": "worker-7", "annotations": annotations }, "status": { "addresses": addresses } })).unwrap()
        };
        let of =
            |host: &Host, type_| -> Vec<String> { addresses_of(host, type_).iter().map(ToString::to_string).collect() };
        let plain = host(json!({}));
        assert_eq!(of(&plain, "ExternalIP"), ["203.0.113.7", "2001:db8::7"]);
        assert_eq!(of(&plain, "InternalIP"), ["10.0.0.7"]);
        let named = host(json!({ MEDIA_ADDRESSES: "198.51.100.9, nonsense,2001:db8::9" }));
        assert_eq!(of(&named, "ExternalIP"), ["198.51.100.9", "2001:db8::9"]);
    }

    #[tokio::test]
    async fn a_name_that_is_not_resolved_is_not_asked_for_again_at_once_and_keeps_what_it_had() {
        let client = Client::new(
            tower::service_fn(|_: http::Request<kube::client::Body>| async {
                Err::<http::Response<kube::client::Body>, _>(std::io::Error::other("not asked"))
            }),
            "media",
        );
        let places = Places::new(client, Arc::new(Semaphore::new(1)));
        let (name, ip) = ("balancer.invalid", IpAddr::from([203, 0, 113, 7]));
        assert!(places.resolve(name).await.is_empty());
        assert!(fresh(&places.names, name, NAME_BELIEVED, Instant::now()).is_some());
        let long_ago = Instant::now().checked_sub(NAME_BELIEVED).unwrap();
        remember(&places.names, name, vec![ip], long_ago);
        assert_eq!(places.resolve(name).await, [ip]);
    }

    #[test]
    fn what_is_lacking_counts_from_when_it_was_first_seen_until_it_is_there() {
        let lacking = Mutex::default();
        let key = Key {
            namespace: "media".to_owned(),
            name: "live".to_owned(),
        };
        let (first, later) = (Instant::now(), Instant::now() + Duration::from_secs(60));
        let lack = |pods: &[&str], now| since(&lacking, &key, &pods.iter().map(|pod| (*pod).to_owned()).collect(), now);
        assert_eq!(lack(&["live-0"], first)["live-0"], first);
        let both = lack(&["live-0", "live-1"], later);
        assert_eq!((both["live-0"], both["live-1"]), (first, later));
        assert!(lack(&[], later).is_empty());
        assert_eq!(lack(&["live-0"], later)["live-0"], later);
    }
}
