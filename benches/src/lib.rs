//! What the measured programs have in common.

use std::io::{self, Write};
use std::net::SocketAddr;

use tokio::io::AsyncReadExt;

/// Tells whoever measures where the program listens, in the words of the hosted programs.
#[expect(clippy::print_stdout, reason = "the line is read by the program that measures")]
pub fn announce(address: SocketAddr) {
    println!("Now listening on: http://{address}");
    let _ = io::stdout().flush();
}

/// Resolves when the standard input ends.
///
/// # Errors
/// When it cannot be read.
pub async fn until_input_ends() -> io::Result<()> {
    tokio::io::stdin().read_to_end(&mut Vec::new()).await.map(drop)
}
