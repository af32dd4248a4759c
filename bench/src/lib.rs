//! Synthetic WebRTC peers and the benchmarks built on them.
//!
//! A mesh of media nodes is only as good as what a viewer sees, so everything here is measured from the outside: a
//! [`peer::Publisher`] comes by WHIP (RFC 9725), a [`peer::Viewer`] by WHEP, both on a WebRTC stack that shares no code
//! with the nodes. Frames are made up ([`media`]), yet valid enough for every step of an SFU, and each carries the time at
//! which it was sent; so one process can follow a frame across the mesh without a decoder.
//!
//! [`runs`] starts the system under test, measures it and stops it; [`figures`] and [`output`] turn samples into tables.
//! [`smoke`] tries a cluster that somebody else has started, and [`check`] which ways media has to it, for the program
//! `sfu-smoke`. Both ask its front door ([`door`]).

pub mod check;
pub mod churn;
pub mod door;
pub mod figures;
pub mod media;
pub mod output;
pub mod peer;
pub mod race;
pub mod runs;
pub mod smoke;
