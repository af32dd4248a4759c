//! Who else sets numbers of pods that are the manifest's to say. Each such write is reverted, and an autoscaler writes again: nobody
//! would learn that the two fight, but for pods that come and go.

use crate::cluster::remark::{Remark, SCALED_ELSEWHERE};
use crate::controller::build::ClusterId;
use crate::controller::watch::owned_fields::scaled_away_by;
use crate::controller::watch::queue::Key;
use kube::core::ObjectMeta;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// How long it is told after the last such write. A HorizontalPodAutoscaler looks every 15 s.
const TOLD_FOR: Duration = Duration::from_secs(60);

/// What is known of it, by cluster.
#[derive(Default)]
pub struct Scalers {
    all: Mutex<BTreeMap<Key, OfCluster>>,
}

#[derive(Default)]
struct OfCluster {
    /// UIDs of the objects whose number was applied last.
    counted: BTreeSet<String>,
    /// What was reverted last of each object and of each who scales it, and when. Few: it is forgotten when it is over.
    last: BTreeMap<[String; 3], (Remark, Instant)>,
}

impl Scalers {
    /// Who has set the number of an object since it was applied, if it is about to be applied again. Where the manifest has not
    /// said a number before, whoever did was right.
    #[must_use]
    pub fn overruled(&self, id: &ClusterId, live: &ObjectMeta, counts: bool) -> Option<String> {
        let uid = live.uid.as_ref()?;
        let all = self.all.lock();
        let was_counted = all.get(&Key::from(id))?.counted.contains(uid);
        let manager = scaled_away_by(live).filter(|_| counts && was_counted)?;
        Some(manager.to_owned())
    }

    /// Notes what the API server has answered, and whether it was told a number.
    pub fn applied(&self, id: &ClusterId, live: &ObjectMeta, counts: bool) {
        if let Some(uid) = live.uid.clone() {
            let mut all = self.all.lock();
            let counted = &mut all.entry(Key::from(id)).or_default().counted;
            if counts {
                counted.insert(uid);
            } else {
                counted.remove(&uid);
            }
        }
    }

    /// Notes that what `manager` has set was reverted.
    pub fn reverted(&self, id: &ClusterId, (kind, name): (&str, &str), manager: &str, now: Instant) {
        let remark = remark(id, kind, name, manager);
        let mut all = self.all.lock();
        let last = &mut all.entry(Key::from(id)).or_default().last;
        last.retain(|_, (_, at)| now.saturating_duration_since(*at) < TOLD_FOR);
        last.insert([kind, name, manager].map(str::to_owned), (remark, now));
    }

    /// What is told of it, while it is no longer ago than that. Of several, always the same: their turns are no news.
    #[must_use]
    pub fn told(&self, id: &ClusterId, now: Instant) -> Option<Remark> {
        let all = self.all.lock();
        let mut last = all.get(&Key::from(id))?.last.values();
        let (remark, _) = last.find(|(_, at)| now.saturating_duration_since(*at) < TOLD_FOR)?;
        Some(remark.clone())
    }

    pub fn forget(&self, cluster: &Key) {
        self.all.lock().remove(cluster);
    }
}

/// Without the number: of a fight, one event is enough.
fn remark(id: &ClusterId, kind: &str, name: &str, manager: &str) -> Remark {
    let cluster = &id.name;
    let advice = if name == id.nodes() {
        format!(
            "point the HorizontalPodAutoscaler at SfuCluster {cluster}, which has the scale subresource, or use \
             `kubectl scale sfu/{cluster} --replicas=COUNT`"
        )
    } else if name == id.web() {
        "leave spec.web.replicas out of the manifest to have others set it, or remove the HorizontalPodAutoscaler"
            .to_owned()
    } else {
        "remove the HorizontalPodAutoscaler: managed Redis is one pod".to_owned()
    };
    let message = format!("{manager} scales {kind} {name}, and the operator reverts it: {advice}");
    Remark::new(SCALED_ELSEWHERE, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::watch::owned_fields::condense;
    use serde_json::json;

    fn id() -> ClusterId {
        ClusterId {
            namespace: "media".to_owned(),
            name: "live".to_owned(),
            uid: "u".to_owned(),
        }
    }

    #[test]
    fn a_number_is_reverted_where_it_was_ours_to_say_and_nowhere_else() {
        let (scalers, id) = (Scalers::default(), id());
        let by = |manager: &str, operation: &str| {
            let fields = json!({ "f:spec": { "f:replicas": {} } });
            let managed = json!([{ "manager": manager, "operation": operation, "fieldsV1": fields }]);
            let mut live = serde_json::from_value(json!({ "uid": "s", "managedFields": managed })).expect("metadata");
            condense(&mut live);
            live
        };
        let (ours, theirs) = (by("sfu-operator", "Apply"), by("hpa", "Update"));
        assert_eq!(scalers.overruled(&id, &theirs, true), None, "nothing was applied yet");
        scalers.applied(&id, &ours, true);
        assert_eq!(scalers.overruled(&id, &theirs, true).as_deref(), Some("hpa"));
        assert_eq!(scalers.overruled(&id, &ours, true), None);
        assert_eq!(scalers.overruled(&id, &theirs, false), None, "no number is applied");
        scalers.applied(&id, &theirs, false);
        assert_eq!(scalers.overruled(&id, &theirs, true), None, "it was theirs to say");
    }

    #[test]
    fn who_scales_what_the_manifest_says_is_told_with_what_to_do_until_it_is_over() {
        let id = id();
        let (scalers, now) = (Scalers::default(), Instant::now());
        assert_eq!(scalers.told(&id, now), None);
        for (kind, name, advice) in [
            (
                "StatefulSet",
                "live",
                "at SfuCluster live, which has the scale subresource",
            ),
            ("Deployment", "live-web", "leave spec.web.replicas out"),
            ("Deployment", "live-redis", "managed Redis is one pod"),
        ] {
            scalers.reverted(&id, (kind, name), "hpa", now);
            let told = scalers.told(&id, now + TOLD_FOR / 2).expect("it is told").message;
            assert!(told.starts_with(&format!("hpa scales {kind} {name}, ")), "{told}");
            assert!(told.contains(advice), "{told}");
            assert_eq!(scalers.told(&id, now + TOLD_FOR), None, "it is over");
            scalers.forget(&Key::from(&id));
        }
        for (turn, by) in ["keda", "hpa", "keda", "hpa"].into_iter().enumerate() {
            let now = now + Duration::from_secs(turn as u64);
            scalers.reverted(&id, ("StatefulSet", "live"), by, now);
            let told = scalers.told(&id, now).expect("it is told").message;
            assert!(
                turn == 0 || told.starts_with("hpa scales"),
                "of two, one is told: {told}"
            );
        }
        scalers.forget(&Key::from(&id));
        assert_eq!(scalers.told(&id, now), None);
    }
}
