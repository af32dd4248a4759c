//! Whether a manifest is carried out, in the terms of kstatus (sigs.k8s.io/cli-utils/pkg/kstatus), which Helm, Flux and Argo CD
//! read: `Reconciling` while there is something to do, `Stalled` where doing it again cannot help, and never both. Pure.

use super::remark::Remark;
use crate::crd::status::SfuClusterStatus;
use std::time::{Duration, Instant};

/// A manifest that gets no further for this long is told as stalled. Kubernetes gives a Deployment as long
/// (`progressDeadlineSeconds`).
pub const STALLED_AFTER: Duration = Duration::from_secs(600);

/// Type of the condition of a manifest that is being carried out; there is none otherwise.
pub const RECONCILING: &str = "Reconciling";
/// Type of the condition of a manifest that gets nowhere; there is none otherwise.
pub const STALLED: &str = "Stalled";

/// Reason of a manifest that gets no further, and nobody knows why.
pub const NO_PROGRESS: &str = "NoProgress";

/// How far a manifest is carried out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Effort {
    /// A roll, a scale-down, or a change that the platform has not taken up yet.
    pub under_way: Option<Remark>,
    /// Why a part of it could not be applied.
    pub refused: Option<Refusal>,
    /// How long it has got no further.
    pub standstill: Duration,
}

/// Why something could not be applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub remark: Remark,
    /// Whether trying the same again cannot help: somebody has to change something.
    pub is_final: bool,
}

impl Refusal {
    /// Somebody has changed an object since it was looked at, so that it was left alone.
    #[must_use]
    pub fn changed() -> Self {
        let message = "an object was changed while it was applied; it is applied again";
        Self {
            remark: Remark::new("Applying", message),
            is_final: false,
        }
    }
}

/// What is told of a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Convergence {
    /// It was carried out. What goes wrong from now on is trouble of what runs.
    Settled,
    Reconciling(Remark),
    Stalled(Remark),
}

/// Judges an effort. `generation` is that of the manifest, `before` what was told last, and `lacks` what a cluster lacks to
/// be as desired.
#[must_use]
pub fn judge(
    effort: &Effort,
    generation: Option<i64>,
    before: &SfuClusterStatus,
    lacks: Option<&Remark>,
) -> Convergence {
    if was_settled(generation, before) {
        let under_way = effort.under_way.clone();
        return under_way.map_or(Convergence::Settled, Convergence::Reconciling);
    }
    if let Some(refusal) = effort.refused.as_ref().filter(|refusal| refusal.is_final) {
        return Convergence::Stalled(refusal.remark.clone());
    }
    let refused = effort.refused.as_ref().map(|refusal| &refusal.remark);
    match effort.under_way.as_ref().or(refused).or(lacks) {
        None => Convergence::Settled,
        Some(what) if effort.standstill >= STALLED_AFTER => {
            let minutes = STALLED_AFTER.as_secs() / 60;
            let message = format!("nothing has moved for {minutes} minutes: {}", what.message);
            Convergence::Stalled(Remark::new(NO_PROGRESS, message))
        }
        Some(what) => Convergence::Reconciling(what.clone()),
    }
}

/// Whether this generation was carried out once, as far as was told.
fn was_settled(generation: Option<i64>, before: &SfuClusterStatus) -> bool {
    !before.conditions.is_empty() && before.observed_generation == generation && !is_open(before)
}

/// Whether a status says that its manifest is not carried out yet.
#[must_use]
pub fn is_open(status: &SfuClusterStatus) -> bool {
    let is_open = |kind: &str| matches!(kind, RECONCILING | STALLED);
    let mut conditions = status.conditions.iter();
    conditions.any(|condition| is_open(&condition.type_) && condition.status == "True")
}

/// Since when a manifest has got no further, as far as this process has seen: a new leader begins anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standstill {
    generation: Option<i64>,
    best: usize,
    since: Instant,
}

impl Standstill {
    /// Looks again. `steps` counts what is as desired: more of it than ever is progress, and what comes and goes is none.
    /// Who waits for publishers to leave (`waits`) stands still for a good reason.
    #[must_use]
    pub fn again(last: Option<Self>, generation: Option<i64>, steps: usize, waits: bool, now: Instant) -> Self {
        match last {
            Some(last) if last.generation == generation && steps <= last.best && !waits => last,
            Some(last) if last.generation == generation => Self {
                best: steps.max(last.best),
                since: now,
                ..last
            },
            _ => Self {
                generation,
                best: steps,
                since: now,
            },
        }
    }

    #[must_use]
    pub fn lasts(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.since)
    }
}

#[cfg(test)]
mod tests {
    use super::Convergence::{Reconciling, Settled, Stalled};
    use super::*;
    use serde_json::json;

    fn told(generation: i64, open: &[&str]) -> SfuClusterStatus {
        let condition = |kind: &&str| json!({ "type": kind, "status": "True", "reason": "R", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z" });
        let conditions: Vec<_> = ["Ready"].iter().chain(open).map(condition).collect();
        let status = json!({ "observedGeneration": generation, "conditions": conditions });
        serde_json::from_value(status).expect("a status")
    }

    fn remark(message: &str) -> Remark {
        Remark::new("R", message)
    }

    fn refused(is_final: bool) -> Option<Refusal> {
        let remark = remark("refused");
        Some(Refusal { remark, is_final })
    }

    #[test]
    fn a_manifest_is_open_until_everything_is_as_desired_and_then_only_when_something_is_under_way() {
        let (never, settled, open) = (SfuClusterStatus::default(), told(4, &[]), told(4, &["Reconciling"]));
        let (older, stalled) = (told(3, &[]), told(4, &["Stalled"]));
        let (rolls, lacks, refusal) = (remark("rolls"), remark("lacks"), remark("refused"));
        let effort = |under_way: Option<&Remark>, refused, standstill| Effort {
            under_way: under_way.cloned(),
            refused,
            standstill: Duration::from_secs(standstill),
        };
        let no_progress = |of: &str| {
            Stalled(Remark::new(
                NO_PROGRESS,
                format!("nothing has moved for 10 minutes: {of}"),
            ))
        };
        let rest = || effort(None, None, 0);
        for (case, effort, before, lacks, expected) in [
            ("new, and well at once", rest(), &never, None, Settled),
            (
                "new, and not there yet",
                rest(),
                &never,
                Some(&lacks),
                Reconciling(lacks.clone()),
            ),
            (
                "another manifest, not there yet",
                rest(),
                &older,
                Some(&lacks),
                Reconciling(lacks.clone()),
            ),
            ("another manifest that changes nothing", rest(), &older, None, Settled),
            ("trouble afterwards", rest(), &settled, Some(&lacks), Settled),
            (
                "a refusal afterwards",
                effort(None, refused(true), 0),
                &settled,
                Some(&lacks),
                Settled,
            ),
            (
                "a roll afterwards",
                effort(Some(&rolls), None, 0),
                &settled,
                None,
                Reconciling(rolls.clone()),
            ),
            (
                "the end of a roll",
                rest(),
                &open,
                Some(&lacks),
                Reconciling(lacks.clone()),
            ),
            ("after the end of a roll", rest(), &open, None, Settled),
            (
                "refused, for now",
                effort(None, refused(false), 0),
                &older,
                None,
                Reconciling(refusal.clone()),
            ),
            (
                "refused for good",
                effort(Some(&rolls), refused(true), 0),
                &older,
                None,
                Stalled(refusal.clone()),
            ),
            (
                "mended",
                effort(Some(&rolls), None, 0),
                &stalled,
                None,
                Reconciling(rolls.clone()),
            ),
            (
                "about to stall",
                effort(None, None, 599),
                &open,
                Some(&lacks),
                Reconciling(lacks.clone()),
            ),
            (
                "stalled",
                effort(None, None, 600),
                &open,
                Some(&lacks),
                no_progress("lacks"),
            ),
            (
                "stays stalled",
                effort(Some(&rolls), None, 601),
                &stalled,
                None,
                no_progress("rolls"),
            ),
            ("late, and well", effort(None, None, 601), &stalled, None, Settled),
            ("no change for long", effort(None, None, 9_999), &settled, None, Settled),
        ] {
            assert_eq!(judge(&effort, Some(4), before, lacks), expected, "{case}");
        }
    }

    #[test]
    fn what_comes_and_goes_is_no_progress() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let look = |last, steps, seconds| Standstill::again(last, Some(1), steps, false, at(seconds));
        let mut seen = look(None, 2, 0);
        for (steps, seconds, lasts) in [(3, 10, 0), (2, 20, 10), (3, 30, 20), (4, 40, 0), (4, 50, 10)] {
            seen = look(Some(seen), steps, seconds);
            assert_eq!(seen.lasts(at(seconds)).as_secs(), lasts, "at {seconds} s");
        }
        let waits = Standstill::again(Some(seen), Some(1), 0, true, at(60));
        assert_eq!(waits.lasts(at(60)).as_secs(), 0, "publishers may stay");
        assert_eq!(
            look(Some(waits), 4, 70).lasts(at(70)).as_secs(),
            10,
            "the best of all times counts"
        );
        let next = Standstill::again(Some(seen), Some(2), 0, false, at(60));
        assert_eq!(next.lasts(at(61)).as_secs(), 1, "another manifest begins anew");
    }
}
