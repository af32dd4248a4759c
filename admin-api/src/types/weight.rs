//! How much memory a report takes in the program that read it: a few bytes of JSON can become many.
//!
//! Lists and texts have bounds of their own ([`bounds`](super::bounds)). Who keeps the reports of many nodes has a budget for
//! all of them, and these weights are what counts against it.

use super::links::LinkReport;
use super::node_report::NodeReport;
use super::publications::{CarriedReport, PublicationReport, TrackReport};

/// What an allocator needs beside each piece of memory, in bytes.
const PIECE: usize = 16;

fn piece(bytes: usize) -> usize {
    if bytes == 0 { 0 } else { bytes + PIECE }
}

fn text(text: &str) -> usize {
    piece(text.len())
}

/// A list with all that its entries hold.
fn list<T>(entries: &[T], held: impl Fn(&T) -> usize) -> usize {
    piece(size_of_val(entries)) + entries.iter().map(held).sum::<usize>()
}

fn track(track: &TrackReport) -> usize {
    let rid = |rid: &Option<String>| rid.as_deref().map_or(0, text);
    text(&track.codec) + list(&track.layers, |layer| rid(&layer.rid))
}

fn publication(publication: &PublicationReport) -> usize {
    let names = text(publication.id.as_str()) + text(publication.stream.as_str());
    names + list(&publication.tracks, track) + list(&publication.subscribers, |node| text(node.as_str()))
}

fn carried(carried: &CarriedReport) -> usize {
    text(carried.publication.as_str()) + text(carried.stream.as_str()) + text(carried.origin.as_str())
}

fn link(link: &LinkReport) -> usize {
    let remote = link.remote.as_ref().map_or(0, |id| text(id.as_str()));
    text(link.id.as_str()) + text(link.peer.as_str()) + text(link.peer_incarnation.as_str()) + remote
}

/// The first entries of a list that weigh no more than `room` together, and what is left of it. Whether all fit.
fn cut<T>(entries: &mut Vec<T>, held: impl Fn(&T) -> usize, room: &mut usize) -> bool {
    let fit = entries
        .iter()
        .take_while(|entry| {
            let left = room.checked_sub(size_of::<T>() + held(entry));
            *room = left.unwrap_or(0);
            left.is_some()
        })
        .count();
    let all = fit == entries.len();
    entries.truncate(fit);
    entries.shrink_to_fit();
    all
}

impl PublicationReport {
    /// About as many bytes of memory as a list of them takes.
    #[must_use]
    pub fn weight_of(publications: &[Self]) -> usize {
        list(publications, publication)
    }
}

impl NodeReport {
    /// About as many bytes of memory as this report takes.
    #[must_use]
    pub fn weight(&self) -> usize {
        let peers = list(&self.peers, |peer| {
            let names = text(peer.name.as_str()) + text(peer.incarnation.as_str());
            names + text(&peer.admin_url) + text(&peer.client_url)
        });
        size_of::<Self>()
            + peers
            + list(&self.links, link)
            + list(&self.publications, publication)
            + list(&self.carried, carried)
    }

    /// Keeps as much of its lists of publications as takes at most `most` bytes of memory, own ones first. Whether that
    /// is all of them.
    pub fn cut_publications(&mut self, most: usize) -> bool {
        let mut room = most;
        let own = cut(&mut self.publications, publication, &mut room);
        cut(&mut self.carried, carried, &mut room) && own
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::NodeName;
    use serde_json::{Value, json};

    fn report(lists: &Value) -> NodeReport {
        let mut report = json!({
            "apiVersion": 1, "version": "1", "name": "n", "incarnation": "i", "adminUrl": "http://n", "clientUrl": "http://n",
            "revision": 1, "workers": 1, "linkEncryption": false, "ready": true, "draining": false, "redis": true,
            "peers": [], "links": [], "publications": [], "carried": [], "viewers": 0, "publishers": 0,
        });
        let fields = report.as_object_mut().unwrap();
        fields.extend(lists.as_object().unwrap().clone());
        serde_json::from_value(report).unwrap()
    }

    /// What has many parts for few bytes of JSON: a layer is `{}`, and a subscriber three bytes.
    fn dense(streams: usize) -> Value {
        let tracks = json!([{ "kind": "audio", "codec": "", "layers": [{}, {}, {}, {}, {}, {}, {}, {}] }]);
        let publication = json!({
            "id": "p", "stream": "s", "generation": 0, "worker": 0, "tracks": tracks, "viewers": 0, "subscribers": vec!["n"; 64],
        });
        json!({ "publications": vec![publication; streams] })
    }

    #[test]
    fn what_becomes_much_memory_weighs_more_than_its_json() {
        let lists = dense(100);
        let weight = report(&lists).weight();
        assert!(weight > 4 * lists.to_string().len(), "{weight}");
        assert!(weight > 100 * (64 * size_of::<NodeName>() + 8 * 32), "{weight}");
    }

    #[test]
    fn a_report_is_cut_to_what_it_may_weigh_and_says_so() {
        let mut whole = report(&dense(100));
        let weight = whole.weight();
        assert!(whole.cut_publications(weight));
        assert_eq!(whole.publications.len(), 100);
        assert!(!whole.cut_publications(weight / 2));
        assert!(
            (40..=50).contains(&whole.publications.len()),
            "{}",
            whole.publications.len()
        );
        assert!(whole.weight() <= weight / 2 + size_of::<NodeReport>() + PIECE);
        assert!(!whole.cut_publications(0));
        assert_eq!(whole.publications.len(), 0);
    }

    #[test]
    fn own_publications_are_kept_before_relayed_ones() {
        let carried = json!({
            "publication": "p", "stream": "s", "origin": "n", "viewers": 1, "lane": 0, "packetsLost": 0, "packetsReceived": 0,
        });
        let mut lists = dense(10);
        lists["carried"] = json!(vec![carried; 10]);
        let mut report = report(&lists);
        let own = list(&report.publications, publication);
        assert!(!report.cut_publications(own + 2 * size_of::<CarriedReport>()));
        assert_eq!(report.publications.len(), 10);
        assert!((1..=2).contains(&report.carried.len()), "{}", report.carried.len());
    }
}
