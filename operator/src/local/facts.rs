//! From what is seen of the processes to what a status is made of. Pure.

use super::keeper::State;
use super::observe::{SeenDoor, SeenProcess, is_as_wanted, trouble};
use crate::cluster::convergence::{Effort, Refusal};
use crate::cluster::remark::Remark;
use crate::cluster::status::Facts;
use sfumato_mesh::MeshSnapshot;
use std::time::Instant;

/// One look at a cluster.
#[derive(Debug)]
pub struct Look<'a> {
    /// Which version of the manifest this is, as Kubernetes counts generations.
    pub version: i64,
    /// How many nodes there are to be.
    pub wanted: u16,
    /// Whether changes are stopped.
    pub paused: bool,
    /// Why the manifest as it is now cannot be carried out.
    pub refused: Option<&'a Remark>,
    /// By number.
    pub nodes: &'a [SeenProcess<'a>],
    pub door: Option<&'a SeenDoor<'a>>,
    /// Redis, where it is a process of ours.
    pub redis: Option<&'a State>,
    /// What is under way, where changes are not stopped.
    pub progress: Option<&'a Remark>,
    pub mesh: &'a MeshSnapshot,
}

/// What is told of it, but for how long nothing has moved.
pub fn facts<'a>(look: &Look<'a>, now: Instant) -> Facts<'a> {
    let front_door = SeenDoor::facts(look.door, now);
    let of_redis = look.redis.and_then(|state| trouble("redis", state, now));
    Facts {
        generation: Some(look.version),
        operator: String::new(),
        desired: i32::from(look.wanted),
        nodes: look.nodes.iter().map(|node| node.facts(now)).collect(),
        selector: String::new(),
        mesh: look.mesh,
        paused: look.paused,
        degraded: look.refused.into_iter().cloned().collect(),
        others: of_redis.or_else(|| front_door.trouble.clone()),
        front_door,
        effort: Effort {
            under_way: if look.paused {
                Remark::held_back(!is_as_wanted(look.wanted, look.nodes, look.door), &[])
            } else {
                look.progress.cloned()
            },
            refused: look.refused.cloned().map(|remark| Refusal { remark, is_final: true }),
            ..Effort::default()
        },
        upgrade: None,
        unprotected: None,
    }
}
