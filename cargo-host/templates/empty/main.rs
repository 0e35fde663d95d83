use hosting::{Body, Request, Response, WebApplication};

#[tokio::main]
async fn main() -> Result<(), hosting::Error> {
    let hello = async |_: Request<Body>| Response::new(Body::from("Hello, World!"));
    WebApplication::builder().build(hello)?.run().await
}
