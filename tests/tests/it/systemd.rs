//! What a supervisor such as systemd is told, over a real socket, and what it can ask for.

use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use rustix::process::Signal;
use tokio::time::Instant;

use crate::program::{Folder, Launch, Program, free_port};
use crate::support::{Client, Http2, soon};

mod journal;
mod reload;
mod watchdog;

/// The socket of a supervisor.
struct Supervisor {
    socket: tokio::net::UnixDatagram,
    folder: Folder,
}

impl Supervisor {
    fn new() -> Self {
        let folder = Folder::new();
        let socket = UnixDatagram::bind(folder.path().join("notify.sock")).unwrap();
        socket.set_nonblocking(true).unwrap();
        Self { socket: tokio::net::UnixDatagram::from_std(socket).unwrap(), folder }
    }

    /// A program that it watches.
    fn watch(&self, launch: Launch) -> Launch {
        launch.env("NOTIFY_SOCKET", self.folder.path().join("notify.sock"))
    }

    /// The next message, as lines.
    async fn next(&self) -> Vec<String> {
        let mut buffer = [0; 4096];
        let count = soon(self.socket.recv(&mut buffer)).await.unwrap();
        let text = std::str::from_utf8(&buffer[..count]).unwrap();
        assert!(text.ends_with('\n'), "{text:?}");
        text.lines().map(str::to_owned).collect()
    }

    /// The next message that is no ping.
    async fn next_state(&self) -> Vec<String> {
        loop {
            let message = self.next().await;
            if message != ["WATCHDOG=1"] {
                return message;
            }
        }
    }

    /// Forgets what was said so far.
    fn forget(&self) {
        let mut buffer = [0; 4096];
        while self.socket.try_recv(&mut buffer).is_ok() {}
    }

    /// Whether nothing is said for so long.
    async fn hears_nothing_for(&self, time: Duration) -> bool {
        let mut buffer = [0; 4096];
        tokio::time::timeout(time, self.socket.recv(&mut buffer)).await.is_err()
    }
}

#[tokio::test]
async fn it_is_told_of_start_and_stop_with_a_status() {
    let supervisor = Supervisor::new();
    let program = supervisor.watch(Launch::hello()).start().await;
    assert_eq!(supervisor.next().await, ["READY=1", &format!("STATUS=Listening on {}", program.url(""))]);
    program.signal(Signal::TERM);
    let expected = ["STOPPING=1", "STATUS=Stopping; what is under way is finished, within 30s"];
    assert_eq!(supervisor.next().await, expected);
    assert_eq!(program.end().await.code, Some(0));
    assert!(supervisor.hears_nothing_for(Duration::from_millis(50)).await);
}

#[tokio::test]
async fn it_is_told_when_the_stop_is_announced() {
    let supervisor = Supervisor::new();
    let launch = Launch::hello().args(["--shutdownDelaySeconds", "60"]);
    let program = supervisor.watch(launch).start().await;
    assert_eq!(supervisor.next().await[0], "READY=1");
    program.signal(Signal::TERM);
    assert_eq!(supervisor.next().await, ["STOPPING=1", "STATUS=Stopping in 60s; requests are still taken"]);
    assert_eq!(Client::tcp(program.address()).await.get("/").await.status, 200);
    program.signal(Signal::TERM);
    assert_eq!(supervisor.next().await[0], "STOPPING=1");
    assert_eq!(program.end().await.code, Some(0));
}

#[tokio::test]
async fn a_start_that_fails_is_not_told_as_ready() {
    let supervisor = Supervisor::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", taken.local_addr().unwrap());
    supervisor.watch(Launch::of("hello").args(["--urls", &url])).fail().await;
    assert!(supervisor.hears_nothing_for(Duration::from_millis(50)).await);
}

#[tokio::test]
async fn it_is_told_how_many_requests_a_stop_waits_for() {
    let supervisor = Supervisor::new();
    let mut program =
        supervisor.watch(Launch::features()).args(["--shutdownTimeoutSeconds", "4"]).start().await;
    assert_eq!(supervisor.next().await[0], "READY=1");
    let address = program.address();
    let mut waiting = Client::tcp(address).await;
    waiting.send("GET /delay/30000 HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let mut short = Client::tcp(address).await;
    short.send("POST /count HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n").await;
    let http2 = Http2::new(tokio::net::TcpStream::connect(address).await.unwrap()).await;
    let mut streams = Vec::new();
    for _ in 0..3 {
        let request = http::Request::get("http://a/delay/30000").body(()).unwrap();
        streams.push(http2.send(request, true).await);
    }
    let _idle = Client::tcp(address).await.get("/plaintext").await;
    program.signal(Signal::TERM);
    assert_eq!(supervisor.next().await[0], "STOPPING=1");
    assert_eq!(supervisor.next().await, ["STATUS=Stopping; 5 requests left"]);
    short.send("12345").await;
    assert_eq!(short.response().await.status, 200);
    assert_eq!(supervisor.next().await, ["STATUS=Stopping; 4 requests left"]);
    program.line("the shutdown timeout has passed; 4 requests are aborted").await;
    assert_eq!(program.end().await.code, Some(0));
}
