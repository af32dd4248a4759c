//! `sfu_operator_*`: what the operator counts of itself. No label has the name of a cluster: their number has no bound.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use std::time::Duration;

/// Upper bounds of the reconcile durations, in seconds.
const BUCKETS: [f64; 8] = [0.005, 0.02, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0];

#[derive(Debug)]
pub struct Metrics {
    reconciles: Family<Outcome, Counter>,
    duration: Histogram,
    /// Reconciles that run at present.
    pub running: Gauge,
    leader: Gauge,
    status_writes: Counter,
    admin_calls: Family<Call, Counter>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    result: String,
    reason: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Call {
    op: String,
    outcome: String,
}

impl Metrics {
    #[must_use]
    pub fn new() -> Self {
        Self {
            reconciles: Family::default(),
            duration: Histogram::new(BUCKETS),
            running: Gauge::default(),
            leader: Gauge::default(),
            status_writes: Counter::default(),
            admin_calls: Family::default(),
        }
    }

    #[must_use]
    pub fn registry(&self) -> Registry {
        let mut registry = Registry::with_prefix("sfu_operator");
        registry.register(
            "reconciles",
            "reconciles by result (ok, failed) and reason",
            self.reconciles.clone(),
        );
        registry.register_with_unit(
            "reconcile_duration",
            "duration of reconciles",
            Unit::Seconds,
            self.duration.clone(),
        );
        registry.register(
            "reconciles_running",
            "reconciles that run at present",
            self.running.clone(),
        );
        registry.register(
            "is_leader",
            "1 while this process carries out SfuClusters",
            self.leader.clone(),
        );
        registry.register("status_writes", "writes of a status", self.status_writes.clone());
        registry.register(
            "admin_calls",
            "calls of nodes' admin API by operation and outcome",
            self.admin_calls.clone(),
        );
        registry
    }

    pub fn reconciled(&self, result: &str, reason: &str, took: Duration) {
        let outcome = Outcome {
            result: result.to_owned(),
            reason: reason.to_owned(),
        };
        self.reconciles.get_or_create(&outcome).inc();
        self.duration.observe(took.as_secs_f64());
    }

    pub fn status_written(&self) {
        self.status_writes.inc();
    }

    pub fn called(&self, op: &str, outcome: &str) {
        let call = Call {
            op: op.to_owned(),
            outcome: outcome.to_owned(),
        };
        self.admin_calls.get_or_create(&call).inc();
    }

    /// Whether this process carries out SfuClusters.
    pub fn set_leader(&self, leader: bool) {
        self.leader.set(i64::from(leader));
    }
}
