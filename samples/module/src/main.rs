//! An application that is started by the module; it needs no line for that. `README.md` has the two ways.

use hosting::{Body, HttpRequestFeature, Request, Response, WebApplication};

/// Says who answers, and what it knows of whoever asks.
async fn answer(request: Request<Body>) -> Response<Body> {
    let client =
        request.context().remote_address().map_or("nobody".to_owned(), |client| client.ip().to_string());
    let text = format!(
        "process {} answers {}{} for {client} by {}\n",
        std::process::id(),
        request.path_base(),
        request.path(),
        request.scheme(),
    );
    Response::new(Body::from(text))
}

#[tokio::main]
async fn main() -> Result<(), hosting::Error> {
    WebApplication::builder().build(answer)?.run().await
}
