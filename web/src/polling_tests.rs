use super::*;
use crate::view::samples::{name, report, whole};
use parking_lot::Mutex;
use std::sync::Arc;

/// Nodes by admin URL; what is not in the table refuses the connection.
#[derive(Clone, Default)]
struct Table(Arc<Mutex<BTreeMap<String, NodeReport>>>);

impl Table {
    fn of(reports: impl IntoIterator<Item = NodeReport>) -> Self {
        let table = Self::default();
        table
            .0
            .lock()
            .extend(reports.into_iter().map(|r| (r.node.admin_url.clone(), r)));
        table
    }
}

impl Reports for Table {
    async fn report(&self, url: &str, after: Option<u64>, wait: Duration) -> Result<NodeReport, NoReport> {
        let found = self.0.lock().get(url).cloned();
        match found {
            Some(report) if after == Some(report.revision) => {
                tokio::time::sleep(wait).await;
                Ok(report)
            }
            Some(report) => Ok(report),
            None => Err(NoReport {
                why: "connection refused".to_owned(),
                unusable: false,
            }),
        }
    }

    async fn observer(&self, _: &str, _: &Observer) -> Result<Observing, String> {
        unreachable!("polling asks for reports only")
    }
}

async fn until(view: &mut watch::Receiver<View>, what: impl FnMut(&View) -> bool) {
    tokio::time::timeout(Duration::from_secs(60), view.wait_for(what))
        .await
        .expect("in time")
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn from_one_seed_every_node_becomes_known_and_a_silent_one_turns_unreachable_and_back() {
    let [a, b, c] = whole(["10.0.0.1", "10.0.0.2", "10.0.0.3"]);
    let table = Table::of([a, b.clone(), c]);
    let (view, mut seen) = watch::channel(View::default());
    let seeds = vec!["http://10.0.0.1:4000".parse().unwrap()];
    let task = tokio::spawn(run(view, seeds, table.clone()));
    until(&mut seen, |view| view.reports().count() == 3).await;

    table.0.lock().remove("http://10.0.0.2:4000");
    until(&mut seen, |view| !view.nodes()[&name("10.0.0.2")].reachable).await;
    assert_eq!(seen.borrow().nodes().len(), 3);

    table.0.lock().insert("http://10.0.0.2:4000".to_owned(), b);
    until(&mut seen, |view| view.nodes()[&name("10.0.0.2")].reachable).await;
    task.abort();
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_gone_for_good_is_not_polled_any_more() {
    let [a, b] = whole(["10.0.0.1", "10.0.0.2"]);
    let table = Table::of([a, b]);
    let (view, mut seen) = watch::channel(View::default());
    let seeds = vec!["http://10.0.0.1:4000".parse().unwrap()];
    let task = tokio::spawn(run(view, seeds, table.clone()));
    until(&mut seen, |view| view.reports().count() == 2).await;

    let mut alone = report("10.0.0.1");
    alone.revision = 2;
    table.0.lock().remove("http://10.0.0.2:4000");
    table.0.lock().insert("http://10.0.0.1:4000".to_owned(), alone);
    until(&mut seen, |view| view.nodes().len() == 1).await;
    assert_eq!(
        seen.borrow().targets(),
        BTreeSet::from(["http://10.0.0.1:4000".to_owned()])
    );
    task.abort();
}

#[test]
fn a_report_that_takes_much_memory_is_asked_for_seldom() {
    assert_eq!(gap(10_000), POLL_GAP);
    assert_eq!(gap(2 << 20), Duration::from_secs(2));
    assert_eq!(gap(usize::MAX), LONGEST_GAP);
}
