//! The sample `operations` does what its README.md says.

use rustix::process::Signal;
use serde_json::Value;
use tokio::process::Child;

use crate::program::{Answer, Launch, Program, command, curl, free_port, workspace};
use crate::support::soon;

mod collector;
mod log;
mod stop;

/// A file of the sample.
fn file(name: &str) -> String {
    let path = workspace().join("samples/operations").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The sample as it lies in its folder, on other ports.
struct Sample {
    launch: Launch,
    public: u16,
    private: u16,
}

impl Sample {
    fn new() -> Self {
        let (settings, public, private) = sample_settings();
        let launch = Launch::of("operations")
            .file("appsettings.json", settings)
            .file("orders.json", file("orders.json"));
        Self { launch, public, private }
    }

    fn args<const N: usize>(mut self, arguments: [&str; N]) -> Self {
        self.launch = self.launch.args(arguments);
        self
    }

    fn env(mut self, name: &str, value: &str) -> Self {
        self.launch = self.launch.env(name, value);
        self
    }

    async fn start(self) -> Running {
        Running { program: self.launch.start().await, public: self.public, private: self.private }
    }
}

struct Running {
    program: Program,
    public: u16,
    private: u16,
}

impl Running {
    async fn public(&self, path: &str) -> Answer {
        curl([format!("http://localhost:{}{path}", self.public).as_str()]).await
    }

    async fn private(&self, path: &str) -> Answer {
        curl([format!("http://localhost:{}{path}", self.private).as_str()]).await
    }

    /// The next line of the access log.
    async fn access(&mut self) -> Value {
        serde_json::from_str(&self.program.line("{\"time\":").await).unwrap()
    }
}

/// The settings of the sample with the ports that are free here, the public and the private one.
fn sample_settings() -> (String, u16, u16) {
    let (public, private) = (free_port(), free_port());
    (ports(&file("appsettings.json"), public, private), public, private)
}

/// The same text with other ports, which it must name.
fn ports(text: &str, public: u16, private: u16) -> String {
    assert!(text.contains("localhost:5000") && text.contains("localhost:9100"), "{text}");
    text.replace("localhost:5000", &format!("localhost:{public}"))
        .replace("localhost:9100", &format!("localhost:{private}"))
}

/// The commands of README.md that begin so.
fn commands(start: &str) -> Vec<String> {
    let readme = file("README.md");
    let lines = readme.split("```").skip(1).step_by(2).flat_map(str::lines);
    let commands = lines.filter(|line| line.starts_with(start));
    commands.map(|line| line.split(" #").next().unwrap_or(line).trim_end().to_owned()).collect()
}

fn shell(line: &str) -> Child {
    let mut shell = command("sh");
    shell.args(["-c", line]).stdout(std::process::Stdio::piped());
    shell.spawn().unwrap()
}

#[tokio::test]
async fn every_command_of_the_readme_works_and_the_stop_ends_those_that_wait() {
    let mut running = Sample::new().start().await;
    let lines = commands("curl ");
    assert_eq!(lines.len(), 5, "{lines:?}");
    let (waiting, answered): (Vec<_>, Vec<_>) =
        lines.iter().partition(|line| line.ends_with("/events") || line.ends_with("/poll"));
    let on_ports = |line: &str| {
        let line = line.replace(":5000", &format!(":{}", running.public));
        line.replace(":9100", &format!(":{}", running.private)).replace("curl ", "curl -sSf --max-time 9 ")
    };
    for line in answered {
        let output = soon(shell(&on_ports(line)).wait_with_output()).await.unwrap();
        assert!(output.status.success() && !output.stdout.is_empty(), "{line}: {output:?}");
    }
    let waiting: Vec<_> = waiting.iter().map(|line| shell(&on_ports(line).replace("-sSf", "-sS"))).collect();
    assert_eq!(waiting.len(), 2);
    // Both have arrived when they are under way on the endpoint.
    let under_way = "http_server_active_requests{http_request_method=\"GET\",url_scheme=\"http\",otel_scope_name=\"hosting\"} 3";
    soon(async { while !running.private("/metrics").await.text().contains(under_way) {} }).await;
    running.program.signal(Signal::TERM);
    running.program.line("Application is shutting down").await;
    let mut ends = String::new();
    for one in waiting {
        let output = soon(one.wait_with_output()).await.unwrap();
        assert!(output.status.success(), "{output:?}");
        ends += std::str::from_utf8(&output.stdout).unwrap();
    }
    // The poll has no body.
    assert!(ends.ends_with("event: stopping\ndata:\n\n"), "{ends}");
    let end = running.program.end().await;
    assert_eq!((end.code, end.stderr.as_str()), (Some(0), ""), "{end:?}");
}

#[test]
fn every_file_of_the_readme_is_there_and_every_file_of_the_sample_is_told_of() {
    let readme = file("README.md");
    let root = workspace().join("samples/operations");
    let named: Vec<_> = readme.split('`').filter(|text| text.starts_with("src/")).collect();
    for name in &named {
        assert!(root.join(name).is_file(), "{name}");
    }
    for entry in std::fs::read_dir(root.join("src")).unwrap() {
        let name = format!("src/{}", entry.unwrap().file_name().display());
        assert!(named.contains(&name.as_str()), "README.md says nothing of {name}");
    }
}

#[tokio::test]
async fn what_is_private_is_not_there_for_clients() {
    let running = Sample::new().start().await;
    let unknown = running.public("/nothing").await;
    assert_eq!(unknown.status, 404);
    for path in ["/metrics", "/_diagnostics"] {
        let hidden = running.public(path).await;
        assert_eq!((hidden.status, &hidden.body), (404, &unknown.body), "{path}: {hidden:?}");
        assert_eq!(running.private(path).await.status, 200, "{path}");
    }
    for path in ["/healthz/live", "/healthz/ready"] {
        assert_eq!(running.public(path).await.status, 200, "{path}");
        assert_eq!(running.private(path).await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn without_its_orders_it_is_not_ready_and_lives() {
    let mut running = Sample::new().start().await;
    let place = running.program.folder().path().join("orders.json");
    let ready = async |running: &Running, status| {
        soon(async { while running.public("/healthz/ready").await.status != status {} }).await;
    };
    ready(&running, 200).await;
    assert_eq!(running.public("/orders/7").await.json()["item"], "lamp");
    assert_eq!(running.public("/orders/9").await.status, 404);
    std::fs::rename(&place, place.with_extension("away")).unwrap();
    ready(&running, 503).await;
    assert_eq!(running.public("/healthz/live").await.status, 200);
    let answer = running.public("/orders/7").await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("5")), "{answer:?}");
    let told = running.program.line("an order could not be looked up").await;
    for part in ["ERROR", place.to_str().unwrap(), "Orders:File", "No such file"] {
        assert!(told.contains(part), "{part} is not in {told}");
    }
    std::fs::write(&place, "[").unwrap();
    running.public("/orders/7").await;
    let told = running.program.line("the orders cannot be understood").await;
    assert!(told.contains(place.to_str().unwrap()), "{told}");
    std::fs::rename(place.with_extension("away"), &place).unwrap();
    ready(&running, 200).await;
    assert_eq!(running.public("/orders/8").await.json()["count"], 4);
}

#[tokio::test]
async fn the_orders_lie_where_the_key_says() {
    let running = Sample::new().args(["--Orders:File", "else/where.json"]).start().await;
    assert_eq!(running.public("/orders/7").await.status, 503);
    running.program.folder().write("else/where.json", r#"[{ "id": 7, "item": "table", "count": 2 }]"#);
    assert_eq!(running.public("/orders/7").await.json()["item"], "table");
}
