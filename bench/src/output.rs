//! Where figures go: a table for people, JSON for programs, markdown for the documentation. The only place that prints.

use crate::figures::Spread;
use serde::Serialize;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::Path;

/// One measured quantity.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// What was measured.
    pub what: String,
    /// Unit of every number in the row.
    pub unit: &'static str,
    /// The spread of the samples; none when there were none.
    #[serde(flatten)]
    pub spread: Option<Spread>,
    /// Every sample, in the order in which they were taken.
    pub samples: Vec<f64>,
}

impl Row {
    /// A row of these samples.
    #[must_use]
    pub fn new(what: impl Into<String>, unit: &'static str, samples: Vec<f64>) -> Self {
        Self {
            what: what.into(),
            unit,
            spread: Spread::of(&samples),
            samples,
        }
    }
}

/// The figures of one benchmark.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Name of the subcommand.
    pub benchmark: &'static str,
    /// One line.
    pub title: String,
    /// How it was measured, in a sentence or two.
    pub method: String,
    /// What it ran on.
    pub machine: Machine,
    /// The figures.
    pub rows: Vec<Row>,
}

/// The machine, as far as it explains figures.
#[derive(Debug, Clone, Serialize)]
pub struct Machine {
    /// Processor cores that this process may use.
    pub cores: usize,
    /// Model of the processor.
    pub processor: String,
    /// Kernel release.
    pub kernel: String,
}

impl Machine {
    /// This machine.
    #[must_use]
    pub fn this() -> Self {
        let read = |path| std::fs::read_to_string(path).unwrap_or_default();
        let cpuinfo = read("/proc/cpuinfo");
        let model = cpuinfo
            .lines()
            .find_map(|l| l.strip_prefix("model name")?.split_once(": ").map(|(_, model)| model));
        Self {
            cores: std::thread::available_parallelism().map_or(1, Into::into),
            processor: model.unwrap_or("unknown processor").to_owned(),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
        }
    }
}

const HEADER: [&str; 8] = ["", "unit", "n", "min", "median", "p95", "p99", "max"];

impl Report {
    /// For the terminal: columns aligned by spaces.
    #[must_use]
    pub fn text(&self) -> String {
        let rows: Vec<[String; 8]> = std::iter::once(HEADER.map(str::to_owned)).chain(self.cells()).collect();
        let widths: Vec<usize> = (0..HEADER.len())
            .map(|column| rows.iter().map(|r| r[column].chars().count()).max().unwrap_or(0))
            .collect();
        let mut text = format!("{}\n{}\n\n", self.title, self.method);
        for row in &rows {
            let mut line = String::new();
            for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
                // Names to the left, numbers to the right.
                let _ = if column < 2 {
                    write!(line, "{cell:<width$}  ")
                } else {
                    write!(line, "{cell:>width$}  ")
                };
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }

    /// For the documentation.
    #[must_use]
    pub fn markdown(&self) -> String {
        let Machine {
            cores,
            processor,
            kernel,
        } = &self.machine;
        let mut text = format!(
            "### {}\n\n{} Machine: {cores} cores ({processor}), Linux {kernel}.\n\n",
            self.title, self.method
        );
        let mut line = |cells: &[String; 8]| {
            let _ = writeln!(text, "| {} |", cells.join(" | "));
        };
        line(&HEADER.map(str::to_owned));
        line(&["---", "---", "--:", "--:", "--:", "--:", "--:", "--:"].map(str::to_owned));
        self.cells().for_each(|cells| line(&cells));
        text.push('\n');
        text
    }

    fn cells(&self) -> impl Iterator<Item = [String; 8]> + '_ {
        self.rows.iter().map(|row| {
            let number = |value: Option<f64>| value.map_or("-".to_owned(), shown);
            let spread = row.spread.as_ref();
            [
                row.what.clone(),
                row.unit.to_owned(),
                spread.map_or(0, |s| s.n).to_string(),
                number(spread.map(|s| s.min)),
                number(spread.map(|s| s.median)),
                number(spread.and_then(|s| s.p95)),
                number(spread.and_then(|s| s.p99)),
                number(spread.map(|s| s.max)),
            ]
        })
    }
}

/// Three significant digits are more than any of this can carry.
fn shown(value: f64) -> String {
    let decimals = match value.abs() {
        v if v >= 100.0 => 0,
        v if v >= 10.0 => 1,
        _ => 2,
    };
    format!("{value:.decimals$}")
}

/// Writes a line to standard output, at once: scripts wait for it.
///
/// # Errors
/// When standard output is gone, as after `| head`.
pub fn line(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()
}

/// Writes a line to standard output. Whoever started this may have stopped reading; the exit code tells all the same.
pub fn say(text: &str) {
    let _ = line(text);
}

/// Says on standard error what is going on.
pub fn progress(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Writes all reports as one JSON array.
///
/// # Errors
/// When the file cannot be written.
pub fn write_json(path: &Path, reports: &[Report]) -> io::Result<()> {
    let mut text = serde_json::to_string_pretty(reports)?;
    text.push('\n');
    std::fs::write(path, text)
}

/// Appends all reports to a markdown file.
///
/// # Errors
/// When the file cannot be written.
pub fn append_markdown(path: &Path, reports: &[Report]) -> io::Result<()> {
    let mut file = std::fs::File::options().create(true).append(true).open(path)?;
    reports
        .iter()
        .try_for_each(|report| file.write_all(report.markdown().as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        Report {
            benchmark: "delay",
            title: "Delay".to_owned(),
            method: "Measured.".to_owned(),
            machine: Machine {
                cores: 2,
                processor: "a CPU".to_owned(),
                kernel: "6.1".to_owned(),
            },
            rows: vec![
                Row::new("same node", "us", vec![100.0, 250.4, 1234.5]),
                Row::new("another node, longer name", "us", vec![9.126, 12.34, 0.5]),
                Row::new("nothing", "ms", vec![]),
            ],
        }
    }

    #[test]
    fn the_text_table_lines_up() {
        let text = report().text();
        let table: Vec<&str> = text.lines().skip(3).collect();
        assert_eq!(table.len(), 4);
        let column = table[0].find("max").expect("the header names max") + 3;
        assert_eq!(table[1].len(), column, "{text}");
        assert!(
            table[1].starts_with("same node") && table[1].ends_with("1234"),
            "{text}"
        );
        assert!(table[2].contains("9.13") && table[2].ends_with("12.3"), "{text}");
        assert!(table[3].trim_end().ends_with('-'), "{text}");
    }

    #[test]
    fn the_markdown_table_has_one_line_a_row() {
        let markdown = report().markdown();
        let table: Vec<&str> = markdown.lines().filter(|l| l.starts_with('|')).collect();
        assert_eq!(table.len(), 5);
        assert!(table.iter().all(|l| l.matches('|').count() == 9), "{markdown}");
        assert!(markdown.contains("2 cores (a CPU), Linux 6.1"));
    }

    #[test]
    fn json_holds_the_spread_and_every_sample() {
        let json = serde_json::to_value(report()).expect("a report is plain data");
        assert_eq!(json["rows"][0]["median"], 250.4);
        assert_eq!(json["rows"][0]["samples"].as_array().map(Vec::len), Some(3));
        assert!(json["rows"][2].get("median").is_none());
    }
}
