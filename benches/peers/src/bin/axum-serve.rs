//! axum with its own `axum::serve`, on the runtime of `#[tokio::main]`, with TCP_NODELAY as the documentation of
//! `ListenerExt` sets it. It tells HTTP/2 by its preface, so `--h2c` changes nothing.

use std::process::ExitCode;

use axum::serve::ListenerExt;
use bench_peers::router::router;
use bench_peers::{BoxError, Options, exit_code};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> ExitCode {
    exit_code(serve().await)
}

async fn serve() -> Result<(), BoxError> {
    let options = Options::parse(&["h2c"])?;
    let listener = TcpListener::bind(options.listen).await?.tap_io(|stream| {
        let _ = stream.set_nodelay(true);
    });
    axum::serve(listener, router(options.file.as_deref())).await?;
    Ok(())
}
