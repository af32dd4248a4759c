//! The file of `--status-json`: the processes, and the status that Kubernetes would show.

use super::processes::ProcessView;
use crate::crd::status::SfuClusterStatus;
use serde_json::{Value, json};
use std::io;
use std::path::{Path, PathBuf};

/// Keeps a file in step with the cluster. Written only when something has changed, and always whole: under another name
/// first, then renamed.
#[derive(Debug)]
pub struct StatusFile {
    path: PathBuf,
    written: Value,
}

impl StatusFile {
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            written: Value::Null,
        }
    }

    /// Brings the file up to date.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(
        &mut self,
        page: &str,
        logs: &Path,
        processes: &[ProcessView],
        status: &SfuClusterStatus,
    ) -> io::Result<()> {
        let process = |view: &ProcessView| {
            json!({
                "name": view.name,
                "pid": view.state.pid,
                "phase": view.state.phase.as_str(),
                "draining": view.draining,
                "restarts": view.state.restarts,
            })
        };
        let value = json!({
            "page": page,
            "logs": logs,
            "processes": processes.iter().map(process).collect::<Vec<_>>(),
            "status": status,
        });
        if value != self.written {
            let mut draft = self.path.as_os_str().to_owned();
            draft.push(".new");
            std::fs::write(&draft, format!("{value:#}\n"))?;
            std::fs::rename(&draft, &self.path)?;
            self.written = value;
        }
        Ok(())
    }

    /// Removes the file: nothing runs any more.
    pub fn remove(&self) {
        let _ = std::fs::remove_file(&self.path);
    }
}
