//! One fake node: its links, changed as a real node changes them.

use super::STALE_AFTER;
use sfumato_admin_api::server::link_rules::{Decision, Existing, decide};
use sfumato_admin_api::types::{
    API_VERSION, CloseLinks, DrainState, Incarnation, Lane, LinkEnd, LinkId, LinkReport, LinkState, Links, NodeName,
    NodeReport, Peer, PutLinks,
};
use std::collections::{BTreeMap, BTreeSet};
use tokio::time::Instant;

pub type Key = (NodeName, Incarnation, Lane);

#[derive(Debug)]
pub struct FakeNode {
    pub name: NodeName,
    pub incarnation: Incarnation,
    pub up: bool,
    pub draining: bool,
    pub workers: u16,
    pub encrypts: bool,
    pub revision: u64,
    pub links: BTreeMap<Key, FakeLink>,
    pub url: String,
}

#[derive(Debug, Clone)]
pub struct FakeLink {
    pub id: LinkId,
    pub remote: Option<LinkId>,
    pub state: LinkState,
    pub encrypted: bool,
    pub since: Instant,
    heard: Instant,
}

/// An answer that is not a success.
#[derive(Debug)]
pub struct Refusal {
    pub status: u16,
    pub detail: String,
}

fn conflict(detail: String) -> Refusal {
    Refusal { status: 409, detail }
}

impl FakeNode {
    pub fn new(name: NodeName, life: u64, workers: u16, url: String) -> Self {
        Self {
            name,
            incarnation: format!("pod.{life}").parse().unwrap(),
            up: true,
            draining: false,
            workers,
            // So that most worlds hold nodes of both kinds.
            encrypts: life.is_multiple_of(2),
            revision: 1,
            links: BTreeMap::new(),
            url,
        }
    }

    pub fn peer(&self) -> Peer {
        Peer {
            name: self.name.clone(),
            incarnation: self.incarnation.clone(),
            admin_url: self.url.clone(),
            client_url: "http://127.0.0.1:1".to_owned(),
        }
    }

    pub fn report(&self, now: Instant) -> NodeReport {
        let links = self.links.iter().map(|((peer, life, lane), link)| LinkReport {
            id: link.id.clone(),
            peer: peer.clone(),
            peer_incarnation: life.clone(),
            lane: *lane,
            remote: link.remote.clone(),
            state: link.state,
            since_ms: u64::try_from(now.saturating_duration_since(link.since).as_millis()).unwrap(),
            rtt_us: None,
            beats_received: 0,
            large_packets: None,
            packets_lost: 0,
            packets_received: 0,
            bytes_sent: 0,
            bytes_received: 0,
        });
        NodeReport {
            api_version: API_VERSION,
            version: "test".to_owned(),
            node: self.peer(),
            revision: self.revision,
            workers: self.workers,
            lanes: None,
            link_encryption: self.encrypts,
            ready: !self.draining,
            draining: self.draining,
            drain: DrainState::default(),
            redis: true,
            redis_problem: None,
            address_problem: None,
            tokens_required: None,
            secure_client_url: None,
            pid: 0,
            peers: Vec::new(),
            links: links.collect(),
            publications: Vec::new(),
            carried: Vec::new(),
            viewers: 0,
            publishers: 0,
            load: 0.0,
        }
    }

    fn is_meant(&self, incarnation: &Incarnation) -> Result<(), Refusal> {
        if self.incarnation == *incarnation {
            return Ok(());
        }
        Err(conflict(format!("this is {}, not {incarnation}", self.incarnation)))
    }

    /// Lane by lane, so that a conflict leaves the lanes before it changed: the driver must cope with that.
    pub fn put_links(&mut self, path: &NodeName, request: &PutLinks, ids: &mut u64) -> Result<Links, Refusal> {
        self.is_meant(&request.incarnation)?;
        if request.peer.name != *path {
            return Err(Refusal {
                status: 400,
                detail: "peer: its name differs from the path's".to_owned(),
            });
        }
        self.links.retain(|_, link| !request.close.contains(&link.id));
        self.revision += 1;
        let mut answer = Vec::new();
        for asked in &request.lanes {
            let key = (request.peer.name.clone(), request.peer.incarnation.clone(), asked.lane);
            let there = self.links.get(&key);
            let existing = there.map(|link| Existing {
                id: &link.id,
                remote: link.remote.as_ref(),
                usable: link.state != LinkState::Dead,
            });
            let remote = asked.remote.as_ref().map(|end| end.id.clone());
            let decision = decide(existing.as_ref(), asked);
            let encrypted = match &decision {
                Decision::Create { .. } => self.encrypts || request.encrypted,
                _ => there.is_some_and(|link| link.encrypted),
            };
            if asked.remote.as_ref().is_some_and(|end| end.srtp.is_some() != encrypted) {
                return Err(Refusal {
                    status: 422,
                    detail: format!("lane {}: one end is encrypted and the other is not", asked.lane),
                });
            }
            match decision {
                Decision::Reuse => {}
                Decision::Connect => {
                    let link = self.links.get_mut(&key).unwrap();
                    link.remote = remote;
                    (link.since, link.heard) = (Instant::now(), Instant::now());
                }
                Decision::Create { close } => {
                    assert_eq!(close.as_ref(), there.map(|link| &link.id));
                    *ids += 1;
                    let id = format!("l{ids}").parse().unwrap();
                    let (since, state) = (Instant::now(), LinkState::Connecting);
                    self.links.insert(
                        key.clone(),
                        FakeLink {
                            id,
                            remote,
                            state,
                            encrypted,
                            since,
                            heard: since,
                        },
                    );
                }
                Decision::Conflict(detail) => return Err(conflict(detail)),
            }
            answer.push(LinkEnd {
                lane: asked.lane,
                id: self.links[&key].id.clone(),
                ip: std::net::Ipv4Addr::LOCALHOST.into(),
                port: 24_000,
                srtp: encrypted.then(|| serde_json::json!({ "keyBase64": "secret" })),
                beat: serde_json::json!({}),
            });
        }
        Ok(Links { links: answer })
    }

    pub fn close_links(&mut self, request: &CloseLinks) -> Result<(), Refusal> {
        self.is_meant(&request.incarnation)?;
        self.links.retain(|_, link| !request.links.contains(&link.id));
        self.revision += 1;
        Ok(())
    }

    /// Judges every end by what it hears.
    pub fn judge(&mut self, now: Instant, hearing: &BTreeSet<LinkId>) {
        for link in self.links.values_mut() {
            let hears = hearing.contains(&link.id);
            if hears {
                link.heard = now;
            }
            let state = match link.state {
                LinkState::Dead => LinkState::Dead,
                _ if hears => LinkState::Fresh,
                LinkState::Fresh if now.saturating_duration_since(link.heard) >= STALE_AFTER => LinkState::Stale,
                other => other,
            };
            if state != link.state {
                (link.state, link.since) = (state, now);
                self.revision += 1;
            }
        }
    }
}
