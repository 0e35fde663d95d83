//! What is different from what the derive makes: lengths of time as our configuration writes them, numbers with their
//! bounds, descriptions in one line.

use schemars::Schema;
use schemars::transform::{Transform, transform_subschemas};
use serde_json::{Value, json};

/// `hh:mm`, `hh:mm:ss`, `hh:mm:ss.fff`, each also with days in front, or seconds; see `configuration::duration`.
const TIME: &str = r"^\s*([0-9]+(\.[0-9]{1,9})?|([0-9]+\.)?0*([01]?[0-9]|2[0-3]):0*[0-5]?[0-9](:0*[0-5]?[0-9](\.[0-9]{1,9})?)?)\s*$";

pub(super) fn tidy(schema: &mut Schema) {
    if let Some(duration) = schema.pointer_mut("/definitions/Duration") {
        *duration = json!({
            "description": "A length of time: hh:mm:ss, d.hh:mm:ss, or a number of seconds.",
            "type": ["string", "number"],
            "pattern": TIME,
            "minimum": 0,
        });
    }
    Each.transform(schema);
}

struct Each;

impl Transform for Each {
    fn transform(&mut self, schema: &mut Schema) {
        if let Some(format) = schema.remove("format")
            && format == "uint32"
            && schema.get("maximum").is_none()
        {
            schema.insert("maximum".to_owned(), u32::MAX.into());
        }
        if let Some(Value::String(text)) = schema.get_mut("description") {
            *text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        }
        transform_subschemas(self, schema);
    }
}
