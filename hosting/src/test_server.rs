use std::fmt;

use bytes::Bytes;
use http::header::HOST;
use http::{HeaderValue, Method, Request, Response, Uri, Version};
use http_body_util::BodyExt;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use server_abstractions::{Body, IntoService, Stopped};
use server_kestrel::MemoryConnector;
use tokio::io::DuplexStream;
use tokio::sync::Mutex;

use crate::{Error, RunningHost, WebApplication, WebApplicationOptions};

/// An application in memory: the real server and real HTTP, without a port.
///
/// ```
/// use hosting::{Body, Request, Response, TestServer};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), hosting::Error> {
/// let server = TestServer::start(async |_: Request<Body>| Response::new(Body::from("Hello"))).await?;
/// let client = server.client();
/// let response = client.get("/").await?;
/// assert_eq!(response.status(), 200);
/// assert_eq!(response.into_body(), "Hello");
/// server.stop().await;
/// # Ok(())
/// # }
/// ```
///
/// Everything that happens on a socket happens here: connection features, limits, trailers, aborts. What a client
/// cannot express goes through [`connect`](Self::connect), byte by byte.
///
/// It reads no configuration, no environment and no launch profile. A whole application with its pipeline, services
/// and options is started by [`WebApplicationBuilder::start_test_server`](crate::WebApplicationBuilder::start_test_server).
pub struct TestServer {
    running: RunningHost,
    connector: MemoryConnector,
}

impl TestServer {
    /// Starts an app in memory.
    ///
    /// # Errors
    /// When the server does not start.
    ///
    /// # Cancel safety
    /// Dropping the future stops everything at once.
    pub async fn start<M>(app: impl IntoService<M>) -> Result<Self, Error> {
        WebApplication::isolated_builder(WebApplicationOptions::default()).start_test_server(app).await
    }

    pub(crate) fn new(running: RunningHost, connector: MemoryConnector) -> Self {
        Self { running, connector }
    }

    /// The host behind it.
    pub fn host(&self) -> &RunningHost {
        &self.running
    }

    /// A client that speaks HTTP/1.1, on one connection that it keeps alive.
    #[doc(alias = "CreateClient")]
    pub fn client(&self) -> TestClient {
        TestClient { connector: self.connector.clone(), sender: Mutex::new(Sender::None), is_http2: false }
    }

    /// A client that speaks HTTP/2, on one connection.
    pub fn http2_client(&self) -> TestClient {
        TestClient { connector: self.connector.clone(), sender: Mutex::new(Sender::None), is_http2: true }
    }

    /// A connection to the server, for raw bytes.
    ///
    /// # Errors
    /// When the server has stopped.
    ///
    /// # Cancel safety
    /// Dropping the future connects nothing.
    pub async fn connect(&self) -> std::io::Result<DuplexStream> {
        self.connector.connect().await
    }

    /// Stops the application, services included. Dropping the server stops it at once.
    pub async fn stop(self) -> Stopped {
        self.running.stop().await
    }
}

impl fmt::Debug for TestServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestServer").field("host", &self.running).finish_non_exhaustive()
    }
}

/// A client of a [`TestServer`], with one connection, which it opens when it is needed and again when it was closed.
/// Over HTTP/1.1 one request at a time is under way.
pub struct TestClient {
    connector: MemoryConnector,
    sender: Mutex<Sender>,
    is_http2: bool,
}

enum Sender {
    None,
    Http1(http1::SendRequest<Body>),
    Http2(http2::SendRequest<Body>),
}

impl TestClient {
    /// Gets a path and reads the whole answer.
    ///
    /// # Errors
    /// When the connection fails or the path is none.
    ///
    /// # Cancel safety
    /// Dropping the future gives the request up, and its connection with it.
    pub async fn get(&self, path: &str) -> Result<Response<Bytes>, Error> {
        self.request(Method::GET, path, Body::empty()).await
    }

    /// Posts a body to a path and reads the whole answer.
    ///
    /// # Errors
    /// When the connection fails or the path is none.
    ///
    /// # Cancel safety
    /// Dropping the future gives the request up, and its connection with it.
    pub async fn post(&self, path: &str, body: impl Into<Body>) -> Result<Response<Bytes>, Error> {
        self.request(Method::POST, path, body.into()).await
    }

    async fn request(&self, method: Method, path: &str, body: Body) -> Result<Response<Bytes>, Error> {
        let request = Request::builder().method(method).uri(path).body(body);
        let request = request.map_err(|error| Error::new(format!("{path} is no path")).with_source(error))?;
        let (head, body) = self.send(request).await?.into_parts();
        let body = body
            .collect()
            .await
            .map_err(|error| Error::new("the response broke off").with_source(error))?
            .to_bytes();
        Ok(Response::from_parts(head, body))
    }

    /// Sends a request and returns the answer as soon as its head is there. Without a `Host` field, `localhost` is
    /// the host.
    ///
    /// # Errors
    /// When the connection fails.
    ///
    /// # Cancel safety
    /// Dropping the future gives the request up, and its connection with it.
    pub async fn send(&self, mut request: Request<Body>) -> Result<Response<Body>, Error> {
        let failed = |error| Error::new("the request failed").with_source(error);
        self.address(&mut request)?;
        let mut sender = self.sender.lock().await;
        self.connect(&mut sender).await?;
        let response = match &mut *sender {
            Sender::Http1(sender) => sender.send_request(request).await.map_err(failed)?,
            Sender::Http2(http2) => {
                let mut http2 = http2.clone();
                drop(sender);
                http2.send_request(request).await.map_err(failed)?
            }
            Sender::None => return Err(Error::new("there is no connection")),
        };
        Ok(response.map(Body::new))
    }

    /// Makes sure that there is a connection that takes another request.
    async fn connect(&self, sender: &mut Sender) -> Result<(), Error> {
        let failed = |error| Error::new("cannot connect to the test server").with_source(error);
        let is_ready = match sender {
            Sender::None => false,
            Sender::Http1(sender) => sender.ready().await.is_ok(),
            Sender::Http2(sender) => sender.ready().await.is_ok(),
        };
        if is_ready {
            return Ok(());
        }
        let stream = self.connector.connect().await;
        let io = TokioIo::new(
            stream.map_err(|error| Error::new("the test server has stopped").with_source(error))?,
        );
        *sender = if self.is_http2 {
            let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await.map_err(failed)?;
            tokio::spawn(connection);
            Sender::Http2(sender)
        } else {
            let (sender, connection) = http1::handshake(io).await.map_err(failed)?;
            tokio::spawn(connection.with_upgrades());
            Sender::Http1(sender)
        };
        Ok(())
    }

    /// Completes what a request on a connection needs: a host, and over HTTP/2 a whole address.
    fn address(&self, request: &mut Request<Body>) -> Result<(), Error> {
        if !self.is_http2 {
            request.headers_mut().entry(HOST).or_insert(HeaderValue::from_static("localhost"));
            return Ok(());
        }
        *request.version_mut() = Version::HTTP_2;
        if request.uri().authority().is_none() {
            let host = request.headers_mut().remove(HOST);
            let host = host.as_ref().and_then(|host| host.to_str().ok()).unwrap_or("localhost");
            let address = format!("http://{host}{}", request.uri());
            let uri = address.parse::<Uri>();
            *request.uri_mut() =
                uri.map_err(|error| Error::new(format!("{address} is no address")).with_source(error))?;
        }
        Ok(())
    }
}

impl fmt::Debug for TestClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestClient").field("is_http2", &self.is_http2).finish_non_exhaustive()
    }
}
