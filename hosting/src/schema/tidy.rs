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
            "type": ["string", "number"],
            "pattern": TIME,
            "patternErrorMessage": "expected a time such as 00:00:30 or 1.12:00:00, or a number of seconds",
            "minimum": 0,
        });
    }
    Each.transform(schema);
    // Editors show a definition's words in the place of those of the key, which say more.
    let definitions = schema.get_mut("definitions").and_then(Value::as_object_mut);
    for definition in
        definitions.into_iter().flatten().filter_map(|(_, definition)| definition.as_object_mut())
    {
        if definition.get("type").is_none_or(|kind| kind != "object") {
            definition.remove("description");
        }
    }
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
        // An absent key is `null` to the derive, which editors would write into a new one.
        let is_meant = |text: &str| text.contains("Default is `null`.");
        if schema.get("default").is_some_and(Value::is_null)
            && !schema.get("description").and_then(Value::as_str).is_some_and(is_meant)
        {
            schema.remove("default");
        }
        transform_subschemas(self, schema);
    }
}
