//! What the module's own client of HTTP/1.1 makes of each thing that can come from a process, and that no answer ever goes to a
//! request that it is not for.

use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::*;
use crate::support::{Client, Http2, Response, within};

mod bodies;
mod connections;
mod framing;

/// An application that does what each request tells it to, behind the module.
struct Scripted {
    module: Module,
    /// Where the application listens.
    port: u16,
    /// How many scripts have begun.
    scripts: AtomicUsize,
}

/// What an answer ought to come to.
#[derive(Clone, Copy)]
enum Comes {
    /// To the client, with this status and this content.
    Whole(u16, &'static str),
    /// As 502, or as an answer that breaks off.
    Broken,
}

impl Scripted {
    async fn start() -> Self {
        Self::start_with(&json!({})).await
    }

    /// With these keys of the application. The module has one processor, and so one thread for requests: a connection that waits is
    /// the one that is taken.
    async fn start_with(keys: &serde_json::Value) -> Self {
        let all = sched_getaffinity(None).unwrap();
        let mut one = CpuSet::new();
        one.set((0..CpuSet::MAX_CPU).find(|number| all.is_set(*number)).unwrap());
        // What is started from here has what is here.
        sched_setaffinity(None, &one).unwrap();
        let app = Self::start_on_all(keys).await;
        sched_setaffinity(None, &all).unwrap();
        app
    }

    async fn start_on_all(keys: &serde_json::Value) -> Self {
        let mut application = json!({ "Command": binary("scripted-app"), "ShutdownTimeLimit": 2 });
        for (key, value) in keys.as_object().unwrap() {
            application[key] = value.clone();
        }
        let module = Module::start(application).await;
        assert_eq!(module.get("/").await.status, 200);
        let port = told(module.worker("scripted-app"), "ASPNETCORE_PORT").parse().unwrap();
        Self { module, port, scripts: AtomicUsize::new(0) }
    }

    async fn client(&self) -> Client {
        Client::tcp(([127, 0, 0, 1], self.module.port).into()).await
    }

    /// A number that the application, asked past the module, tells of itself.
    async fn state(&self, name: &str) -> usize {
        let mut client = Client::tcp(([127, 0, 0, 1], self.port).into()).await;
        let answer = client.get("/state").await;
        of(answer.text(), name).parse().unwrap()
    }

    /// Waits until such a number is what it should be.
    async fn state_is(&self, name: &str, number: usize) {
        soon(async {
            while self.state(name).await != number {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
    }

    /// Sends a request with a script, and takes the answer once the script has ended: all of it has been sent then.
    async fn answer(&self, method: &str, script: &str, fields: &str) -> std::io::Result<Response> {
        let mut client = self.client().await;
        client.send(request(method, script, fields)).await;
        let answer = match method {
            "HEAD" => Ok(client.response_to_head().await),
            _ => last(&mut client).await,
        };
        self.script_has_ended().await;
        answer
    }

    /// Each script ends before the next begins.
    async fn script_has_ended(&self) {
        let number = self.scripts.fetch_add(1, Ordering::SeqCst) + 1;
        self.state_is("scripts", number).await;
    }

    /// The next request gets the answer to itself; on which connection to the process is returned.
    async fn next_is_answered(&self, after: &str) -> usize {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let own = format!("/own/{}", NUMBER.fetch_add(1, Ordering::SeqCst));
        let mut client = self.client().await;
        let content = "x".repeat(100);
        let request = format!("POST {own} HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{content}");
        let answer = client.exchange(&request).await;
        assert_eq!(answer.status, 200, "after {after}: {answer:?}");
        let text = answer.text();
        assert!(text.contains(&format!("\nPOST {own} HTTP/1.1\n")), "after {after}: {text}");
        assert_eq!(of(text, "length"), "100", "after {after}");
        of(text, "connection").parse().unwrap()
    }

    /// An answer comes as it should, all at once and byte by byte, and the next one is what it is.
    async fn comes(&self, method: &str, script: &str, comes: Comes) {
        for pieces in ["", "x-piece: 1\r\n", "x-piece: 7\r\n"] {
            let about = format!("{method} {script:?} {pieces:?}");
            let answer = self.answer(method, script, pieces).await;
            match (comes, answer) {
                (Comes::Whole(status, content), Ok(answer)) => {
                    assert_eq!((answer.status, answer.text()), (status, content), "{about}");
                }
                (Comes::Whole(..), Err(error)) => panic!("{about}: {error}"),
                (Comes::Broken, Ok(answer)) => assert_eq!(answer.status, 502, "{about}: {answer:?}"),
                (Comes::Broken, Err(_)) => {}
            }
            self.next_is_answered(&about).await;
        }
    }
}

/// The value of a line.
fn of<'a>(text: &'a str, name: &str) -> &'a str {
    let mut values = text.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    values.next().unwrap_or_else(|| panic!("no {name}: {text}"))
}

/// The first answer that is not one on the way.
async fn last(client: &mut Client) -> std::io::Result<Response> {
    loop {
        let answer = client.try_response().await?;
        if answer.status >= 200 {
            return Ok(answer);
        }
    }
}

fn request(method: &str, script: &str, fields: &str) -> String {
    format!("{method} /script HTTP/1.1\r\nHost: a\r\nx-script: {script}\r\n{fields}\r\n")
}

/// As a script has bytes.
fn escaped(bytes: &str) -> String {
    let mut text = String::new();
    for character in bytes.chars() {
        match character {
            '%' | '|' | '\0'..='\x1f' | '\x7f' => text += &format!("%{:02X}", u32::from(character)),
            _ => text.push(character),
        }
    }
    text
}

/// The script that sends these bytes.
fn send(bytes: &str) -> String {
    format!("send {}", escaped(bytes))
}

/// A whole answer with a content of five bytes.
const HELLO: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
/// One that nobody has asked for.
const STRAY: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nstray";

/// Bytes that are not all the same.
fn data(length: u32) -> Vec<u8> {
    (0..length.div_ceil(4)).flat_map(|number| number.wrapping_mul(2_654_435_761).to_ne_bytes()).collect()
}
