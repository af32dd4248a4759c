//! What is held of a listener, or of several that have one bound together.

use super::Bounds;
use super::admission::Admission;
use super::roster::{MakeRoom, Roster};
use crate::server::client_address::Networks;
use parking_lot::Mutex;

#[derive(Debug)]
pub(super) struct Held {
    pub admission: Admission,
    pub roster: Mutex<Roster>,
}

impl Held {
    pub fn new(bounds: &Bounds, exempt: Networks, make_room: MakeRoom) -> Self {
        Self {
            admission: Admission::new(bounds, exempt, make_room),
            roster: Mutex::default(),
        }
    }
}
