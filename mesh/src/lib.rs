//! The mesh of media nodes: the admin API that each node serves, a client for it, the planner that compares the desired
//! mesh with what both ends of every link report, and the driver that carries out the planner's steps.
//!
//! This crate knows neither Kubernetes nor mediasoup. The operator, its `local` mode, the nodes and the front door
//! all speak the types of [`api`]; [`plan`] is a pure function and [`drive`] does its I/O through [`NodeAdmin`].

pub mod api;
pub mod link_rules;
