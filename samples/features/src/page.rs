use hosting::{Body, Request, Response};
use serde_json::Value;

use crate::answer::with_type;
use crate::connection::facts;

/// A page with the facts of the connection that it came on.
pub(crate) fn html(request: &Request<Body>) -> Response<Body> {
    let facts = facts(request);
    let rows: String =
        facts.as_object().into_iter().flatten().map(|(name, value)| row(name, value)).collect();
    let page = format!(
        "<!doctype html><html lang=en><meta charset=utf-8><title>features</title>\
         <style>body{{font:16px sans-serif;margin:2rem}}td{{overflow-wrap:anywhere}}td,th{{text-align:left;padding:.3rem 1rem .3rem 0;vertical-align:top}}</style>\
         <h1>You came by {} over {}</h1><table>{rows}</table>",
        escape(facts["protocol"].as_str().unwrap_or_default()),
        escape(facts["scheme"].as_str().unwrap_or_default()),
    );
    with_type("text/html; charset=utf-8", Body::from(page))
}

fn row(name: &str, value: &Value) -> String {
    let shown = match value {
        Value::String(text) => text.clone(),
        Value::Null => "none".to_owned(),
        other => other.to_string(),
    };
    format!("<tr><th>{}<td>{}", escape(name), escape(&shown))
}

/// What comes from the client is shown as text.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
