//! The page that shows what the server does: who sees it, and whether what it shows is so.

mod access;
mod browser;
mod values;

use hosting::{RunningHost, WebApplication, WebApplicationBuilder, WebApplicationOptions};
use http::Request;
use http::Response as HttpResponse;
use serde_json::Value;
use server_abstractions::Body;

use crate::program::Folder;
use crate::support::{Client, Response, socket_address};

/// The application's own answers: at once, never, or with an error.
async fn app(request: Request<Body>) -> HttpResponse<Body> {
    match request.uri().path() {
        path if path.starts_with("/waits") => std::future::pending().await,
        "/fails" => crate::support::status(503),
        _ => HttpResponse::new(Body::from("the application")),
    }
}

fn builder(values: &[(&str, &str)]) -> WebApplicationBuilder {
    builder_in("Development", values)
}

fn builder_in(environment: &str, values: &[(&str, &str)]) -> WebApplicationBuilder {
    let folder = Folder::new();
    WebApplication::builder_with(WebApplicationOptions {
        arguments: Some(Vec::new()),
        application_name: Some("shop".to_owned()),
        environment: Some(environment.to_owned()),
        content_root: Some(folder.path().to_owned()),
        values: values.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
    })
}

const ON: (&str, &str) = ("Diagnostics:Enabled", "true");

/// An application with the page on one endpoint of TCP, and these settings.
async fn running(values: &[(&str, &str)]) -> RunningHost {
    let own = [("Kestrel:Endpoints:Web:Url", "http://127.0.0.1:0"), ON];
    builder(&[&own, values].concat()).build(app).unwrap().start().await.unwrap()
}

async fn client(running: &RunningHost) -> Client {
    Client::tcp(socket_address(&running.addresses()[0])).await
}

async fn ask(client: &mut Client, path: &str, fields: &str) -> Response {
    client.exchange(&format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n")).await
}

/// What the page shows now.
async fn data(running: &RunningHost) -> Value {
    let answer = ask(&mut client(running).await, "/_diagnostics/data", "").await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    serde_json::from_slice(&answer.body).unwrap()
}

/// The rows of a table that have this value.
fn rows<'a>(table: &'a Value, key: &str, value: &str) -> Vec<&'a Value> {
    table.as_array().unwrap().iter().filter(|row| row[key] == value).collect()
}
