//! Events as JSON, one object in each line, with the names that the JSON of the original's console has.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io;
use std::time::SystemTime;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

use super::bounded::Bounded;
use crate::access_log::timestamp;

/// As many bytes of a value are told.
const LONGEST: usize = 8 * 1024;

/// So many spans around an event are told, those nearest to it.
const MOST_SCOPES: usize = 16;

/// Writes `{"Timestamp":...,"LogLevel":...,"Category":...,"Message":...,"State":{...},"Scopes":[...]}`. `State` has the other
/// fields of the event, `Scopes` the spans around it from the outermost on.
pub(super) struct JsonLines<W>(pub(super) W);

/// Values by their names, as JSON.
#[derive(Default)]
struct Values(BTreeMap<&'static str, String>);

impl Values {
    /// Adds the members of an object.
    fn write(&self, line: &mut String) {
        for (name, value) in &self.0 {
            if !line.ends_with('{') {
                line.push(',');
            }
            member(line, name);
            line.push_str(value);
        }
    }
}

fn member(line: &mut String, name: &str) {
    string(line, name.strip_prefix("r#").unwrap_or(name));
    line.push(':');
}

fn string(line: &mut String, text: &str) {
    debug(line, &format_args!("{text}"));
}

fn debug(line: &mut String, value: &dyn Debug) {
    line.push('"');
    Bounded::json(line, LONGEST).write(format_args!("{value:?}"));
    line.push('"');
}

impl Visit for Values {
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.insert(field.name(), value.to_string());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.insert(field.name(), value.to_string());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.insert(field.name(), value.to_string());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        // JSON has no other ones.
        let text = if value.is_finite() { value.to_string() } else { format!("\"{value}\"") };
        self.0.insert(field.name(), text);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let mut text = String::new();
        debug(&mut text, value);
        self.0.insert(field.name(), text);
    }
}

impl<S, W, O> Layer<S> for JsonLines<W>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: Fn() -> O + 'static,
    O: io::Write,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut values = Values::default();
        attributes.record(&mut values);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(values);
        }
    }

    fn on_record(&self, id: &Id, record: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(values) = span.extensions_mut().get_mut::<Values>()
        {
            record.record(values);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut line = head(event);
        let mut spans: Vec<_> = context.event_scope(event).into_iter().flatten().take(MOST_SCOPES).collect();
        spans.reverse();
        for (index, span) in spans.iter().enumerate() {
            line.push_str(if index == 0 { ",\"Scopes\":[{" } else { ",{" });
            member(&mut line, "Name");
            string(&mut line, span.name());
            if let Some(values) = span.extensions().get::<Values>() {
                values.write(&mut line);
            }
            line.push('}');
        }
        line.push_str(if spans.is_empty() { "}\n" } else { "]}\n" });
        // There is nobody to tell that it failed.
        let _ = (self.0)().write_all(line.as_bytes());
    }
}

/// What an event says itself.
fn head(event: &Event<'_>) -> String {
    let mut values = Values::default();
    event.record(&mut values);
    let mut line = String::from("{");
    member(&mut line, "Timestamp");
    string(&mut line, &timestamp(SystemTime::now()));
    line.push(',');
    member(&mut line, "LogLevel");
    string(&mut line, level(*event.metadata().level()));
    line.push(',');
    member(&mut line, "Category");
    string(&mut line, event.metadata().target());
    line.push(',');
    member(&mut line, "Message");
    line.push_str(&values.0.remove("message").unwrap_or_else(|| "\"\"".to_owned()));
    line.push(',');
    member(&mut line, "State");
    line.push('{');
    values.write(&mut line);
    line.push('}');
    line
}

/// As the configuration names them.
fn level(level: Level) -> &'static str {
    match level {
        Level::ERROR => "Error",
        Level::WARN => "Warning",
        Level::INFO => "Information",
        Level::DEBUG => "Debug",
        Level::TRACE => "Trace",
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use serde_json::{Value, json};
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn an_event_is_an_object_in_a_line() {
        let written = Written::default();
        let output = written.clone();
        let layer = JsonLines(move || output.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            let outer = tracing::info_span!("request", path = "/\"", route = tracing::field::Empty);
            outer.record("route", "/{id}");
            outer.record("route", "/{name}");
            let _outer = outer.enter();
            let _inner = tracing::info_span!("query").entered();
            tracing::warn!(target: "shop", count = 3, share = 0.5, odd = f64::NAN, is_new = true, error = %"a\nb", "sold {}\u{202e}", "out");
        });
        tracing::subscriber::with_default(
            tracing_subscriber::registry().with(JsonLines({
                let output = written.clone();
                move || output.clone()
            })),
            || tracing::error!(target: "shop", message = %"x".repeat(LONGEST + 1)),
        );
        let written = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        let lines: Vec<Value> = written.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let [mut first, second] = <[Value; 2]>::try_from(lines).unwrap();
        let time = first.as_object_mut().unwrap().remove("Timestamp").unwrap();
        assert!(time.as_str().is_some_and(|time| time.ends_with('Z') && time.len() == 24), "{time}");
        let expected = json!({
            "LogLevel": "Warning", "Category": "shop", "Message": "sold out\u{202e}",
            "State": { "count": 3, "share": 0.5, "odd": "NaN", "is_new": true, "error": "a\nb" },
            "Scopes": [{ "Name": "request", "path": "/\"", "route": "/{name}" }, { "Name": "query" }],
        });
        assert_eq!(first, expected);
        assert!(!written.contains('\u{202e}'));
        assert_eq!(second["Message"].as_str().unwrap(), format!("{}…", "x".repeat(LONGEST)));
        assert_eq!((&second["State"], second.get("Scopes")), (&json!({}), None));
    }
}
