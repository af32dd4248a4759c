//! What viewers are told of a publication, and which events follow from its changes. Pure.

use super::kind::EventKind;
use crate::layers::Layer;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// A publication whose tracks bring no packet for this time is inactive.
pub const INACTIVE_AFTER: Duration = Duration::from_secs(3);

/// A publication as its viewers on this node see it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Status {
    /// Whether its media flows.
    pub active: bool,
    /// Its simulcast layers, from the lowest; none for a video of one layer.
    pub layers: Vec<Layer>,
    /// Viewers on this node.
    pub viewers: u32,
}

impl Status {
    /// Whether viewers should hear of the difference; bitrates move all the time and count only when they come and go.
    pub fn differs(&self, other: &Self) -> bool {
        self.active != other.active || self.viewers != other.viewers || layers_differ(&self.layers, &other.layers)
    }
}

fn layers_differ(a: &[Layer], b: &[Layer]) -> bool {
    a.len() != b.len()
        || a.iter()
            .zip(b)
            .any(|(a, b)| a.rid != b.rid || a.size != b.size || (a.bitrate > 0) != (b.bitrate > 0))
}

/// Whether packets come.
#[derive(Debug, Clone, Default)]
pub struct Activity {
    packets: u64,
    moved: Option<Instant>,
}

impl Activity {
    /// Takes the number of packets received so far; answers whether media flows.
    pub fn sample(&mut self, packets: u64, now: Instant) -> bool {
        if packets != self.packets {
            self.packets = packets;
            self.moved = Some(now);
        }
        self.moved
            .is_some_and(|moved| now.saturating_duration_since(moved) < INACTIVE_AFTER)
    }
}

/// One event, ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub kind: EventKind,
    /// Its data: JSON on one line.
    pub data: String,
}

impl Event {
    fn new(kind: EventKind, data: &Value) -> Self {
        Self {
            kind,
            data: data.to_string(),
        }
    }

    /// Asks a player to open a new session, at `url` or where it opened this one.
    pub fn reconnect(url: Option<&str>) -> Self {
        let data = url.map_or_else(|| json!({}), |url| json!({ "url": url }));
        Self::new(EventKind::Reconnect, &data)
    }
}

/// The events between what was told last (nothing yet when absent) and now, as far as they are wanted. `media` is the
/// index of the video's m-section.
pub fn events(told: Option<&Status>, now: &Status, media: Option<usize>, wanted: &BTreeSet<EventKind>) -> Vec<Event> {
    let mut events = Vec::new();
    if told.is_some_and(|told| told.active) != now.active {
        let kind = if now.active {
            EventKind::Active
        } else {
            EventKind::Inactive
        };
        events.push(Event::new(kind, &json!({})));
    }
    let old_layers = told.map_or(&[][..], |told| &told.layers);
    if let Some(media) = media
        && layers_differ(old_layers, &now.layers)
    {
        // The draft lists the highest layer first.
        let layers: Vec<Value> = now
            .layers
            .iter()
            .enumerate()
            .rev()
            .map(|(index, layer)| layer_json(index, Some(layer)))
            .collect();
        let by_section = serde_json::Map::from_iter([(media.to_string(), Value::Array(layers))]);
        events.push(Event::new(EventKind::Layers, &Value::Object(by_section)));
    }
    if told.map(|told| told.viewers) != Some(now.viewers) {
        events.push(Event::new(
            EventKind::ViewerCount,
            &json!({ "viewercount": now.viewers }),
        ));
    }
    events.retain(|event| wanted.contains(&event.kind));
    events
}

/// A layer as players see it.
pub fn layer_json(index: usize, layer: Option<&Layer>) -> Value {
    let mut json = json!({ "spatialLayerId": index });
    let Some(layer) = layer else { return json };
    if let Some(rid) = &layer.rid {
        json["rid"] = json!(rid);
        // What earlier drafts, and players written to them, call it.
        json["encodingId"] = json!(rid);
    }
    if let Some(size) = layer.size {
        json["width"] = json!(size.width);
        json["height"] = json!(size.height);
    }
    if layer.bitrate > 0 {
        json["bitrate"] = json!(layer.bitrate);
    }
    json
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::frame_size::FrameSize;

    fn layer(rid: &str, height: u32, bitrate: u64) -> Layer {
        Layer {
            rid: Some(rid.to_owned()),
            size: Some(FrameSize {
                width: height * 2,
                height,
            }),
            bitrate,
        }
    }

    fn status(active: bool, viewers: u32) -> Status {
        Status {
            active,
            viewers,
            layers: vec![layer("q", 180, 100), layer("f", 720, 0)],
        }
    }

    fn told(told: Option<&Status>, now: &Status) -> Vec<(String, String)> {
        events(told, now, Some(1), &EventKind::ALL.into())
            .into_iter()
            .map(|event| (event.kind.name().to_owned(), event.data))
            .collect()
    }

    #[test]
    fn a_new_stream_of_events_begins_with_everything_that_is_so() {
        let layers = json!({"1": [
            {"spatialLayerId": 1, "rid": "f", "encodingId": "f", "width": 1440, "height": 720},
            {"spatialLayerId": 0, "rid": "q", "encodingId": "q", "width": 360, "height": 180, "bitrate": 100},
        ]});
        let expected = [
            ("active", json!({})),
            ("layers", layers),
            ("viewercount", json!({"viewercount": 3})),
        ];
        let told = told(None, &status(true, 3));
        assert!(told.iter().all(|(_, data)| !data.contains('\n')), "data is one line");
        let told: Vec<(&str, Value)> = told
            .iter()
            .map(|(name, data)| (name.as_str(), serde_json::from_str(data).unwrap()))
            .collect();
        assert_eq!(told, expected);
    }

    #[test]
    fn there_is_no_first_inactive() {
        let names: Vec<String> = told(None, &status(false, 1))
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        assert_eq!(names, ["layers", "viewercount"]);
    }

    #[test]
    fn only_what_changed_is_told() {
        let before = status(true, 1);
        assert_eq!(told(Some(&before), &before), []);
        let names = |now: &Status| {
            told(Some(&before), now)
                .into_iter()
                .map(|(name, _)| name)
                .collect::<Vec<_>>()
        };
        assert_eq!(names(&status(false, 1)), ["inactive"]);
        assert_eq!(names(&status(true, 2)), ["viewercount"]);
        let mut more = before.clone();
        more.layers[0].bitrate = 120;
        assert_eq!(names(&more), Vec::<String>::new(), "a bitrate that moves is no event");
        more.layers[1].bitrate = 900;
        assert_eq!(names(&more), ["layers"], "a layer that comes is one");
        assert!(more.differs(&before));
    }

    #[test]
    fn what_a_player_did_not_ask_for_it_is_not_told() {
        let wanted = BTreeSet::from([EventKind::ViewerCount]);
        let events = events(None, &status(true, 3), Some(0), &wanted);
        assert_eq!(
            events.iter().map(|event| event.kind).collect::<Vec<_>>(),
            [EventKind::ViewerCount]
        );
    }

    #[test]
    fn a_viewer_without_video_hears_nothing_of_layers() {
        let kinds: Vec<EventKind> = events(None, &status(true, 1), None, &EventKind::ALL.into())
            .iter()
            .map(|event| event.kind)
            .collect();
        assert_eq!(kinds, [EventKind::Active, EventKind::ViewerCount]);
    }

    #[test]
    fn media_is_active_while_packets_come_and_for_a_moment_after() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut activity = Activity::default();
        assert!(!activity.sample(0, at(0)), "none came yet");
        assert!(activity.sample(10, at(1000)));
        assert!(activity.sample(10, at(3900)));
        assert!(!activity.sample(10, at(4000)));
        assert!(activity.sample(11, at(5000)));
    }
}
