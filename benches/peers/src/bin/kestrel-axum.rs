//! The same router as `axum-serve`, hosted: what an app gets that starts from `WebApplication`. On cleartext it tells
//! HTTP/2 by its preface, so `--h2c` changes nothing.

use std::process::ExitCode;

use bench_peers::router::router;
use bench_peers::{BoxError, Options, exit_code};
use hosting::{WebApplication, WebApplicationOptions};
use server_kestrel::{Endpoint, HttpsOptions};

#[tokio::main]
async fn main() -> ExitCode {
    exit_code(serve().await)
}

async fn serve() -> Result<(), BoxError> {
    let options = Options::parse(&["tls", "file", "h2c"])?;
    let mut endpoint = Endpoint::tcp(options.listen);
    if let Some(tls) = options.tls {
        endpoint = endpoint.https(HttpsOptions::pem_files(tls.certificate, tls.key));
    }
    let host = WebApplicationOptions { arguments: Some(Vec::new()), ..WebApplicationOptions::default() };
    let application = WebApplication::builder_with(host)
        .kestrel(move |kestrel| kestrel.endpoints = vec![endpoint])
        .build(router(options.file.as_deref()))?;
    Ok(application.run().await?)
}
