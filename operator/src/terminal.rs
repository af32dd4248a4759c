//! Everything that a user reads goes through here: lines that begin with the name of who speaks, or JSON objects.
//!
//! Write errors are ignored: a closed pipe (`| head`) or terminal is no reason to leave processes behind.

use serde_json::{Map, Value};
use sfumato_admin_api::program::log::{self, LogFormat};
use std::io::{self, IsTerminal, Write};
use tracing::Level;

/// The name under which this program itself speaks.
const SELF: &str = "sfumato";
/// Width of the name column: `sfumato`, `sfu-32`, `web`, `redis`.
const NAME_WIDTH: usize = 7;
/// ANSI colours of the nodes and helpers, in turn; red is left to errors.
const COLOURS: [u8; 6] = [32, 33, 34, 35, 36, 92];

/// How and where to write.
#[derive(Debug, Clone)]
pub struct Terminal {
    format: LogFormat,
    colour: bool,
}

impl Terminal {
    /// Colours are for terminals, and not for those who set `NO_COLOR` (<https://no-color.org>).
    #[must_use]
    pub fn new(format: LogFormat) -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
        Self {
            format,
            colour: wanted && format == LogFormat::Human && io::stdout().is_terminal(),
        }
    }

    /// Something that this program has to say.
    pub fn say(&self, text: &str) {
        match self.format {
            LogFormat::Human => self.line(SELF, text, "1"),
            LogFormat::Json => object(line_of(SELF, Level::INFO, text)),
        }
    }

    /// Like [`Self::say`], for bad news.
    pub fn warn(&self, text: &str) {
        match self.format {
            LogFormat::Human => self.line(SELF, text, "1;31"),
            LogFormat::Json => object(line_of(SELF, Level::WARN, text)),
        }
    }

    /// A line that a child process wrote.
    pub fn child(&self, process: &str, line: &str) {
        match self.format {
            LogFormat::Human => {
                let turn = process.bytes().fold(0usize, |sum, byte| sum * 31 + usize::from(byte));
                self.line(process, line, &COLOURS[turn % COLOURS.len()].to_string());
            }
            LogFormat::Json => object(child_object(process, line)),
        }
    }

    /// A text as it is: a summary, a CRD.
    pub fn plain(&self, text: &str) {
        let mut out = io::stdout().lock();
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }

    /// A block for people; machines get the same facts from the lines before it and from `--status-json`.
    pub fn block(&self, text: &str) {
        if self.format == LogFormat::Human {
            self.plain(text);
        }
    }

    /// The one sentence with which the program ends.
    pub fn error(&self, text: &str) {
        let mut err = io::stderr().lock();
        let _ = match self.format {
            LogFormat::Human => writeln!(err, "error: {text}"),
            LogFormat::Json => writeln!(err, "{}", Value::Object(line_of(SELF, Level::ERROR, text))),
        };
    }

    fn line(&self, name: &str, text: &str, colour: &str) {
        let mut out = io::stdout().lock();
        let _ = if self.colour {
            writeln!(out, "\x1b[{colour}m{name:<NAME_WIDTH$} |\x1b[0m {text}")
        } else {
            writeln!(out, "{name:<NAME_WIDTH$} | {text}")
        };
    }
}

/// A child's JSON line keeps its fields and gets the process's name; any other line becomes a message.
fn child_object(process: &str, line: &str) -> Map<String, Value> {
    match serde_json::from_str(line) {
        Ok(Value::Object(mut fields)) => {
            fields.insert("process".to_owned(), process.into());
            fields
        }
        _ => line_of(process, Level::INFO, line),
    }
}

/// Has the form of every other line of a log.
fn line_of(process: &str, level: Level, text: &str) -> Map<String, Value> {
    let mut line = log::json_line(level, module_path!(), text);
    line.insert("process".to_owned(), process.into());
    line
}

fn object(line: Map<String, Value>) {
    let _ = writeln!(io::stdout().lock(), "{}", Value::Object(line));
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_childs_json_keeps_its_fields_and_other_text_becomes_a_message() {
        let object = |line| Value::Object(child_object("sfu-1", line));
        assert_eq!(object(r#"{"a":1}"#), json!({ "a": 1, "process": "sfu-1" }));
        let mut plain = object("plain");
        assert!(
            plain
                .as_object_mut()
                .and_then(|line| line.remove("timestamp"))
                .is_some()
        );
        assert_eq!(
            plain,
            json!({ "level": "INFO", "target": "sfu_operator::terminal", "message": "plain", "process": "sfu-1" })
        );
    }
}
