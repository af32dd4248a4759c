//! Events: what `kubectl describe` shows below an object. Repetitions are merged, by kube's recorder; what says something
//! new for the same reason is an event of its own.

use crate::cluster::note::{Note, Tone};
use crate::controller::build::ClusterId;
use crate::controller::words::words;
use crate::crd::SfuCluster;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::{Client, Resource};
use parking_lot::Mutex;
use sfumato_admin_api::program::task;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Longest note that the API server takes, in bytes.
const MAX_NOTE: usize = 1_024;
/// How long writing an event may take. It is never waited for by a reconcile.
const DEADLINE: Duration = Duration::from_secs(10);

/// How long a repetition is merged: as long as kube's recorder remembers.
const MERGED: Duration = Duration::from_secs(6 * 60);

#[derive(Clone)]
pub struct Events {
    client: Client,
    reporter: Reporter,
    recorders: Arc<Mutex<Recorders>>,
}

/// What was told last, by the object's UID and the reason. A recorder takes the same reason for a repetition, whatever the
/// words, and keeps the first words: so other words get another recorder.
type Recorders = HashMap<(Option<String>, &'static str), Last>;

struct Last {
    text: String,
    at: Instant,
    recorder: Recorder,
}

impl Events {
    /// Under this name as the reporter.
    #[must_use]
    pub fn new(client: Client, instance: String) -> Self {
        let reporter = Reporter {
            controller: "sfumato.dev/sfu-operator".to_owned(),
            instance: Some(instance),
        };
        Self {
            client,
            reporter,
            recorders: Arc::default(),
        }
    }

    fn recorder(&self, about: &ObjectReference, note: &Note) -> Recorder {
        let mut recorders = self.recorders.lock();
        recorders.retain(|_, last| last.at.elapsed() < MERGED);
        let key = (about.uid.clone(), note.reason);
        let same = recorders.get(&key).filter(|last| last.text == note.text);
        let recorder = same.map_or_else(
            || Recorder::new(self.client.clone(), self.reporter.clone()),
            |last| last.recorder.clone(),
        );
        let last = Last {
            text: note.text.clone(),
            at: Instant::now(),
            recorder: recorder.clone(),
        };
        recorders.insert(key, last);
        recorder
    }

    /// Writes an event about a cluster, aside: events are a comfort, and nothing waits for them.
    pub fn tell(&self, about: &ObjectReference, note: Note) {
        match note.tone {
            Tone::Normal => {
                tracing::info!(
                    namespace = about.namespace,
                    cluster = about.name,
                    reason = note.reason,
                    "{}",
                    note.text
                );
            }
            Tone::Warning => {
                tracing::warn!(
                    namespace = about.namespace,
                    cluster = about.name,
                    reason = note.reason,
                    "{}",
                    note.text
                );
            }
        }
        let recorder = self.recorder(about, &note);
        let event = Event {
            type_: match note.tone {
                Tone::Normal => EventType::Normal,
                Tone::Warning => EventType::Warning,
            },
            reason: note.reason.to_owned(),
            note: Some(shortened(note.text)),
            action: note.action.to_owned(),
            secondary: None,
        };
        let about = about.clone();
        task::brief("writing an event", async move {
            let outcome = tokio::time::timeout(DEADLINE, recorder.publish(&event, &about)).await;
            let why = match outcome {
                Ok(Ok(())) => return,
                Ok(Err(error)) => words(&error),
                Err(_) => "no answer in time".to_owned(),
            };
            tracing::warn!(
                namespace = about.namespace,
                cluster = about.name,
                reason = event.reason,
                error = why,
                "an event could not be written"
            );
        });
    }
}

#[must_use]
pub fn about(id: &ClusterId) -> ObjectReference {
    ObjectReference {
        api_version: Some(SfuCluster::api_version(&()).into_owned()),
        kind: Some(SfuCluster::kind(&()).into_owned()),
        name: Some(id.name.clone()),
        namespace: Some(id.namespace.clone()),
        uid: Some(id.uid.clone()),
        ..ObjectReference::default()
    }
}

fn shortened(mut text: String) -> String {
    if text.len() > MAX_NOTE {
        let end = (0..=MAX_NOTE).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_note_is_cut_between_characters() {
        let cut = shortened("ä".repeat(600));
        assert_eq!(cut, "ä".repeat(512));
    }
}
