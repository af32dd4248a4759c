//! Which nodes a front door knows, and whether each of them can be tried. Pure.

use serde::Deserialize;

/// What is needed of `GET /api/v1/cluster`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Cluster {
    pub nodes: Vec<Node>,
    pub mesh: Mesh,
}

/// One node, as the front door sees it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Node {
    pub name: String,
    pub ready: bool,
    pub draining: bool,
    pub reachable: bool,
}

/// How many pairs of nodes are linked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Mesh {
    pub desired_pairs: usize,
    pub established_pairs: usize,
}

impl Cluster {
    /// All nodes, once there are enough of them.
    ///
    /// # Errors
    /// What is missing, as half a sentence.
    pub fn enough(&self, at_least: usize) -> Result<&[Node], String> {
        if self.nodes.len() >= at_least.max(1) {
            return Ok(&self.nodes);
        }
        let names = self.nodes.iter().map(|node| node.name.as_str()).collect::<Vec<_>>();
        let known = if names.is_empty() {
            "none".to_owned()
        } else {
            names.join(", ")
        };
        Err(format!(
            "the front door knows {} of {} nodes ({known})",
            names.len(),
            at_least.max(1)
        ))
    }

    /// The names of all nodes, once there are enough of them, each can take sessions, and they are linked.
    ///
    /// # Errors
    /// What is missing, as half a sentence.
    pub fn usable(&self, at_least: usize) -> Result<Vec<String>, String> {
        let nodes = self.enough(at_least)?;
        if let Some((node, why)) = nodes.iter().find_map(|node| Some((node, node.fault()?))) {
            return Err(format!("node {} {why}", node.name));
        }
        let Mesh {
            desired_pairs,
            established_pairs,
        } = self.mesh;
        if established_pairs < desired_pairs {
            return Err(format!(
                "{established_pairs} of {desired_pairs} pairs of nodes are linked"
            ));
        }
        Ok(nodes.iter().map(|node| node.name.clone()).collect())
    }
}

impl Node {
    /// Why no session can be opened on it, as the end of a sentence.
    #[must_use]
    pub fn fault(&self) -> Option<&'static str> {
        if !self.reachable {
            Some("does not answer the front door")
        } else if self.draining {
            Some("is draining, and takes no new sessions")
        } else if !self.ready {
            Some("is not ready")
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str) -> Node {
        Node {
            name: name.to_owned(),
            ready: true,
            draining: false,
            reachable: true,
        }
    }

    fn of(nodes: &[Node], established_pairs: usize) -> Cluster {
        Cluster {
            nodes: nodes.to_vec(),
            mesh: Mesh {
                desired_pairs: 1,
                established_pairs,
            },
        }
    }

    #[test]
    fn nodes_are_tried_when_all_are_there_take_sessions_and_are_linked() {
        let (a, b) = (node("live-0"), node("live-1"));
        let two = [a.clone(), b.clone()];
        let but_b = |change: fn(&mut Node)| {
            let mut changed = b.clone();
            change(&mut changed);
            of(&[a.clone(), changed], 1)
        };
        for (cluster, at_least, wanted) in [
            (of(&two, 1), 2, Ok(vec!["live-0".to_owned(), "live-1".to_owned()])),
            (
                of(&two, 1),
                3,
                Err("the front door knows 2 of 3 nodes (live-0, live-1)"),
            ),
            (of(&[], 1), 0, Err("the front door knows 0 of 1 nodes (none)")),
            (of(&two, 0), 2, Err("0 of 1 pairs of nodes are linked")),
            (but_b(|node| node.ready = false), 2, Err("node live-1 is not ready")),
            (
                but_b(|node| node.draining = true),
                2,
                Err("node live-1 is draining, and takes no new sessions"),
            ),
            (
                but_b(|node| node.reachable = false),
                2,
                Err("node live-1 does not answer the front door"),
            ),
        ] {
            assert_eq!(cluster.usable(at_least), wanted.map_err(str::to_owned));
        }
    }

    #[test]
    fn nodes_that_take_no_sessions_are_named_as_well() {
        let mut silent = node("live-1");
        silent.reachable = false;
        let cluster = of(&[node("live-0"), silent], 0);
        assert_eq!(cluster.enough(2).map(<[Node]>::len), Ok(2));
        assert!(cluster.enough(3).unwrap_err().contains("2 of 3 nodes"));
    }

    #[test]
    fn what_a_front_door_answers_is_read() {
        let text = r#"{"cluster": {"version": "0.1.0"}, "nodes": [{"name": "a", "ready": true, "draining": false, "reachable": true, "load": 0.1}],
            "links": [], "streams": [], "mesh": {"desiredPairs": 1, "establishedPairs": 1}}"#;
        assert_eq!(serde_json::from_str::<Cluster>(text).unwrap().nodes, [node("a")]);
    }
}
