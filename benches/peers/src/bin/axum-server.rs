//! The same router as `axum-serve` through the crate axum-server, with its acceptors for TCP_NODELAY and rustls. It tells
//! HTTP/2 by ALPN or by its preface, so `--h2c` changes nothing.

use std::process::ExitCode;

use axum_server::accept::NoDelayAcceptor;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use bench_peers::router::router;
use bench_peers::{BoxError, Options, exit_code};

#[tokio::main]
async fn main() -> ExitCode {
    exit_code(serve().await)
}

async fn serve() -> Result<(), BoxError> {
    let options = Options::parse(&["tls", "h2c"])?;
    let service = router(options.file.as_deref()).into_make_service();
    let server = axum_server::bind(options.listen);
    match options.tls {
        None => server.acceptor(NoDelayAcceptor::new()).serve(service).await?,
        Some(tls) => {
            let config = RustlsConfig::from_pem_file(tls.certificate, tls.key).await?;
            let acceptor = RustlsAcceptor::new(config).acceptor(NoDelayAcceptor::new());
            server.acceptor(acceptor).serve(service).await?;
        }
    }
    Ok(())
}
