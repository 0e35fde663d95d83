//! Two instances behind HAProxy, which are started anew one after the other while clients ask without a break.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::program::{Folder, free_port, workspace};
use crate::reverse_proxy::process::Process;

const CLIENTS: usize = 8;

/// The answers of one server, so that it is known to take part.
const ENOUGH: usize = 50;

/// Two looks of HAProxy, which asks every 200 ms here, and some time for a machine that is busy.
const DELAY: &str = "3";

/// What clients were answered, by server and phase.
#[derive(Default)]
struct Load {
    phase: AtomicUsize,
    answers: Mutex<BTreeMap<(usize, String), usize>>,
    failures: Mutex<Vec<String>>,
    is_over: CancellationToken,
}

impl Load {
    fn count(&self, server: &str) -> usize {
        let phase = self.phase.load(Ordering::SeqCst);
        self.answers.lock().unwrap().get(&(phase, server.to_owned())).copied().unwrap_or_default()
    }

    /// Until each of these has answered often enough in this phase.
    async fn until(&self, servers: &[&str]) {
        crate::support::within(Duration::from_secs(30), async {
            while servers.iter().any(|server| self.count(server) < ENOUGH) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
    }

    /// One client that keeps its connection to HAProxy as long as HAProxy does.
    async fn ask(self: Arc<Self>, port: u16, path: &'static str) {
        let mut kept: Option<Client> = None;
        while !self.is_over.is_cancelled() {
            let mut client = match kept.take() {
                Some(client) => client,
                None => Client::tcp(([127, 0, 0, 1], port).into()).await,
            };
            let phase = self.phase.load(Ordering::SeqCst);
            let request = format!("GET {path} HTTP/1.1\r\nHost: shop.example\r\n\r\n");
            let answer = match client.try_send(request).await {
                Ok(()) => client.try_response().await,
                Err(error) => Err(error),
            };
            match answer {
                Ok(answer) if answer.status == 200 => {
                    let server = answer.header("x-server").unwrap_or_default().to_owned();
                    *self.answers.lock().unwrap().entry((phase, server)).or_default() += 1;
                    if !answer.closes() {
                        kept = Some(client);
                    }
                }
                other => self.failures.lock().unwrap().push(format!("{path} in phase {phase}: {other:?}")),
            }
        }
    }
}

/// The file of the sample with two servers in the place of one, and its ports.
fn configuration(port: u16, servers: [u16; 2]) -> String {
    let path = workspace().join("samples/reverse-proxy/haproxy/haproxy.cfg");
    let text = std::fs::read_to_string(path).unwrap();
    let line = "    server app1 127.0.0.1:5000 check\n";
    assert!(text.contains(line));
    let mut two = "    http-response set-header X-Server %s\n".to_owned();
    for (number, port) in servers.iter().enumerate() {
        two += &format!("    server app{} 127.0.0.1:{port} check inter 200 fall 1 rise 1\n", number + 1);
    }
    let text = text.replace(line, &two).replace("bind :::80 v4v6\n", &format!("bind 127.0.0.1:{port}\n"));
    // HTTP alone: what ends TLS and what passes bytes is left out.
    let end = text.find("# Bytes:").unwrap();
    text[..end]
        .lines()
        .filter(|line| !line.contains("ssl crt"))
        .fold(String::new(), |all, line| all + line + "\n")
}

async fn instance(port: u16) -> Program {
    let settings =
        std::fs::read_to_string(Path::new(workspace()).join("samples/reverse-proxy/nginx/appsettings.json"))
            .unwrap()
            .replace("127.0.0.1:5000", &format!("127.0.0.1:{port}"));
    let launch = Launch::of("reverse-proxy").file("appsettings.json", settings);
    // The last one is the host of HAProxy's checks.
    let launch = launch.args(["--AllowedHosts", "shop.example;localhost"]);
    launch.env("ASPNETCORE_SHUTDOWNDELAYSECONDS", DELAY).start().await
}

#[tokio::test]
async fn a_rolling_restart_behind_haproxy_fails_no_request() {
    let folder = Folder::new();
    let (port, ports) = (free_port(), [free_port(), free_port()]);
    let mut instances = [instance(ports[0]).await, instance(ports[1]).await];
    let file = folder.write("haproxy.cfg", configuration(port, ports)).display().to_string();
    let _haproxy = Process::start("haproxy", &["-db", "-f", &file], &[port]);
    soon(async {
        let request = "GET /plaintext HTTP/1.1\r\nHost: shop.example\r\n\r\n";
        while Client::tcp(([127, 0, 0, 1], port).into()).await.exchange(request).await.status != 200 {}
    })
    .await;

    let load = Arc::new(Load::default());
    let mut clients = JoinSet::new();
    for number in 0..CLIENTS {
        let path = ["/plaintext", "/delay/20", "/bytes/100000"][number % 3];
        clients.spawn(Arc::clone(&load).ask(port, path));
    }
    load.until(&["app1", "app2"]).await;
    for (number, instance_now) in instances.iter_mut().enumerate() {
        let other = ["app2", "app1"][number];
        load.phase.fetch_add(1, Ordering::SeqCst);
        announced(instance_now).await;
        load.until(&[other]).await;
        instance_now.line("Application is shutting down").await;
        let old = std::mem::replace(instance_now, instance_after(instance_now, ports[number]).await);
        let end = old.end().await;
        assert_eq!((end.code, end.stderr.as_str()), (Some(0), ""), "{end:?}");
        load.phase.fetch_add(1, Ordering::SeqCst);
        // The new one gets its share.
        load.until(&["app1", "app2"]).await;
    }
    load.is_over.cancel();
    soon(clients.join_all()).await;
    let failures = load.failures.lock().unwrap();
    assert!(failures.is_empty(), "{failures:#?} of {:?}", load.answers.lock().unwrap());
}

/// The next one on the same port, once the last one has left it.
async fn instance_after(old: &Program, port: u16) -> Program {
    assert!(old.seen().iter().any(|line| line.contains("shutting down")));
    soon(async {
        while std::net::TcpListener::bind(("127.0.0.1", port)).is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    instance(port).await
}
