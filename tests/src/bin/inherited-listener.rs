//! A server of the inherited sockets, for the tests: serves until it is killed, at most for a minute.
//!
//! Each argument is an endpoint, `url` or `name=url`. What is listened on goes to standard error, one line each; an
//! error goes there as well, and the exit code is 1.

use std::process::ExitCode;
use std::time::Duration;

use http::{Request, Response};
use server_abstractions::{App, Body, EndpointFeature, RequestFeatures, Server};
use server_kestrel::{Endpoint, Kestrel, KestrelOptions};

async fn name(request: Request<Body>) -> Response<Body> {
    let feature = request.features().get::<dyn EndpointFeature>();
    let name = feature.as_ref().and_then(|endpoint| endpoint.name()).unwrap_or("unnamed");
    Response::new(Body::from(name.to_owned()))
}

fn endpoint(argument: &str) -> Option<Endpoint> {
    match argument.split_once('=') {
        Some((name, url)) => Some(Endpoint::url(url).ok()?.name(name)),
        None => Endpoint::url(argument).ok(),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let Some(endpoints) = std::env::args().skip(1).map(|argument| endpoint(&argument)).collect() else {
        eprintln!("an argument is no endpoint");
        return ExitCode::FAILURE;
    };
    let options = KestrelOptions { endpoints, ..KestrelOptions::default() };
    let running = match Box::new(Kestrel::new(options)).start(App::new(name)).await {
        Ok(running) => running,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    for address in running.addresses() {
        eprintln!("listening on {address}");
    }
    eprintln!();
    tokio::time::sleep(Duration::from_secs(60)).await;
    ExitCode::SUCCESS
}
