//! `sfu_operator_mesh_*` and `sfu_operator_queue_depth`: how the clusters stand.

use super::meshes::Meshes;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use std::sync::Arc;

/// Read from meshes and queues when somebody asks, so that no count can disagree with them.
pub struct MeshGauges {
    meshes: Vec<Arc<Meshes>>,
}

impl MeshGauges {
    /// Of all clusters of all scopes.
    #[must_use]
    pub fn new(meshes: Vec<Arc<Meshes>>) -> Self {
        Self { meshes }
    }
}

impl std::fmt::Debug for MeshGauges {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MeshGauges")
    }
}

impl Collector for MeshGauges {
    fn encode(&self, mut out: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let pairs = || self.meshes.iter().map(|meshes| meshes.pairs());
        let waiting: usize = self.meshes.iter().map(|meshes| meshes.queue().depth()).sum();
        for (name, help, value) in [
            (
                "queue_depth",
                "clusters whose reconcile was asked for and has not begun",
                waiting as u64,
            ),
            (
                "mesh_pairs_desired",
                "node pairs that there should be, over all clusters",
                pairs().map(|(desired, _)| desired).sum(),
            ),
            (
                "mesh_pairs_established",
                "node pairs whose links are all up at both ends",
                pairs().map(|(_, established)| established).sum(),
            ),
        ] {
            #[allow(clippy::cast_precision_loss)] // At most 496 pairs a cluster.
            let gauge = ConstGauge::new(value as f64);
            gauge.encode(out.encode_descriptor(name, help, None, MetricType::Gauge)?)?;
        }
        Ok(())
    }
}
