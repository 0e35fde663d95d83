//! Every feature of a request and every kind of response: `cargo run -p features`, then open the page. What it answers
//! stands in `lib.rs`.

use hosting::WebApplication;

#[tokio::main]
async fn main() -> Result<(), hosting::Error> {
    WebApplication::builder().build(features::handle)?.run().await
}
