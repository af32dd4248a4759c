//! What a change of managed Redis takes. Its StatefulSet and its Deployment have one name and one Service: whichever is not
//! wanted goes first, with its pod, and so does a StatefulSet whose volume is to be another. Nothing in Redis has to be kept,
//! since the nodes write their claims again. Pure.

use super::stateful_set::has_claims;
use crate::controller::build::{AT_ONCE, CLAIMS_GO};
use crate::controller::watch::seen::{Claim, Deployment, StatefulSet};

/// What is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted<'a> {
    /// A StatefulSet with these claims.
    StatefulSet(&'a [Claim]),
    Deployment,
    /// No Redis of ours.
    Nothing,
}

impl<'a> Wanted<'a> {
    /// The volumes that are wanted.
    #[must_use]
    pub fn claims(self) -> &'a [Claim] {
        match self {
            Self::StatefulSet(claims) => claims,
            Self::Deployment | Self::Nothing => &[],
        }
    }
}

/// What is next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Applying what is wanted, if anything is.
    Apply,
    /// Having the volume of the StatefulSet go with it, as the release before did not.
    BindVolume,
    /// Having an ordered StatefulSet end its pod. Its controller leaves the volume of a pod alone that runs and is not ready,
    /// unless it ends that pod.
    EndPod,
    /// Waiting until the StatefulSet's controller has done that.
    AwaitBinding,
    RemoveStatefulSet,
    RemoveDeployment,
    /// Waiting until what was removed is gone.
    AwaitRemoval,
}

impl Next {
    /// Whether Redis is taken away by it, sooner or later.
    #[must_use]
    pub fn takes_away(self) -> bool {
        match self {
            Self::BindVolume | Self::EndPod | Self::RemoveStatefulSet | Self::RemoveDeployment => true,
            Self::Apply | Self::AwaitBinding | Self::AwaitRemoval => false,
        }
    }

    /// Whether the volume that is there goes with the StatefulSet from now on, or another StatefulSet would find it.
    #[must_use]
    pub fn binds_volume(self, wanted: Wanted<'_>, set: Option<&StatefulSet>) -> bool {
        match self {
            Self::BindVolume => true,
            Self::RemoveStatefulSet | Self::RemoveDeployment => !wanted.claims().is_empty(),
            Self::Apply => !wanted.claims().is_empty() && set.is_some_and(|set| !is_bound(set)),
            Self::EndPod | Self::AwaitBinding | Self::AwaitRemoval => false,
        }
    }
}

/// What is next, where these are there of this cluster.
#[must_use]
pub fn next(wanted: Wanted<'_>, set: Option<&StatefulSet>, deployment: Option<&Deployment>) -> Next {
    let is_going = set.is_some_and(|set| set.metadata.deletion_timestamp.is_some())
        || deployment.is_some_and(|deployment| deployment.metadata.deletion_timestamp.is_some());
    if is_going {
        return Next::AwaitRemoval;
    }
    match (wanted, set, deployment) {
        (Wanted::StatefulSet(_) | Wanted::Nothing, _, Some(_)) => Next::RemoveDeployment,
        (Wanted::StatefulSet(claims), Some(set), None) if has_claims(set, claims) => Next::Apply,
        (_, Some(set), _) => remove(set),
        (_, None, _) => Next::Apply,
    }
}

fn remove(set: &StatefulSet) -> Next {
    let (spec, status) = (&set.spec, &set.status);
    let is_seen = status.observed_generation == set.metadata.generation;
    let is_ordered = spec.pod_management_policy.as_deref() != Some(AT_ONCE);
    match () {
        () if spec.volume_claim_templates.is_empty() => Next::RemoveStatefulSet,
        () if !is_bound(set) => Next::BindVolume,
        () if !is_seen => Next::AwaitBinding,
        () if is_ordered && spec.replicas != Some(0) => Next::EndPod,
        () if is_ordered && status.replicas > 0 => Next::AwaitBinding,
        () => Next::RemoveStatefulSet,
    }
}

/// Whether its volumes go with it.
fn is_bound(set: &StatefulSet) -> bool {
    let policy = &set.spec.persistent_volume_claim_retention_policy;
    policy.when_deleted.as_deref() == Some(CLAIMS_GO)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn claims(size: &str) -> Value {
        json!([{ "metadata": { "name": "data" }, "spec": { "resources": { "requests": { "storage": size } } } }])
    }

    /// A StatefulSet with such claims, whose controller has seen this of it.
    fn set(claims: &Value, policy: &str, observed: i64) -> StatefulSet {
        serde_json::from_value(json!({
            "metadata": { "name": "live-redis", "generation": 2 },
            "spec": {
                "replicas": 1, "podManagementPolicy": "Parallel", "volumeClaimTemplates": claims,
                "persistentVolumeClaimRetentionPolicy": { "whenDeleted": policy },
            },
            "status": { "observedGeneration": observed, "replicas": 1 },
        }))
        .unwrap()
    }

    /// The same as the release before made it, where so many pods are wanted and so many are there.
    fn ordered(policy: &str, (wanted, there): (i32, i32)) -> StatefulSet {
        let mut set = set(&claims("1Gi"), policy, 2);
        set.spec.pod_management_policy = Some("OrderedReady".to_owned());
        (set.spec.replicas, set.status.replicas) = (Some(wanted), there);
        set
    }

    fn gone(mut set: StatefulSet) -> StatefulSet {
        set.metadata.deletion_timestamp = serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap();
        set
    }

    #[test]
    fn what_is_not_wanted_goes_first_and_with_its_volume() {
        let (none, small) = (json!([]), claims("1Gi"));
        let wanted: Vec<Claim> = serde_json::from_value(claims("2Gi")).unwrap();
        let (stored, memory) = (Wanted::StatefulSet(&wanted), Wanted::Deployment);
        let deployment = Deployment::default();
        for (what, wanted, live, next_is) in [
            ("nothing is there", memory, None, Next::Apply),
            ("nothing is there", stored, None, Next::Apply),
            (
                "of the release before",
                memory,
                Some(set(&none, "Retain", 2)),
                Next::RemoveStatefulSet,
            ),
            (
                "its volume would stay",
                memory,
                Some(set(&small, "Retain", 2)),
                Next::BindVolume,
            ),
            (
                "its controller has not looked",
                memory,
                Some(set(&small, "Delete", 1)),
                Next::AwaitBinding,
            ),
            (
                "its volume goes",
                memory,
                Some(set(&small, "Delete", 2)),
                Next::RemoveStatefulSet,
            ),
            (
                "another size",
                stored,
                Some(set(&small, "Delete", 2)),
                Next::RemoveStatefulSet,
            ),
            ("another size", stored, Some(set(&small, "Retain", 2)), Next::BindVolume),
            (
                "a volume for the first time",
                stored,
                Some(set(&none, "Retain", 2)),
                Next::RemoveStatefulSet,
            ),
            (
                "the same size",
                stored,
                Some(set(&claims("2048Mi"), "Retain", 1)),
                Next::Apply,
            ),
            (
                "it goes",
                stored,
                Some(gone(set(&claims("2Gi"), "Delete", 2))),
                Next::AwaitRemoval,
            ),
            (
                "it goes",
                memory,
                Some(gone(set(&none, "Retain", 2))),
                Next::AwaitRemoval,
            ),
        ] {
            assert_eq!(next(wanted, live.as_ref(), None), next_is, "{what}");
        }
        for (what, live, next_is) in [
            ("its volume would stay", ordered("Retain", (1, 1)), Next::BindVolume),
            ("its pod may not be ready", ordered("Delete", (1, 1)), Next::EndPod),
            ("its pod ends", ordered("Delete", (0, 1)), Next::AwaitBinding),
            ("its pod has ended", ordered("Delete", (0, 0)), Next::RemoveStatefulSet),
        ] {
            assert_eq!(next(memory, Some(&live), None), next_is, "{what}");
            assert_eq!(next(Wanted::Nothing, Some(&live), None), next_is, "{what}");
            assert_eq!(next(stored, Some(&live), None), next_is, "{what}");
        }
        assert_eq!(next(memory, None, Some(&deployment)), Next::Apply);
        assert_eq!(next(stored, None, Some(&deployment)), Next::RemoveDeployment);
        assert_eq!(next(Wanted::Nothing, None, Some(&deployment)), Next::RemoveDeployment);
        assert_eq!(next(Wanted::Nothing, None, None), Next::Apply, "nothing is left to do");
        assert_eq!(
            next(stored, Some(&set(&small, "Delete", 2)), Some(&deployment)),
            Next::RemoveDeployment
        );
    }

    #[test]
    fn a_volume_is_looked_at_before_it_is_bound_to_a_stateful_set() {
        let (sized, bound, kept) = (
            claims("1Gi"),
            set(&claims("1Gi"), "Delete", 2),
            set(&claims("1Gi"), "Retain", 2),
        );
        let wanted: Vec<Claim> = serde_json::from_value(sized).unwrap();
        let (stored, memory, none) = (Wanted::StatefulSet(&wanted), Wanted::Deployment, Wanted::Nothing);
        for (next, wanted, set, expected) in [
            (Next::BindVolume, none, Some(&kept), true),
            (Next::BindVolume, memory, Some(&kept), true),
            (Next::RemoveStatefulSet, stored, Some(&bound), true),
            (Next::RemoveStatefulSet, memory, Some(&bound), false),
            (Next::RemoveDeployment, stored, None, true),
            (Next::RemoveDeployment, none, None, false),
            (Next::Apply, stored, Some(&kept), true),
            (Next::Apply, stored, Some(&bound), false),
            (Next::Apply, memory, None, false),
        ] {
            assert_eq!(next.binds_volume(wanted, set), expected, "{next:?} {wanted:?}");
        }
    }
}
