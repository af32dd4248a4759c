//! What a new version of the manifest means, in words. Pure.

use crate::crd::SfuCluster;

pub fn difference(old: &SfuCluster, new: &SfuCluster) -> String {
    let mut same_size = old.spec.clone();
    same_size.replicas = new.spec.replicas;
    let resized = old.spec.replicas != new.spec.replicas;
    let size = format!("{} -> {}", old.spec.replicas, nodes(new.spec.replicas));
    if new.spec.paused {
        return "paused: nothing is started, drained or replaced until spec.paused is false".to_owned();
    }
    match (resized, same_size == new.spec) {
        (false, true) => "nothing to do".to_owned(),
        (true, true) => size,
        (true, false) => format!("{size}, and what runs takes over the other fields one by one"),
        (false, false) => "what runs takes over the new fields one by one".to_owned(),
    }
}

/// `1 node`, `3 nodes`.
pub fn nodes(count: i32) -> String {
    if count == 1 {
        "1 node".to_owned()
    } else {
        format!("{count} nodes")
    }
}
