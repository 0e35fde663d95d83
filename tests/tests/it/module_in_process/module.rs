//! A module with one application, as a process of its own: `src/bin/in-process-module.rs`.

use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::sleep;

use crate::program::{Folder, binary};
use crate::support::{Client, soon, within};

/// More than a machine that is busy with other tests takes for a few starts of processes.
const LONG: Duration = Duration::from_secs(25);

pub(super) struct Module {
    child: Child,
    stdin: ChildStdin,
    answers: UnboundedReceiver<String>,
    /// What the application has printed.
    printed: Arc<Mutex<String>>,
    events: Arc<Mutex<String>>,
    pub(super) addresses: Vec<String>,
    pub(super) folder: Folder,
}

/// The sample `features` at a port that the system chooses.
pub(super) fn features() -> Value {
    json!({ "Command": binary("features"), "HostingModel": "InProcess" })
}

/// A script in the place of an application.
pub(super) fn script(script: &str) -> Value {
    json!({ "Command": "/bin/sh", "Arguments": ["-c", script], "HostingModel": "InProcess" })
}

/// With these keys over the others.
pub(super) fn with(mut application: Value, keys: Value) -> Value {
    let Value::Object(keys) = keys else { panic!("{keys} has no keys") };
    application.as_object_mut().unwrap().extend(keys);
    application
}

impl Module {
    /// At one port of 127.0.0.1.
    pub(super) async fn start(application: Value) -> Self {
        let endpoints = json!({ "Endpoints": { "Web": { "Url": "http://127.0.0.1:0" } } });
        Self::start_in(Folder::new(), endpoints, application).await
    }

    /// With these keys in the section, in a folder that may have something in it.
    pub(super) async fn start_in(folder: Folder, section: Value, application: Value) -> Self {
        let section = with(section, json!({ "Applications": { "shop": application } }));
        let file = folder.write("module.json", json!({ "Module": section }).to_string());
        let mut command = Command::new(env!("CARGO_BIN_EXE_in-process-module"));
        command.arg(file).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("ASPNETCORE_URLS", "http://127.0.0.1:1").env("HOME", folder.path());
        command.current_dir(folder.path()).kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (send, answers) = unbounded_channel();
        let (printed, events) = (Arc::<Mutex<String>>::default(), Arc::<Mutex<String>>::default());
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let printer = Arc::clone(&printed);
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                match line.strip_prefix("= ") {
                    Some(answer) => drop(send.send(answer.to_owned())),
                    None => *printer.lock().unwrap() += &format!("{line}\n"),
                }
            }
        });
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let teller = Arc::clone(&events);
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                *teller.lock().unwrap() += &format!("{line}\n");
            }
        });
        let stdin = child.stdin.take().unwrap();
        let mut module = Self { child, stdin, answers, printed, events, addresses: Vec::new(), folder };
        module.addresses = module.answer().await.split(' ').map(str::to_owned).collect();
        module
    }

    async fn answer(&mut self) -> String {
        let answer = within(LONG, self.answers.recv()).await;
        answer.unwrap_or_else(|| panic!("the module has ended: {}", self.events()))
    }

    pub(super) async fn ask(&mut self, command: &str) -> String {
        soon(self.stdin.write_all(format!("{command}\n").as_bytes())).await.unwrap();
        self.answer().await
    }

    pub(super) async fn recycle(&mut self) {
        let answer = self.ask("recycle").await;
        assert_eq!(answer, "recycled", "{}", self.events());
    }

    pub(super) async fn status(&mut self) -> Value {
        serde_json::from_str(&self.ask("status").await).unwrap()
    }

    /// Waits until the status is so.
    pub(super) async fn until(&mut self, is_so: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        for _ in 0..LONG.as_millis() / 20 {
            last = self.status().await;
            if is_so(&last) {
                return last;
            }
            sleep(Duration::from_millis(20)).await;
        }
        panic!("it never came to that: {last:#} {}", self.events());
    }

    /// Waits until it is running with so many workers that are ready, and no others.
    pub(super) async fn running(&mut self, workers: usize) -> Vec<i32> {
        let status = self.until(|status| status["state"] == "running" && pids(status).len() == workers).await;
        pids(&status)
    }

    /// Everything that the module has told.
    pub(super) fn events(&self) -> String {
        self.events.lock().unwrap().clone()
    }

    pub(super) fn printed(&self) -> String {
        self.printed.lock().unwrap().clone()
    }

    /// The socket address of an endpoint.
    pub(super) fn address(&self, index: usize) -> SocketAddr {
        self.addresses[index].rsplit('/').next().unwrap().parse().unwrap()
    }

    /// A client of the first endpoint.
    pub(super) async fn client(&self) -> Client {
        Client::tcp(self.address(0)).await
    }

    /// The text at a path of the first endpoint, whose worker may have to start.
    pub(super) async fn get(&self, path: &str) -> String {
        let mut client = self.client().await;
        client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")).await;
        within(LONG, client.response_whenever()).await.text().to_owned()
    }

    /// How often the system has given the module a processor.
    pub(super) fn turns(&self) -> u64 {
        let threads =
            std::fs::read_dir(format!("/proc/{}/task", self.child.id().unwrap())).unwrap().flatten();
        let texts = threads.map(|thread| std::fs::read_to_string(thread.path().join("status")).unwrap());
        let of_one = |text: String| -> u64 {
            let lines = text.lines().filter_map(|line| line.split_once("ctxt_switches:"));
            lines.map(|(_, count)| count.trim().parse::<u64>().unwrap()).sum()
        };
        texts.map(of_one).sum()
    }

    /// Ends the module as nobody can be told.
    pub(super) async fn kill(mut self) -> Folder {
        self.child.start_kill().unwrap();
        soon(self.child.wait()).await.unwrap();
        self.folder
    }

    pub(super) async fn stop(&mut self) {
        assert_eq!(self.ask("stop").await, "stopped");
        assert!(soon(self.child.wait()).await.unwrap().success());
    }
}

/// The processes that a status shows.
pub(super) fn pids(status: &Value) -> Vec<i32> {
    let workers = status["workers"].as_array().unwrap().iter();
    workers.map(|worker| i32::try_from(worker["pid"].as_i64().unwrap()).unwrap()).collect()
}

pub(super) fn kill(pid: i32) {
    kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
}

/// Waits until no process has this in its command line.
pub(super) async fn gone(text: &str) {
    within(LONG, async {
        while is_running(text) {
            sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

/// Whether a process has this in its command line. One that has ended and waits for its parent has none.
pub(super) fn is_running(text: &str) -> bool {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let mut lines = processes.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
    lines.any(|line| String::from_utf8_lossy(&line).replace('\0', " ").contains(text))
}

/// Seconds to sleep that nobody else sleeps.
pub(super) fn unique() -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("7{}.{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}
