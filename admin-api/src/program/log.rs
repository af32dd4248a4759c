//! Logging of every program that serves: a line of one reads like a line of any other. `docs/logs.md` lists the fields.

use super::log_fields::LogFields;
use serde_json::{Map, Value};
use std::fmt;
use std::io::{self, IsTerminal};
use std::str::FromStr;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, JsonFields, Writer};
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormattedFields, MakeWriter};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::{LookupSpan, Scope};
use tracing_subscriber::util::SubscriberInitExt;

/// Levels by the names that [`LogFilter`] takes.
const LEVELS: [(&str, LevelFilter); 6] = [
    ("off", LevelFilter::OFF),
    ("error", LevelFilter::ERROR),
    ("warn", LevelFilter::WARN),
    ("info", LevelFilter::INFO),
    ("debug", LevelFilter::DEBUG),
    ("trace", LevelFilter::TRACE),
];

/// For people, or for machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Lines for people.
    Human,
    /// One JSON object a line.
    Json,
}

impl LogFormat {
    /// As the option's value is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Human => "human",
            Self::Json => "json",
        }
    }
}

/// The format is neither of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("use human or json")]
pub struct UnknownFormat;

impl FromStr for LogFormat {
    type Err = UnknownFormat;

    fn from_str(text: &str) -> Result<Self, UnknownFormat> {
        [Self::Human, Self::Json]
            .into_iter()
            .find(|format| format.as_str() == text)
            .ok_or(UnknownFormat)
    }
}

/// What is logged: a level, or levels by module as well, as in `info,sfu_node=debug`.
///
/// `tracing`'s own filters take any word for the name of a module, so that a level with a slip of the pen would silence
/// everything. Here a word alone is a level, or wrong.
#[derive(Debug, Clone, PartialEq)]
pub struct LogFilter(Targets);

/// A filter that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is neither a level nor MODULE=LEVEL; use error, warn, info, debug, trace or off, or levels by module as well, such as \
     info,sfu_node=debug"
)]
pub struct BadLogFilter(String);

impl FromStr for LogFilter {
    type Err = BadLogFilter;

    fn from_str(text: &str) -> Result<Self, BadLogFilter> {
        let mut targets = Targets::new();
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        // A variable that is there and empty, as manifests have it, asks for nothing special.
        if parts.clone().next().is_none() {
            targets = targets.with_default(LevelFilter::INFO);
        }
        for part in parts {
            let bad = || BadLogFilter(part.to_owned());
            let (module, name) = part
                .split_once('=')
                .map_or((None, part), |(module, name)| (Some(module), name));
            let level = level(name).ok_or_else(bad)?;
            targets = match module {
                None => targets.with_default(level),
                Some(module) if is_module(module) => targets.with_target(module, level),
                Some(_) => return Err(bad()),
            };
        }
        Ok(Self(targets))
    }
}

fn level(name: &str) -> Option<LevelFilter> {
    let known = LEVELS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
    known.map(|(_, level)| *level)
}

fn is_module(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b':'))
}

/// Says why a program ends with a failure: in its log, or, where the filter lets no error through, on standard error all the
/// same. A program must not end in silence.
pub fn ended(program: &str, why: &str) {
    if tracing::enabled!(Level::ERROR) {
        tracing::error!(error = why, "ended");
    } else {
        eprintln!("{program}: {why}");
    }
}

/// Logs to standard error from now on, also what comes by the `log` crate, as mediasoup's lines do. To be called once. `fields`
/// are in every JSON line.
pub fn start(filter: &LogFilter, format: LogFormat, fields: LogFields) {
    let colour = io::stderr().is_terminal();
    let lines = lines((format, fields), colour, io::stderr).with_filter(filter.0.clone());
    tracing_subscriber::registry().with(lines).init();
}

fn lines<S, W>((format, fields): (LogFormat, LogFields), colour: bool, writer: W) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let lines = tracing_subscriber::fmt::layer().with_writer(writer).with_target(false);
    match format {
        LogFormat::Human => lines.with_ansi(colour).boxed(),
        LogFormat::Json => lines
            .fmt_fields(JsonFields::new())
            .event_format(JsonLine(fields))
            .boxed(),
    }
}

/// What every line begins with, in JSON.
#[must_use]
pub fn json_line(level: Level, target: &str, message: &str) -> Map<String, Value> {
    let mut time = String::new();
    // Writing into a text cannot fail, and a line without its time is still a line.
    let _ = SystemTime.format_time(&mut Writer::new(&mut time));
    [
        ("timestamp", time),
        ("level", level.to_string()),
        ("target", target.to_owned()),
        ("message", message.to_owned()),
    ]
    .into_iter()
    .map(|(name, text)| (name.to_owned(), text.into()))
    .collect()
}

/// One flat object a line. The fields of spans stand beside those of the event itself, where `tracing`'s own form nests them:
/// whoever searches by `cluster` need not know where it was said.
struct JsonLine(LogFields);

impl<S, N> FormatEvent<S, N> for JsonLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut line = json_line(*event.metadata().level(), event.metadata().target(), "");
        self.0.put(&mut line);
        for span in context.event_scope().into_iter().flat_map(Scope::from_root) {
            if let Some(fields) = span.extensions().get::<FormattedFields<N>>()
                && let Ok(Value::Object(fields)) = serde_json::from_str(fields)
            {
                line.extend(fields);
            }
        }
        event.record(&mut Fields(&mut line));
        writeln!(writer, "{}", Value::Object(line))
    }
}

struct Fields<'a>(&'a mut Map<String, Value>);

impl Fields<'_> {
    fn put(&mut self, field: &Field, value: Value) {
        // Where a line of the `log` crate comes from, its own fields say: its module is our target, and the rest is no part of
        // our form.
        let name = match field.name() {
            "log.target" => "target",
            name if name.starts_with("log.") => return,
            name => name,
        };
        self.0.insert(name.to_owned(), value);
    }
}

impl Visit for Fields<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}").into());
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use parking_lot::Mutex;
    use serde_json::{Value, json};
    use std::sync::Arc;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What is written of a few events.
    fn logged(filter: &str, format: LogFormat) -> String {
        let written = Written::default();
        let writer = written.clone();
        let filter: LogFilter = filter.parse().unwrap();
        let fields: LogFields = "namespace=media,cluster=other".parse().unwrap();
        let lines = lines((format, fields), false, move || writer.clone()).with_filter(filter.0);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(lines), || {
            let _span = tracing::error_span!("mesh", cluster = "live").entered();
            tracing::warn!(node = "sfu-1", error = "refused", lane = 3, "it went {}", "wrong");
            tracing::debug!(target: "sfu_web::door", "a detail");
        });
        let bytes = written.0.lock().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_json_line_is_one_flat_object_with_time_level_message_and_fields() {
        let text = logged("info", LogFormat::Json);
        let mut line: Value = serde_json::from_str(&text).unwrap();
        let time = line.as_object_mut().unwrap().remove("timestamp").unwrap();
        assert!(time.as_str().unwrap().ends_with('Z'), "{time}");
        let wanted = json!({
            "level": "WARN", "target": "sfumato_admin_api::program::log::tests", "message": "it went wrong", "namespace": "media",
            "cluster": "live", "node": "sfu-1", "error": "refused", "lane": 3,
        });
        assert_eq!(line, wanted);
        assert!(text.starts_with(r#"{"timestamp":"#), "people read it too: {text}");
    }

    #[test]
    fn a_line_for_people_has_the_same_fields() {
        let text = logged("info", LogFormat::Human);
        assert!(
            text.contains(r#"WARN mesh{cluster="live"}: it went wrong node="sfu-1" error="refused" lane=3"#),
            "{text}"
        );
    }

    #[test]
    fn a_filter_gives_each_module_its_level_and_the_rest_the_one_without_a_name() {
        for (filter, lines) in [
            ("info", 1),
            ("off", 0),
            ("DEBUG", 2),
            (" error , sfu_web=debug", 1),
            ("info,sfu_web::door=trace", 2),
            ("", 1),
            ("info,", 1),
        ] {
            assert_eq!(logged(filter, LogFormat::Json).lines().count(), lines, "{filter}");
        }
    }

    #[test]
    fn a_filter_that_means_nothing_is_refused_with_what_is_wrong_and_an_example() {
        for (filter, wrong) in [
            ("infoo", "infoo"),
            ("info,sfu_node", "sfu_node"),
            ("sfu-node=debug", "sfu-node=debug"),
            ("info,sfu_node=loud", "sfu_node=loud"),
            ("=info", "=info"),
            ("a b=info", "a b=info"),
            (" \u{e9}=info", "\u{e9}=info"),
            ("a=b=info", "a=b=info"),
        ] {
            let error = filter.parse::<LogFilter>().unwrap_err().to_string();
            assert!(error.starts_with(&format!("`{wrong}` is neither")), "{filter}: {error}");
            assert!(error.ends_with("such as info,sfu_node=debug"), "{error}");
        }
    }

    #[test]
    fn a_format_is_read_as_it_is_written() {
        for format in [LogFormat::Human, LogFormat::Json] {
            assert_eq!(format.as_str().parse(), Ok(format));
        }
        assert_eq!("xml".parse::<LogFormat>(), Err(UnknownFormat));
    }
}
