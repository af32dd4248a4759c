//! What a session says: lines, the summary, and the status file.

use super::difference::nodes;
use super::{MESH_PATIENCE, PATIENCE, Session};
use crate::cluster::status::status;
use crate::cluster::status_notes::changes;
use crate::local::drain_call::tell;
use crate::local::facts::{Look, facts};
use crate::local::keeper::{Keeper, Phase};
use crate::local::layout;
use crate::local::messages::seconds;
use crate::local::processes::ProcessView;
use crate::local::summary::{self, Summary};
use k8s_openapi::jiff::Timestamp;
use sfumato_mesh::MeshSnapshot;
use std::collections::BTreeMap;
use std::time::Instant;

impl Session<'_> {
    pub(super) fn greet(&self) {
        let spec = &self.cluster.spec;
        let what = self
            .args
            .file
            .as_ref()
            .map_or_else(String::new, |file| format!(" from {}", file.display()));
        let name = self.cluster.metadata.name.as_deref().unwrap_or_default();
        self.terminal
            .say(&format!("starting cluster `{name}`{what}: {}", nodes(spec.replicas)));
        if let (Some(wins), Some(_)) = (self.args.nodes, &self.args.file) {
            self.terminal
                .say(&format!("--nodes {wins} wins over spec.replicas of the file"));
        }
    }

    /// Tells what has become of the cluster: status file, mesh, and the summary once.
    pub(super) fn look(&mut self) {
        let now = Instant::now();
        let mesh = self
            .mesh
            .as_ref()
            .map(|mesh| mesh.handle.snapshots.borrow().clone())
            .unwrap_or_default();
        self.processes.observe(mesh.clone());
        // First the file, then the lines: a script that waits for a line finds the file up to date.
        self.report(&mesh);
        if let Some(line) = self.mesh_progress.line(&mesh, now) {
            self.terminal.say(&line);
        }
        for line in self.drain_progress.lines(&mesh, now) {
            self.terminal.say(&line);
        }
        let settled = self.processes.is_settled();
        self.settled = if settled { self.settled.or(Some(now)) } else { None };
        let waited_for_mesh = self
            .settled
            .is_some_and(|since| now.duration_since(since) > MESH_PATIENCE);
        if !self.summary_shown && settled && (mesh.is_whole() || waited_for_mesh) {
            self.summary_shown = true;
            self.summarize(now);
        }
        if !self.summary_shown && !self.explained && now.duration_since(self.started) > PATIENCE {
            self.explained = true;
            self.explain(&mesh);
        }
    }

    fn summarize(&self, now: Instant) {
        let after = seconds(now.duration_since(self.started));
        let Some(layout) = self.processes.layout() else {
            return;
        };
        self.terminal
            .say(&format!("everything is up (after {after}): {}", layout.web.page));
        let pids: BTreeMap<String, i32> = self
            .views()
            .into_iter()
            .filter_map(|view| Some((view.name, view.state.pid?)))
            .collect();
        self.terminal.block(&summary::text(&Summary {
            layout,
            pids: &pids,
            redis: &self.redis.shown(),
            logs: &self.state.logs(),
            file: self.args.file.as_deref(),
        }));
    }

    fn explain(&self, mesh: &MeshSnapshot) {
        let missing = self.views().into_iter().filter(|view| view.state.phase != Phase::Ready);
        let mut lines: Vec<String> = missing
            .map(|view| match view.state.trouble {
                Some(trouble) => format!("{} has died {} times ({trouble})", view.name, view.state.restarts + 1),
                None => format!("{} is not ready", view.name),
            })
            .collect();
        if lines.is_empty() {
            lines.push(format!("mesh {}/{}", mesh.established_pairs, mesh.desired_pairs));
        }
        let waited = PATIENCE.as_secs();
        self.terminal
            .warn(&format!("not everything is up after {waited} s: {}", lines.join("; ")));
    }

    /// Brings the status and its file up to date, and tells what would be an event on Kubernetes. How
    /// long the mesh took is told by lines of its own.
    fn report(&mut self, mesh: &MeshSnapshot) {
        let now = Instant::now();
        let paused = self.cluster.spec.paused;
        let (nodes, door) = (self.processes.seen(), self.processes.door());
        let redis = self.redis_keeper.as_ref().map(Keeper::state);
        let look = Look {
            version: self.version,
            wanted: layout::replicas(&self.cluster),
            paused,
            refused: self.refused.as_ref(),
            nodes: &nodes,
            door: door.as_ref(),
            redis: redis.as_ref(),
            progress: self.processes.progress(),
            mesh,
        };
        let mut facts = facts(&look, now);
        let waits = self.processes.is_emptying() || paused;
        facts.note_standstill(&mut self.standstill, waits, now);
        let before = std::mem::take(&mut self.status);
        self.status = status(&facts, &before, Timestamp::now());
        self.write_status_file();
        for note in changes(&before, &self.status) {
            tell(self.terminal, &note);
        }
    }

    fn write_status_file(&mut self) {
        let views = self.views();
        let page = self.processes.layout().map(|layout| layout.web.page.clone());
        let Some(file) = &mut self.status_file else {
            return;
        };
        if let Err(error) = file.write(&page.unwrap_or_default(), &self.state.logs(), &views, &self.status) {
            self.terminal
                .warn(&format!("cannot write the --status-json file: {error}; it is given up"));
            self.status_file = None;
        }
    }

    /// Every process, Redis first.
    fn views(&self) -> Vec<ProcessView> {
        let redis = self.redis_keeper.iter().map(|keeper| ProcessView {
            name: "redis".to_owned(),
            state: keeper.state(),
            draining: false,
        });
        redis.chain(self.processes.view()).collect()
    }
}
