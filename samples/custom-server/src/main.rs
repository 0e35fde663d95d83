//! A server that takes its requests from the standard input, one per line (`GET /path`), and writes the answers to
//! the standard output: `printf 'GET /a\nGET /b\n' | cargo run -p custom-server`.

mod stdin_server;

use hosting::server_abstractions::HttpRequestFeature;
use hosting::{Body, Host, Request, Response};
use stdin_server::StdinServer;

#[tokio::main]
async fn main() -> Result<(), hosting::Error> {
    let app = async |request: Request<Body>| {
        Response::new(Body::from(format!("{} {}", request.method(), request.path())))
    };
    Host::new(StdinServer::default(), app).run().await
}
