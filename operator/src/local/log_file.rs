//! The log of one process: a file that is put aside when it is full, so that a cluster that runs for weeks fills no disk.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Size from which a log is put aside, in bytes. The file before it is kept, `sfu-1.log.1`, so a process has twice as much at most.
pub const MAX_LOG_BYTES: u64 = 16 * 1024 * 1024;

/// A log that is written line by line.
#[derive(Debug)]
pub struct LogFile {
    path: PathBuf,
    file: File,
    bytes: u64,
    most: u64,
}

impl LogFile {
    /// Goes on with the log at `path`, of at most `most` bytes.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open(path: &Path, most: u64) -> io::Result<Self> {
        let file = File::options().create(true).append(true).open(path)?;
        Ok(Self {
            path: path.to_owned(),
            bytes: file.metadata()?.len(),
            file,
            most,
        })
    }

    /// Adds a line. The full file is put aside before that, so the latest lines are always there: in this file, and in the one
    /// before it.
    ///
    /// # Errors
    /// When the line cannot be written.
    pub fn write(&mut self, line: &str) -> io::Result<()> {
        let bytes = line.len() as u64 + 1;
        if self.bytes > 0 && self.bytes.saturating_add(bytes) > self.most {
            self.put_aside()?;
        }
        writeln!(self.file, "{line}")?;
        self.bytes += bytes;
        Ok(())
    }

    fn put_aside(&mut self) -> io::Result<()> {
        let mut old = self.path.clone().into_os_string();
        old.push(".1");
        std::fs::rename(&self.path, old)?;
        self.file = File::options().create(true).append(true).open(&self.path)?;
        self.bytes = 0;
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_is_full_is_put_aside_and_the_latest_lines_are_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sfu-1.log");
        let mut log = LogFile::open(&path, 100).unwrap();
        for n in 0..1_000 {
            log.write(&format!("line {n:03}")).unwrap();
        }
        let read = |path: &Path| std::fs::read_to_string(path).unwrap();
        let (before, now) = (read(&dir.path().join("sfu-1.log.1")), read(&path));
        assert!(
            before.len() <= 100 && now.len() <= 100,
            "{} {}",
            before.len(),
            now.len()
        );
        let latest: Vec<String> = (1_000 - 11..1_000).map(|n| format!("line {n:03}")).collect();
        let kept = before + &now;
        let kept: Vec<&str> = kept.lines().collect();
        assert_eq!(kept[kept.len() - 11..], latest);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2, "older ones are gone");
    }

    #[test]
    fn a_log_of_an_earlier_life_counts_and_a_line_that_is_too_long_is_written_all_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("web.log");
        std::fs::write(&path, "x".repeat(99) + "\n").unwrap();
        let mut log = LogFile::open(&path, 100).unwrap();
        log.write(&"y".repeat(200)).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap().len(), 201);
        log.write("z").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "z\n");
    }
}
