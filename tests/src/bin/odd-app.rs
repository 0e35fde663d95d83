//! Applications as a process manager fears them, for the tests. The first argument says what is odd; each ends by itself
//! within two minutes.
//!
//! * `silent` never listens
//! * `exits` ends at once, with exit code 3
//! * `elsewhere` listens on a port that it was not given
//! * `deaf` serves, and takes neither the request to stop nor SIGTERM for a reason to end
//! * `forks` serves, and has started a process that would outlive it
//! * `ipv6` serves at `[::]`, and `ipv6-only` listens there for IPv6 alone
//! * `plain` serves, as `deaf` does, until SIGTERM
//!
//! Those that serve answer with the fields and the target of the request; `/crash` ends the process, `/slow` takes a second,
//! `/half` breaks its answer off.

use std::fmt::Write as _;
use std::net::{Ipv6Addr, SocketAddr};
use std::process::{Command, ExitCode};
use std::time::Duration;

use http::{Request, Response};
use server_abstractions::{App, Body, HttpRequestLifetimeFeature, RequestFeatures, Server};
use server_kestrel::{Endpoint, Kestrel, KestrelOptions};
use socket2::{Domain, Socket, Type};
use tokio::signal::unix::{SignalKind, signal};

const LIFE: Duration = Duration::from_secs(120);

async fn answer(request: Request<Body>) -> Response<Body> {
    match request.uri().path() {
        "/crash" => std::process::abort(),
        "/slow" => tokio::time::sleep(Duration::from_secs(1)).await,
        "/half" => {
            if let Some(lifetime) = request.features().get::<dyn HttpRequestLifetimeFeature>() {
                lifetime.abort();
            }
        }
        _ => {}
    }
    let mut text = format!("{} {} {:?}\n", request.method(), request.uri(), request.version());
    for (name, value) in request.headers() {
        let _ = writeln!(text, "{name}: {}", String::from_utf8_lossy(value.as_bytes()));
    }
    let _ = writeln!(text, "pid: {}", std::process::id());
    Response::new(Body::from(text))
}

async fn serve(url: &str) -> Result<(), Box<dyn std::error::Error>> {
    let endpoints = vec![Endpoint::url(url)?];
    let kestrel = Kestrel::new(KestrelOptions { endpoints, ..KestrelOptions::default() });
    let mut running = Box::new(kestrel).start(App::new(answer)).await?;
    running.finished().await?;
    Ok(())
}

async fn listen_for_ipv6(port: &str) -> Result<(), Box<dyn std::error::Error>> {
    let socket = Socket::new(Domain::IPV6, Type::STREAM, None)?;
    socket.set_only_v6(true)?;
    socket.bind(&SocketAddr::from((Ipv6Addr::UNSPECIFIED, port.parse()?)).into())?;
    socket.listen(16)?;
    tokio::time::sleep(LIFE).await;
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let oddity = std::env::args().nth(1).unwrap_or_default();
    let port = std::env::var("ASPNETCORE_PORT").unwrap_or_default();
    let url = format!("http://127.0.0.1:{port}");
    eprintln!("odd-app {oddity} was started");
    // Held to the end: as long as it is there, the signal does nothing.
    let deafness = (oddity == "deaf").then(|| signal(SignalKind::terminate()));
    let serving = async {
        match oddity.as_str() {
            "silent" => tokio::time::sleep(LIFE).await,
            "elsewhere" => drop(serve("http://127.0.0.1:0").await),
            "ipv6" => drop(serve(&format!("http://[::]:{port}")).await),
            "ipv6-only" => drop(listen_for_ipv6(&port).await),
            "deaf" | "plain" => drop(serve(&url).await),
            "forks" if Command::new("sleep").arg(LIFE.as_secs().to_string()).spawn().is_ok() => {
                drop(serve(&url).await);
            }
            _ => {}
        }
    };
    let _ = tokio::time::timeout(LIFE, serving).await;
    drop(deafness);
    ExitCode::from(3)
}
