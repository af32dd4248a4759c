//! Which ways media has from this machine to the nodes of a running cluster: UDP, TCP, and the TURN servers that nodes name.
//!
//! A session is opened on each node, and each candidate of the answer is sent what a browser sends it first: a STUN request that
//! is signed with the credentials of the session. An answer proves the whole way to the node's media worker and back, without media.
//!
//! `seen` and `advice` decide and tell; `probe`, `relay` and `wire` have the sockets.

pub mod advice;
mod binding;
mod framing;
mod md5;
mod probe;
mod relay;
pub mod seen;
mod servers;
mod session;
mod turn_messages;
#[cfg(test)]
mod vectors;
mod wire;

use crate::door::{Cluster, Door, DoorError, Node};
use crate::output::say;
use crate::peer::{Described, Retry};
use advice::advice;
use seen::NodeSeen;
use std::net::IpAddr;
use std::time::Duration;

/// How long a name may be held by the session before, which has just been ended on another node.
const OPENED_WITHIN: Duration = Duration::from_secs(10);
/// Most nodes that are tried: as many as a cluster has.
const MAX_NODES: usize = 32;

/// What is tried.
#[derive(Debug, Clone)]
pub struct CheckOptions {
    /// The front door, and the name of the stream under which sessions are opened.
    pub door: Door,
    /// Local address of the sockets; by default the system chooses one for each way.
    pub bind: Option<IpAddr>,
    /// Fewest nodes.
    pub nodes: usize,
    /// How long the front door may take to know them.
    pub within: Duration,
}

/// Why a check has not passed; the text is for whoever runs it.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The front door.
    #[error(transparent)]
    Door(#[from] DoorError),
    /// Media gets to some nodes by no way.
    #[error("media gets through to {reached} of {all} nodes, and not to {}{advice}", .failed.join(", "))]
    Blocked {
        /// How many it gets to.
        reached: usize,
        /// How many were tried.
        all: usize,
        /// Names of the others.
        failed: Vec<String>,
        /// What to change, as a further sentence; empty where that is not known.
        advice: String,
    },
}

/// Tries all nodes, one after the other, since a name has one publisher; says what comes back.
///
/// # Errors
/// When there is a node that no way leads to.
pub async fn run(options: &CheckOptions) -> Result<(), CheckError> {
    let door = &options.door;
    let here = match options.bind {
        Some(bind) => bind,
        None => door.reached_from().await?,
    };
    let enough = |cluster: &Cluster| cluster.enough(options.nodes).map(<[Node]>::to_vec);
    let mut nodes = door.wait_for(options.within, enough).await?;
    nodes.truncate(MAX_NODES);
    let mut seen = Vec::new();
    for node in nodes {
        let one = tried(options, here, node).await;
        for line in one.lines() {
            say(&line);
        }
        seen.push(one);
    }
    let advice = advice(&seen, here);
    let failed: Vec<String> = seen
        .iter()
        .filter(|node| !node.is_reached())
        .map(|node| node.name.clone())
        .collect();
    if !failed.is_empty() {
        return Err(CheckError::Blocked {
            reached: seen.len() - failed.len(),
            all: seen.len(),
            failed,
            advice: advice.map(|advice| format!(". Advice: {advice}")).unwrap_or_default(),
        });
    }
    say(&format!("passed: media gets through to every node of {}", seen.len()));
    if let Some(advice) = advice {
        say(&format!("advice: {advice}"));
    }
    Ok(())
}

/// Opens a session on a node, tries what its answer names, and ends the session.
async fn tried(options: &CheckOptions, here: IpAddr, node: Node) -> NodeSeen {
    if let Some(fault) = node.fault() {
        return NodeSeen::without_session(node.name, format!("it {fault}"));
    }
    let door = &options.door;
    let url = door.endpoint("whip", &node.name);
    // The offer names an address, which a node has no use for.
    let opened = Described::open(&url, door.token.clone(), here, Retry::For(OPENED_WITHIN)).await;
    let described = match opened {
        Ok(described) => described,
        Err(error) => return NodeSeen::without_session(node.name, error.to_string()),
    };
    let (tried, relays) = probe::all(&described, options.bind).await;
    if let Err(error) = described.close().await {
        say(&format!("{}: its session ends by itself: {error}", node.name));
    }
    NodeSeen {
        name: node.name,
        fault: None,
        tried,
        relays,
    }
}
