//! Fields of events and spans as text.

use std::fmt::{self, Debug};

use tracing::field::{Field, Visit};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::Writer;

use super::bounded::Bounded;

/// As many bytes of a value are told.
const LONGEST: usize = 2048;

/// `message field=value`, in which no value can end the line or be longer than 2 KiB.
#[derive(Debug)]
pub(super) struct BoundedFields;

impl<'w> FormatFields<'w> for BoundedFields {
    fn format_fields<R: RecordFields>(&self, mut writer: Writer<'w>, fields: R) -> fmt::Result {
        let mut text = Text(String::new());
        fields.record(&mut text);
        writer.write_str(&text.0)
    }
}

struct Text(String);

impl Visit for Text {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.record_debug(field, &format_args!("{value}"));
        } else {
            self.record_debug(field, &value);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if !self.0.is_empty() {
            self.0.push(' ');
        }
        let name = field.name();
        if name != "message" {
            self.0.push_str(name.strip_prefix("r#").unwrap_or(name));
            self.0.push('=');
        }
        Bounded::text(&mut self.0, LONGEST).write(format_args!("{value:?}"));
    }
}
