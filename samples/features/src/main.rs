//! Every feature of a request and every kind of response: `cargo run -p features`, then open the page. What it answers
//! stands in `lib.rs`.

use hosting::{Body, Request, Response, WebApplication};

#[tokio::main]
async fn main() -> Result<(), hosting::Error> {
    WebApplication::builder().build(handle)?.run().await
}

async fn handle(request: Request<Body>) -> Response<Body> {
    if request.uri().path() == "/plaintext" {
        return features::plaintext();
    }
    // Boxed, so that the small answer above does not pay for the size of this future.
    Box::pin(features::handle(request)).await
}
