//! may_minihttp as its TechEmpower example configures it (no default features, a pool of 1,000 coroutines with stacks of
//! 32 KiB), but with the system's allocator as all programs here. Its Server header is fixed to `M`.

use std::fmt::Write;
use std::io::{self, BufRead};
use std::process::ExitCode;

use bench_peers::{BoxError, Message, Options, PLAINTEXT, cores, exit_code};
use bytes::BufMut;
use may_minihttp::{HttpService, HttpServiceFactory, Request, Response};

fn main() -> ExitCode {
    exit_code(serve())
}

fn serve() -> Result<(), BoxError> {
    let options = Options::parse(&[])?;
    may::config().set_workers(cores()).set_pool_capacity(1000).set_stack_size(0x1000);
    let server = Routes.start(options.listen)?;
    server.join().map_err(|_| "the accept loop panicked".into())
}

struct Routes;

impl HttpServiceFactory for Routes {
    type Service = Self;

    fn new_service(&self, _: usize) -> Self {
        Self
    }
}

impl HttpService for Routes {
    fn call(&mut self, request: Request<'_, '_, '_>, response: &mut Response<'_>) -> io::Result<()> {
        match (request.method(), request.path()) {
            ("GET", "/plaintext") => response.header("Content-Type: text/plain").body(PLAINTEXT),
            ("GET", "/json") => {
                response.header("Content-Type: application/json");
                serde_json::to_writer(response.body_mut().writer(), &Message::HELLO)?;
            }
            ("GET", "/100k") => binary(response, bench_peers::filler_100k()),
            ("GET", "/10m") => binary(response, bench_peers::filler_10m()),
            ("POST", "/upload") => {
                let length = read(request.body())?;
                response.header("Content-Type: text/plain");
                write!(response.body_mut(), "{length}").map_err(io::Error::other)?;
            }
            _ => drop(response.status_code(404, "Not Found")),
        }
        Ok(())
    }
}

fn binary(response: &mut Response<'_>, body: &'static str) {
    response.header("Content-Type: application/octet-stream").body(body);
}

fn read(mut body: impl BufRead) -> io::Result<usize> {
    let mut length = 0;
    loop {
        match body.fill_buf()?.len() {
            0 => return Ok(length),
            count => {
                length += count;
                body.consume(count);
            }
        }
    }
}
