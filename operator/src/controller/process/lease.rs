//! Which of several operators carries out SfuClusters: the holder of a Lease.
//!
//! Every write is guarded by the resourceVersion that was read, so that two can never both believe to have won. Whether
//! a holder is still alive is judged by this process's own clock, from when the Lease was last *seen* to change: clocks of
//! hosts need not agree. A holder that cannot renew in time ends its process: what it was doing is safe to be done
//! twice, and a fresh start is the surest way to stop.

use crate::controller::words::words;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::PostParams;
use kube::{Api, Client, ResourceExt};
use std::future::Future;
use std::time::{Duration, Instant};
use tokio::sync::watch;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// After this long without a renewal others may take over.
    pub duration: Duration,
    /// After this long without a renewal of its own the holder ends. Below `duration`, so that two never lead.
    pub renew_deadline: Duration,
    /// Pause between two looks, and between two renewals.
    pub retry: Duration,
}

impl Timing {
    /// In the proportions of Kubernetes' own components (15 s, 10 s, 2 s). A Lease counts in whole seconds.
    #[must_use]
    pub fn of(duration: Duration) -> Self {
        let duration = Duration::from_secs(duration.as_secs());
        Self {
            duration,
            renew_deadline: duration * 2 / 3,
            retry: duration * 2 / 15,
        }
    }
}

/// How long a Lease counts whose holder says nothing about it.
const UNSAID: Duration = Duration::from_secs(15);

/// How this process stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// The Lease has not been seen yet.
    Unknown,
    /// Another holds it.
    Follower,
    /// This process holds it.
    Leader,
}

/// What to do about a Lease as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LeaseAction {
    /// Write ourselves into it.
    Take,
    /// Write that we are still there.
    Renew,
    /// Another holds it.
    Leave,
}

/// Judges a Lease. `unchanged` is how long it has looked like this to us.
#[must_use]
pub fn evaluate(spec: Option<&LeaseSpec>, me: &str, unchanged: Duration) -> LeaseAction {
    let Some(spec) = spec else {
        return LeaseAction::Take;
    };
    match spec.holder_identity.as_deref() {
        None | Some("") => LeaseAction::Take,
        Some(holder) if holder == me => LeaseAction::Renew,
        Some(_) if unchanged >= lasts(spec) => LeaseAction::Take,
        Some(_) => LeaseAction::Leave,
    }
}

/// How long a Lease counts without a renewal, as its holder has written into it.
fn lasts(spec: &LeaseSpec) -> Duration {
    let seconds = spec.lease_duration_seconds.and_then(|s| u64::try_from(s).ok());
    Duration::from_secs(seconds.unwrap_or(UNSAID.as_secs()))
}

/// How long to wait before the next look: who follows looks again when the Lease runs out, and not up to `retry` later.
fn pause(spec: Option<&LeaseSpec>, me: &str, unchanged: Duration, retry: Duration) -> Duration {
    match spec {
        Some(spec) if evaluate(Some(spec), me, unchanged) == LeaseAction::Leave => {
            retry.min(lasts(spec).saturating_sub(unchanged))
        }
        _ => retry,
    }
}

/// How long a call about the Lease may take, this long after the last renewal. Half of the renew deadline at most, so that
/// one call without an answer leaves time for another; and never so long that the deadline passes unnoticed.
fn call_deadline(timing: Timing, renewed: Option<Duration>) -> Duration {
    let left = timing.renew_deadline.saturating_sub(renewed.unwrap_or_default());
    left.min(timing.renew_deadline / 2).max(Duration::from_millis(1))
}

/// The Lease's next content when `me` writes itself into it.
fn written(spec: Option<&LeaseSpec>, me: &str, timing: Timing, now: Timestamp) -> LeaseSpec {
    let mine = spec.is_some_and(|spec| spec.holder_identity.as_deref() == Some(me));
    let before = spec.and_then(|spec| spec.lease_transitions).unwrap_or(0);
    LeaseSpec {
        holder_identity: Some(me.to_owned()),
        lease_duration_seconds: i32::try_from(timing.duration.as_secs()).ok(),
        acquire_time: match spec {
            Some(spec) if mine => spec.acquire_time.clone(),
            _ => Some(MicroTime(now)),
        },
        renew_time: Some(MicroTime(now)),
        lease_transitions: Some(if mine { before } else { before.saturating_add(1) }),
        ..spec.cloned().unwrap_or_default()
    }
}

/// Takes part in an election.
pub struct Elector {
    api: Api<Lease>,
    name: String,
    me: String,
    timing: Timing,
    seen: Option<Lease>,
    /// When `seen` was first seen.
    since: Instant,
    /// When this process last wrote itself into the Lease.
    renewed: Option<Instant>,
    standing: watch::Sender<Standing>,
    /// The other operator that leads, as the log has it.
    told: Option<String>,
}

/// This process has lost the Lease, and must end.
#[derive(Debug, thiserror::Error)]
#[error("the lease {name} was lost ({why}); another operator carries on, and this one ends")]
pub struct Lost {
    name: String,
    why: String,
}

impl Elector {
    /// An elector of `me` for the Lease `name` of a namespace.
    #[must_use]
    pub fn new(client: Client, namespace: &str, name: &str, me: &str, timing: Timing) -> Self {
        Self {
            api: Api::namespaced(client, namespace),
            name: name.to_owned(),
            me: me.to_owned(),
            timing,
            seen: None,
            since: Instant::now(),
            renewed: None,
            standing: watch::Sender::new(Standing::Unknown),
            told: None,
        }
    }

    /// How this process stands, as it changes.
    #[must_use]
    pub fn standing(&self) -> watch::Receiver<Standing> {
        self.standing.subscribe()
    }

    /// Takes part until `stop`, and then gives the Lease back. An API server that is not there is waited for, unless this
    /// process holds the Lease.
    ///
    /// # Errors
    /// When the Lease was held and is lost.
    pub async fn run(mut self, stop: impl Future<Output = ()>) -> Result<(), Lost> {
        let mut stop = std::pin::pin!(stop);
        loop {
            let round = tokio::time::timeout(self.call_deadline(), self.round());
            let outcome = tokio::select! {
                () = &mut stop => break,
                outcome = round => outcome,
            };
            match outcome {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!(
                    lease = self.name,
                    error = words(&error),
                    "the lease cannot be looked at"
                ),
                // It has waited long enough for its turn: of the renew deadline little more than a third is left.
                Err(_) => {
                    tracing::warn!(lease = self.name, "no answer about the lease in time");
                    self.check()?;
                    continue;
                }
            }
            self.check()?;
            tokio::select! {
                () = &mut stop => break,
                () = tokio::time::sleep(self.pause()) => {}
            }
            self.check()?;
        }
        self.give_back().await;
        Ok(())
    }

    fn pause(&self) -> Duration {
        let spec = self.seen.as_ref().and_then(|lease| lease.spec.as_ref());
        pause(spec, &self.me, self.since.elapsed(), self.timing.retry)
    }

    fn call_deadline(&self) -> Duration {
        call_deadline(self.timing, self.renewed.map(|at| at.elapsed()))
    }

    fn check(&self) -> Result<(), Lost> {
        let lost = |why: String| Lost {
            name: self.name.clone(),
            why,
        };
        let Some(renewed) = self.renewed else {
            return Ok(());
        };
        let holder = self
            .seen
            .as_ref()
            .and_then(|lease| lease.spec.as_ref()?.holder_identity.clone());
        if holder.as_deref() != Some(self.me.as_str()) {
            return Err(lost(format!(
                "{} has it",
                holder.unwrap_or_else(|| "nobody".to_owned())
            )));
        }
        if renewed.elapsed() >= self.timing.renew_deadline {
            return Err(lost(format!("not renewed for {} ms", renewed.elapsed().as_millis())));
        }
        Ok(())
    }

    async fn round(&mut self) -> kube::Result<()> {
        let live = self.api.get_opt(&self.name).await?;
        self.saw(live);
        let spec = self.seen.as_ref().and_then(|lease| lease.spec.as_ref());
        if evaluate(spec, &self.me, self.since.elapsed()) == LeaseAction::Leave {
            self.tell_leader();
            self.standing.send_replace(Standing::Follower);
            return Ok(());
        }
        // The moment before the write: others count from when they see it, which is later.
        let before = Instant::now();
        let now = written(spec, &self.me, self.timing, Timestamp::now());
        let outcome = match &self.seen {
            None => {
                let mut lease = Lease::default();
                lease.metadata.name = Some(self.name.clone());
                lease.spec = Some(now);
                self.api.create(&PostParams::default(), &lease).await
            }
            Some(seen) => {
                let mut lease = seen.clone();
                lease.spec = Some(now);
                self.api.replace(&self.name, &PostParams::default(), &lease).await
            }
        };
        match outcome {
            Ok(lease) => {
                if self.renewed.is_none() {
                    tracing::info!(lease = self.name, identity = self.me, "this operator leads");
                }
                self.saw(Some(lease));
                self.renewed = Some(before);
                self.standing.send_replace(Standing::Leader);
                Ok(())
            }
            // Another was quicker; the next look shows who.
            Err(kube::Error::Api(status)) if matches!(status.code, 409) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Whoever reads the log of one that waits for its turn wants to know where to read on.
    fn tell_leader(&mut self) {
        let holder = (self.seen.as_ref()).and_then(|lease| lease.spec.as_ref()?.holder_identity.clone());
        if holder != self.told {
            tracing::info!(
                lease = self.name,
                identity = self.me,
                leader = holder.as_deref(),
                "another operator leads, and this one waits for its turn"
            );
            self.told = holder;
        }
    }

    fn saw(&mut self, lease: Option<Lease>) {
        let version = |lease: &Option<Lease>| lease.as_ref().and_then(ResourceExt::resource_version);
        if version(&lease) != version(&self.seen) || lease.is_none() {
            self.since = Instant::now();
        }
        self.seen = lease;
    }

    /// Says that nobody holds the Lease, so that the next one need not wait.
    async fn give_back(&mut self) {
        let (Some(_), Some(lease)) = (self.renewed, self.seen.clone()) else {
            return;
        };
        let mut lease = lease;
        if let Some(spec) = &mut lease.spec {
            spec.holder_identity = None;
            spec.lease_duration_seconds = Some(1);
        }
        let params = PostParams::default();
        let write = self.api.replace(&self.name, &params, &lease);
        match tokio::time::timeout(self.timing.retry, write).await {
            Ok(Ok(_)) => tracing::info!(lease = self.name, "gave the lease back"),
            Ok(Err(error)) => tracing::warn!(
                lease = self.name,
                error = words(&error),
                "the lease could not be given back"
            ),
            Err(_) => tracing::warn!(lease = self.name, "the lease could not be given back in time"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_keep_their_proportions_and_a_holder_ends_before_others_take_over() {
        let seconds = Duration::from_secs;
        let timing = Timing::of(seconds(15));
        assert_eq!((timing.renew_deadline, timing.retry), (seconds(10), seconds(2)));
        let short = Timing::of(Duration::from_millis(3_900));
        assert_eq!((short.duration, short.renew_deadline), (seconds(3), seconds(2)));
    }

    #[test]
    fn one_call_without_an_answer_leaves_time_for_another_and_the_last_ends_with_the_deadline() {
        let (timing, seconds) = (Timing::of(Duration::from_secs(15)), Duration::from_secs);
        assert_eq!(call_deadline(timing, None), seconds(5));
        assert_eq!(call_deadline(timing, Some(timing.retry)), seconds(5));
        assert_eq!(call_deadline(timing, Some(seconds(9))), seconds(1));
        assert!(call_deadline(timing, Some(seconds(11))) < seconds(1));
    }

    fn held_by(holder: &str, seconds: i32) -> LeaseSpec {
        LeaseSpec {
            holder_identity: Some(holder.to_owned()),
            lease_duration_seconds: Some(seconds),
            ..LeaseSpec::default()
        }
    }

    const fn after(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_lease_of_nobody_is_taken() {
        assert_eq!(evaluate(None, "me", after(0)), LeaseAction::Take);
        assert_eq!(evaluate(Some(&LeaseSpec::default()), "me", after(0)), LeaseAction::Take);
        assert_eq!(evaluate(Some(&held_by("", 15)), "me", after(0)), LeaseAction::Take);
    }

    #[test]
    fn a_lease_of_another_is_left_until_it_has_not_changed_for_its_own_duration() {
        let lease = held_by("other", 15);
        assert_eq!(
            evaluate(Some(&lease), "me", Duration::from_millis(14_999)),
            LeaseAction::Leave
        );
        assert_eq!(evaluate(Some(&lease), "me", after(15)), LeaseAction::Take);
        assert_eq!(evaluate(Some(&held_by("other", 1)), "me", after(1)), LeaseAction::Take);
    }

    #[test]
    fn who_follows_looks_again_when_the_lease_runs_out_and_who_leads_at_every_turn() {
        let (lease, turn) = (held_by("other", 15), Duration::from_secs(2));
        assert_eq!(pause(Some(&lease), "me", after(5), turn), turn);
        assert_eq!(pause(Some(&lease), "me", after(14), turn), after(1));
        assert_eq!(pause(Some(&lease), "other", after(14), turn), turn);
        assert_eq!(pause(Some(&lease), "me", after(15), turn), turn, "taking it failed");
        assert_eq!(pause(None, "me", after(0), turn), turn);
    }

    #[test]
    fn what_the_other_host_calls_the_time_does_not_matter() {
        let mut lease = held_by("other", 15);
        lease.renew_time = Some(MicroTime(Timestamp::UNIX_EPOCH));
        assert_eq!(evaluate(Some(&lease), "me", after(1)), LeaseAction::Leave);
    }

    #[test]
    fn a_nonsense_duration_is_taken_for_the_usual_one() {
        assert_eq!(
            evaluate(Some(&held_by("other", -1)), "me", after(14)),
            LeaseAction::Leave
        );
        assert_eq!(
            evaluate(Some(&held_by("other", -1)), "me", after(15)),
            LeaseAction::Take
        );
    }

    #[test]
    fn taking_over_counts_a_transition_and_renewing_keeps_the_acquire_time() {
        let (then, now) = (Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH + Duration::from_secs(5));
        let timing = Timing::of(Duration::from_secs(15));
        let taken = written(Some(&held_by("other", 15)), "me", timing, then);
        assert_eq!(
            (taken.lease_transitions, taken.acquire_time.clone()),
            (Some(1), Some(MicroTime(then)))
        );
        let renewed = written(Some(&taken), "me", timing, now);
        assert_eq!(
            (renewed.lease_transitions, renewed.acquire_time),
            (Some(1), Some(MicroTime(then)))
        );
        assert_eq!(renewed.renew_time, Some(MicroTime(now)));
    }
}
