//! The front door of a cluster: one address for publishers and viewers, and the page that shows the mesh.
//!
//! Media never passes here. The front door picks a node for each new session, passes the few HTTP requests of that
//! session on to it, and from then on the browser talks to the node directly. It keeps no state of its own: the
//! session URLs name the node, so any replica of the front door can serve any later request, and a restart loses
//! nothing.
//!
//! The main path, top-down: [`polling`] asks every node for its report and writes the answers into the [`view`];
//! [`pick`] chooses from the view; [`door`] serves WHIP and WHEP with the help of [`pass_on`], by the [`way`] to each node;
//! [`cluster`] turns the view into the JSON that [`api`] serves and the [`page`] draws, to those whom [`observers`] admits.

pub mod api;
pub mod cluster;
pub mod cluster_json;
pub mod cors;
pub mod distrust;
pub mod door;
pub mod limits;
pub mod observers;
pub mod options;
pub mod page;
pub mod pass_on;
pub mod pick;
pub mod polling;
pub mod problem;
pub mod seeds;
pub mod server;
pub mod session_path;
pub mod view;
pub mod way;
