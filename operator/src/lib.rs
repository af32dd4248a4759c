//! `sfu-operator`: carries out `SfuCluster` manifests, on Kubernetes (`run`) or with processes on this machine (`local`).
//!
//! From the bottom up, and each knows only those before it:
//!
//! | modules | what they hold |
//! |---|---|
//! | `crd`, `manifest` | the types of an SfuCluster, and how one is read and checked |
//! | `cluster` | what an SfuCluster means wherever its nodes run: rollout, status, arguments; pure |
//! | [`terminal`] | where people read what happens |
//! | [`cli`] | the command line |
//! | `local` | `sfu-operator local`: nodes are processes |
//! | `controller` | `sfu-operator run`: nodes are pods; `controller::reconcile` is where to begin |
//! | `crds`, `crd_page`, `manifests`, `token` | what is given out: the CRD, its page, what Kubernetes needs, tokens for tests |
//! | [`commands`] | from a command line to one of these, and to an exit code |

pub mod cli;
mod cluster;
pub mod commands;
mod controller;
mod crd;
mod crd_explain;
mod crd_page;
mod crds;
mod local;
mod manifest;
mod manifests;
pub mod terminal;
mod token;
