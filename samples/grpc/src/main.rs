//! A gRPC service, defined in `proto/greet.proto`.

use hosting::WebApplication;
use tonic::service::Routes;
use tonic::{Request, Response, Status};

use crate::greet::greeter_server::{Greeter, GreeterServer};
use crate::greet::{HelloReply, HelloRequest};

mod greet {
    tonic::include_proto!("greet");
}

struct GreeterService;

#[tonic::async_trait]
impl Greeter for GreeterService {
    async fn say_hello(&self, request: Request<HelloRequest>) -> Result<Response<HelloReply>, Status> {
        let message = format!("Hello {}", request.into_inner().name);
        Ok(Response::new(HelloReply { message }))
    }
}

#[tokio::main]
async fn main() -> Result<(), hosting::Error> {
    let services = Routes::new(GreeterServer::new(GreeterService));
    WebApplication::builder().build(services)?.run().await
}
