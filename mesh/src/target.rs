//! Who should be in the mesh.

use sfumato_admin_api::types::NodeName;

/// A node that should be in the mesh: a pod that has an IP, or a process. It is a member once it has answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Its name; an answer under another name does not count.
    pub name: NodeName,
    /// Base URL of its admin listener, as this process reaches it.
    pub admin_url: String,
    /// Tells one pod (or process slot) of this name from the next. What was known of another uid is forgotten.
    pub uid: String,
}
