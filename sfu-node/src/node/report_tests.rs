use super::*;
use sfumato_admin_api::types::{LayerReport, TrackKind, TrackReport};

fn long(prefix: &str, most: usize) -> String {
    format!("{prefix}{}", "x".repeat(most - prefix.len()))
}

fn publication(n: usize, subscribers: usize) -> PublicationReport {
    let layer = || LayerReport {
        rid: Some("r".repeat(16)),
        width: Some(65_535),
        height: Some(65_535),
    };
    let track = |kind| TrackReport {
        kind,
        codec: "multiopus".to_owned(),
        state: None,
        layers: (0..4).map(|_| layer()).collect(),
    };
    PublicationReport {
        id: long(&format!("p{n}-"), 64).parse().unwrap(),
        stream: long(&format!("s{n}-"), 128).parse().unwrap(),
        generation: 1 << 53,
        worker: 63,
        tracks: vec![track(TrackKind::Audio), track(TrackKind::Video)],
        viewers: 100_000,
        subscribers: (0..subscribers)
            .map(|i| long(&format!("n{i}-"), 63).parse().unwrap())
            .collect(),
    }
}

fn carried(n: usize) -> CarriedReport {
    CarriedReport {
        publication: long(&format!("p{n}-"), 64).parse().unwrap(),
        stream: long(&format!("s{n}-"), 128).parse().unwrap(),
        origin: "o".repeat(63).parse().unwrap(),
        viewers: 100_000,
        lane: sfumato_admin_api::types::Lane(63),
        packets_lost: 1 << 53,
        packets_received: 1 << 53,
    }
}

#[test]
fn no_entry_takes_more_bytes_than_are_counted_for_it() {
    for subscribers in [0, 31] {
        let report = publication(1, subscribers);
        assert!(serde_json::to_vec(&report).unwrap().len() <= bytes_of(&report));
    }
    let report = carried(1);
    assert!(serde_json::to_vec(&report).unwrap().len() <= bytes_of_carried(&report));
}

#[test]
fn of_more_publications_than_a_report_may_tell_it_tells_the_first() {
    let all: Vec<_> = (0..5_000).map(|n| publication(n, 31)).collect();
    let fit = first_that_fit(all.clone(), PUBLICATIONS_BYTES, bytes_of);
    let bytes = serde_json::to_vec(&fit).unwrap().len();
    assert!(
        (PUBLICATIONS_BYTES / 2..=PUBLICATIONS_BYTES).contains(&bytes),
        "{bytes}"
    );
    assert_eq!(fit, all[..fit.len()]);

    let few: Vec<_> = (0..10).map(carried).collect();
    assert_eq!(first_that_fit(few.clone(), CARRIED_BYTES, bytes_of_carried), few);
}
