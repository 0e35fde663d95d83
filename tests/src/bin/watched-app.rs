//! An application for the tests of supervisors: its runtime has one thread and its server one accept loop, and a request breaks
//! either.
//!
//! | path | what happens |
//! |---|---|
//! | `/hang` | the thread, and so the runtime, is blocked for two seconds |
//! | `/break` | the accept loop panics at the next connection |

use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hosting::{Address, Body, Endpoint, Request, Response, WebApplication};
use server_abstractions::{Connection, Listener};
use tokio::net::TcpListener;

struct Fragile {
    listener: TcpListener,
    address: Address,
    is_broken: Arc<AtomicBool>,
}

impl Listener for Fragile {
    type Connection = Connection;

    async fn accept(&mut self) -> io::Result<Connection> {
        let (stream, _) = self.listener.accept().await?;
        assert!(!self.is_broken.load(Ordering::SeqCst), "the accept loop breaks on request");
        Ok(Connection::new(stream))
    }

    fn accept_queued(&mut self) -> io::Result<Option<Connection>> {
        Ok(None)
    }

    fn address(&self) -> &Address {
        &self.address
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), hosting::Error> {
    let other = |error: io::Error| hosting::Error::other(error);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(other)?;
    let address = format!("http://{}", listener.local_addr().map_err(other)?);
    let address = address.parse::<Address>().map_err(hosting::Error::other)?;
    let is_broken = Arc::new(AtomicBool::new(false));
    let fragile = Fragile { listener, address, is_broken: Arc::clone(&is_broken) };
    let app = async move |request: Request<Body>| {
        match request.uri().path() {
            "/hang" => {
                tracing::info!("the thread hangs");
                std::thread::sleep(Duration::from_secs(2));
            }
            "/break" => is_broken.store(true, Ordering::SeqCst),
            _ => {}
        }
        Response::new(Body::empty())
    };
    let builder =
        WebApplication::builder().kestrel(move |options| options.endpoints.push(Endpoint::listener(fragile)));
    builder.build(app)?.run().await
}
