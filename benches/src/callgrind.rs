//! User-space instructions per request, which hardly depend on what else the machine does.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::Error;
use crate::server::RunningServer;

/// What is put before a server's command line.
pub const PREFIX: &[&str] =
    &["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", "--trace-children=yes"];

const FEW: u64 = 500;
const MANY: u64 = 4500;

/// What curl sends, without the end of the head.
const REQUEST: &str =
    "GET /plaintext HTTP/1.1\r\nHost: localhost:5000\r\nUser-Agent: curl/8.14.1\r\nAccept: */*\r\n";

/// The requests that are counted.
#[derive(Clone, Copy, Debug)]
pub struct Requests {
    /// How many go out in one piece.
    pub batch: u64,
    /// Lines that come behind those that curl sends, each with its end.
    pub fields: &'static str,
}

/// The user-space instructions of one request, of those that go out on one connection.
///
/// `start` starts the server with [`PREFIX`] before its command line, twice: the difference between few and many
/// requests is free of the server's start and end.
///
/// # Errors
/// When a server cannot be started or does not answer, or callgrind says nothing.
pub fn per_request(
    requests: Requests,
    mut start: impl FnMut() -> Result<RunningServer, Error>,
) -> Result<f64, Error> {
    let batch = requests.batch;
    let mut total = |count: u64| {
        let server = start()?;
        ask(&server, count / batch, requests)?;
        collected(&server.stop()?)
    };
    let (few, many) = (total(FEW / batch * batch)?, total(MANY / batch * batch)?);
    let count = (MANY / batch * batch) - (FEW / batch * batch);
    Ok((many as f64 - few as f64) / count as f64)
}

/// The sum over the processes that callgrind has followed.
fn collected(report: &str) -> Result<u64, Error> {
    let counts = report.lines().filter_map(|line| line.split_once("Collected : "));
    let counts = counts.map(|(_, count)| count.trim().parse::<u64>()).collect::<Result<Vec<_>, _>>()?;
    if counts.is_empty() {
        return Err(format!("callgrind reported no count: {report}").into());
    }
    Ok(counts.iter().sum())
}

fn ask(server: &RunningServer, batches: u64, requests: Requests) -> Result<(), Error> {
    let mut stream = TcpStream::connect(server.address())?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    let piece = format!("{REQUEST}{}\r\n", requests.fields).repeat(usize::try_from(requests.batch)?);
    for _ in 0..batches {
        stream.write_all(piece.as_bytes())?;
        read_responses(&mut stream, requests.batch)?;
    }
    Ok(())
}

fn read_responses(stream: &mut TcpStream, count: u64) -> Result<(), Error> {
    const END: &[u8] = b"\r\n\r\nHello, World!";
    let mut response = Vec::with_capacity(4096);
    let mut piece = [0; 4096];
    let mut seen = 0;
    while seen < count {
        match stream.read(&mut piece)? {
            0 => return Err("the server closed the connection in the middle".into()),
            read => response.extend_from_slice(&piece[..read]),
        }
        while let Some(place) = response.windows(END.len()).position(|window| window == END) {
            response.drain(..place + END.len());
            seen += 1;
        }
    }
    Ok(())
}
