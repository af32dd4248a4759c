//! Hides from local mode that its nodes are processes. The controller does not use this: both share the manifest and its
//! checks, the mesh task (which links whatever [`Platform::targets`] names), and the driver.

use crate::crd::SfuCluster;
use sfumato_mesh::Target;
use tokio::sync::watch;

/// Where nodes run.
pub trait Platform {
    type Refused: std::error::Error;

    /// Takes `cluster` as what is wanted from now on. The work is carried on by [`Self::next_event`]; a refusal leaves
    /// everything as it was.
    ///
    /// # Errors
    /// When `cluster` cannot be carried out here.
    async fn apply(&mut self, cluster: &SfuCluster) -> Result<(), Self::Refused>;

    /// The nodes that exist, wanted or not: who is in the mesh. A node stays until it has really ended; one that is
    /// being restarted has not. `None` until the first [`Self::apply`].
    fn targets(&self) -> watch::Receiver<Option<Vec<Target>>>;

    /// The nodes that exist, ordered by number.
    fn nodes(&self) -> Vec<NodeState>;

    /// Waits for the next thing that happens, and does what has become due with it. Cancel safe.
    async fn next_event(&mut self) -> Event;
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeState {
    pub name: String,
    /// Whether it takes sessions.
    pub ready: bool,
}

/// Something that happened, in words for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// As it should be.
    Good(String),
    /// Somebody may want to look.
    Bad(String),
    /// Nothing to tell; what [`Platform::nodes`] answers may have changed.
    Silent,
}
