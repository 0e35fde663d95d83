//! A tonic service, unchanged, under `WebApplication`. It is what tonic generates, written by hand.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::task::{Context, Poll};

use bytes::{Buf, BufMut};
use futures_util::stream::{self, BoxStream, StreamExt};
use hosting::{RunningHost, WebApplication, WebApplicationOptions};
use http::uri::PathAndQuery;
use server_abstractions::BoxFuture;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::server::NamedService;
use tonic::service::Routes;
use tonic::transport::server::TcpConnectInfo;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Response, Status};
use tower::{Service, service_fn};

use crate::support::soon;

/// Messages that are text and nothing else.
#[derive(Clone, Copy, Default)]
struct Text;

impl Codec for Text {
    type Encode = String;
    type Decode = String;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Text {
    type Item = String;
    type Error = Status;

    fn encode(&mut self, item: String, target: &mut EncodeBuf<'_>) -> Result<(), Status> {
        target.put_slice(item.as_bytes());
        Ok(())
    }
}

impl Decoder for Text {
    type Item = String;
    type Error = Status;

    fn decode(&mut self, source: &mut DecodeBuf<'_>) -> Result<Option<String>, Status> {
        let bytes = source.copy_to_bytes(source.remaining());
        let text = String::from_utf8(bytes.to_vec());
        text.map(Some).map_err(|_| Status::invalid_argument("the message is not text"))
    }
}

#[derive(Clone)]
struct Greeter;

impl NamedService for Greeter {
    const NAME: &'static str = "it.Greeter";
}

async fn hello(request: Request<String>) -> Result<Response<String>, Status> {
    let info = request.extensions().get::<TcpConnectInfo>().cloned();
    let info = info.ok_or_else(|| Status::internal("there is no connection"))?;
    if request.get_ref().is_empty() {
        return Err(Status::invalid_argument("whom?"));
    }
    let peer = info.remote_addr().ok_or_else(|| Status::internal("there is no peer"))?;
    let mut response = Response::new(format!("Hello, {}", request.get_ref()));
    response.metadata_mut().insert("peer", peer.to_string().parse().expect("text"));
    Ok(response)
}

async fn count(
    request: Request<String>,
) -> Result<Response<BoxStream<'static, Result<String, Status>>>, Status> {
    let until: u32 = request.get_ref().parse().map_err(|_| Status::invalid_argument("no number"))?;
    let numbers = stream::iter((1..=until).map(|number| Ok(number.to_string())));
    let end = stream::iter([Err(Status::out_of_range("no more numbers"))]);
    Ok(Response::new(numbers.chain(end).boxed()))
}

impl Service<http::Request<tonic::body::Body>> for Greeter {
    type Response = http::Response<tonic::body::Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<tonic::body::Body>) -> Self::Future {
        Box::pin(async move {
            let mut grpc = tonic::server::Grpc::new(Text);
            Ok(match request.uri().path() {
                "/it.Greeter/Hello" => grpc.unary(service_fn(hello), request).await,
                "/it.Greeter/Count" => grpc.server_streaming(service_fn(count), request).await,
                _ => Status::unimplemented("no such method").into_http(),
            })
        })
    }
}

async fn start() -> (RunningHost, Channel) {
    let options = WebApplicationOptions { arguments: Some(Vec::new()), ..WebApplicationOptions::default() };
    let application = WebApplication::builder_with(options).urls("http://127.0.0.1:0");
    let application = application.build(Routes::new(Greeter)).expect("the application is built");
    let running = soon(application.start()).await.expect("the application starts");
    let endpoint = Endpoint::from_shared(running.addresses()[0].to_string()).expect("an address");
    let channel = soon(endpoint.connect()).await.expect("connects");
    (running, channel)
}

type Client = tonic::client::Grpc<Channel>;

async fn client(channel: &Channel) -> Client {
    let mut client = Client::new(channel.clone());
    soon(client.ready()).await.expect("an open connection");
    client
}

fn path(method: &str) -> PathAndQuery {
    format!("/it.Greeter/{method}").parse().expect("a path")
}

#[tokio::test]
async fn a_unary_call_sees_its_peer() {
    let (running, channel) = start().await;
    let request = Request::new("Kestrel".to_owned());
    let response = soon(client(&channel).await.unary(request, path("Hello"), Text)).await.expect("an answer");
    assert_eq!(response.get_ref(), "Hello, Kestrel");
    let peer = response.metadata().get("peer").and_then(|peer| peer.to_str().ok()).expect("a peer");
    let peer: SocketAddr = peer.parse().expect("an address");
    assert!(peer.ip().is_loopback() && Some(peer.port()) != running.addresses()[0].port());
    drop(channel);
    soon(running.stop()).await;
}

#[tokio::test]
async fn errors_come_as_status() {
    let (_running, channel) = start().await;
    for (message, method, code) in [
        ("", "Hello", Code::InvalidArgument),
        ("a", "Nope", Code::Unimplemented),
        ("x", "Count", Code::InvalidArgument),
    ] {
        let request = Request::new(message.to_owned());
        let status =
            soon(client(&channel).await.unary(request, path(method), Text)).await.expect_err("an error");
        assert_eq!(status.code(), code, "{method}: {status:?}");
    }
}

#[tokio::test]
async fn a_stream_ends_in_trailers() {
    let (_running, channel) = start().await;
    let request = Request::new("1000".to_owned());
    let call = soon(client(&channel).await.server_streaming(request, path("Count"), Text)).await;
    let mut stream = call.expect("an answer").into_inner();
    for number in 1..=1000 {
        assert_eq!(soon(stream.message()).await.expect("no error"), Some(number.to_string()));
    }
    let status = soon(stream.message()).await.expect_err("the status of the trailers");
    assert_eq!((status.code(), status.message()), (Code::OutOfRange, "no more numbers"));
}

#[tokio::test]
async fn a_call_under_way_is_finished_when_the_host_stops() {
    let (running, channel) = start().await;
    let request = Request::new("20".to_owned());
    let call = soon(client(&channel).await.server_streaming(request, path("Count"), Text)).await;
    let mut stream = call.expect("an answer").into_inner();
    let stopped = tokio::spawn(running.stop());
    for number in 1..=20 {
        assert_eq!(soon(stream.message()).await.expect("no error"), Some(number.to_string()));
    }
    drop((stream, channel));
    assert_eq!(soon(stopped).await.expect("no panic"), server_abstractions::Stopped::Drained);
}
