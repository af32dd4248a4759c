//! How many mediasoup workers a node has.

use crate::cluster::node_arguments;
use crate::crd::SfuClusterSpec;
use crate::crd::quantity::Amount;
use k8s_openapi::api::core::v1::ResourceRequirements;

/// Most workers of a node.
const MOST_WORKERS: i32 = 64;

/// Workers of each node: as many as it may use cores, unless the manifest says otherwise.
#[must_use]
pub fn workers(spec: &SfuClusterSpec) -> i32 {
    node_arguments::workers(spec, cores(spec.resources.as_ref()), MOST_WORKERS)
}

/// Whole cores that a container may use: its limit, else what it asks for, else one.
fn cores(resources: Option<&ResourceRequirements>) -> i32 {
    let of = |which: fn(&ResourceRequirements) -> &Option<std::collections::BTreeMap<_, _>>| {
        which(resources?)
            .as_ref()?
            .get("cpu")
            .and_then(|quantity: &k8s_openapi::apimachinery::pkg::api::resource::Quantity| whole_cores(&quantity.0))
    };
    of(|r| &r.limits).or_else(|| of(|r| &r.requests)).unwrap_or(1)
}

/// `1500m` and `1.5` are two cores.
fn whole_cores(quantity: &str) -> Option<i32> {
    let cores = Amount::parse(quantity)?.ceil().min(i128::from(MOST_WORKERS));
    i32::try_from(cores).ok().filter(|cores| *cores > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_has_a_worker_for_each_core_that_it_may_use() {
        for (quantity, cores) in [
            ("2", 2),
            ("1500m", 2),
            ("100m", 1),
            ("0.5", 1),
            ("3.0", 3),
            ("2e0", 2),
            ("1500000u", 2),
            ("1k", MOST_WORKERS),
        ] {
            assert_eq!(whole_cores(quantity), Some(cores), "{quantity}");
        }
        for quantity in ["", "0", "x", "-1", "nan"] {
            assert_eq!(whole_cores(quantity), None, "{quantity}");
        }
    }
}
