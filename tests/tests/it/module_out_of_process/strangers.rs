//! Others at the port of a process, who want to see its requests.

use std::sync::{Arc, Mutex};

use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

use super::*;

/// Whatever is sent to a port of 127.0.0.1.
struct Stranger {
    heard: Arc<Mutex<Vec<u8>>>,
}

async fn keep(mut stream: tokio::net::TcpStream, keeper: Arc<Mutex<Vec<u8>>>) {
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
        keeper.lock().unwrap().extend_from_slice(&buffer[..count]);
    }
}

impl Stranger {
    async fn at(port: u16) -> Self {
        let listener = soon(async {
            loop {
                match TcpListener::bind(("127.0.0.1", port)).await {
                    Ok(listener) => return listener,
                    Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
                }
            }
        })
        .await;
        let heard = Arc::<Mutex<Vec<u8>>>::default();
        let keeper = Arc::clone(&heard);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let keeper = Arc::clone(&keeper);
                tokio::spawn(keep(stream, keeper));
            }
        });
        Self { heard }
    }

    fn heard(&self) -> String {
        String::from_utf8_lossy(&self.heard.lock().unwrap()).into_owned()
    }
}

/// An application at a port that is known before.
fn at(port: u16, mut application: serde_json::Value) -> serde_json::Value {
    application["EnvironmentVariables"] = json!({ "ASPNETCORE_PORT": port.to_string() });
    application["StartupTimeLimit"] = 2.into();
    application
}

#[tokio::test]
async fn who_takes_the_port_of_a_process_over_is_sent_nothing() {
    let port = free_port();
    // What has started the server outlives it, so there is no news of an end.
    let script = "\"$0\" plain; exec sleep 60";
    let application = json!({
        "Command": "/bin/sh", "Arguments": ["-c", script, binary("odd-app")], "ShutdownTimeLimit": 2,
        "RequestTimeout": 60,
    });
    let module = Module::start(at(port, application)).await;
    module.pid("/").await;
    assert_eq!(module.get("/crash").await.status, 502);
    let stranger = Stranger::at(port).await;
    for _ in 0..5 {
        let answer = soon(curl(["--cookie", "secret=1", "--max-time", "5", &module.url("/")])).await;
        assert_eq!(answer.status, 502);
    }
    assert_eq!(stranger.heard(), "");
    // Nor is the request to stop, with the token.
    let end = module.program.stop().await;
    assert_eq!((end.code, stranger.heard().as_str()), (Some(0), ""));
    assert!(end.stdout.iter().any(|line| line.contains("somebody else has taken its port")), "{end:?}");
}

#[tokio::test]
async fn one_that_listens_for_ipv6_alone_is_not_ready() {
    let mut module = Module::start(at(free_port(), odd("ipv6-only"))).await;
    assert_eq!(module.get("/").await.status, 502);
    let line = module.program.line("attempt=2").await;
    assert!(line.contains("does not listen on 127.0.0.1"), "{line}");
}

#[tokio::test]
async fn who_listens_beside_one_that_has_ipv6_alone_is_sent_nothing() {
    let port = free_port();
    let stranger = Stranger::at(port).await;
    let mut module = Module::start(at(port, odd("ipv6-only"))).await;
    let answer = soon(curl(["--max-time", "8", &module.url("/")])).await;
    assert_eq!((answer.status, stranger.heard().as_str()), (502, ""));
    let line = module.program.line("attempt=2").await;
    assert!(line.contains(&format!("the port {port}")) && line.contains("not its own"), "{line}");
}

#[tokio::test]
async fn one_that_listens_for_ipv6_and_ipv4_is_ready() {
    let module = Module::start(odd("ipv6")).await;
    assert_eq!(module.get("/").await.status, 200);
}
