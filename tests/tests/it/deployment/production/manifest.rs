//! The manifest for Kubernetes: its parts agree, and the program does what it counts on with exactly its files.

use rustix::process::Signal;
use serde_json::Value;

use super::{Machine, block, blocks};
use crate::deployment::systemd::value as directive;
use crate::program::{Program, curl};
use crate::support::Client;

const KUBERNETES: &str = "Kubernetes";

struct Manifest(Vec<Value>);

impl Manifest {
    fn read() -> Self {
        Self(serde_saphyr::from_multiple(&block(KUBERNETES, "yaml")).unwrap())
    }

    /// The one object of a kind.
    fn object(&self, kind: &str) -> &Value {
        let found: Vec<_> = self.0.iter().filter(|object| object["kind"] == kind).collect();
        let [object] = found[..] else { panic!("{kind}: {found:?}") };
        object
    }

    fn pod(&self) -> &Value {
        &self.object("Deployment")["spec"]["template"]
    }

    fn container(&self) -> &Value {
        let [container] = list(&self.pod()["spec"]["containers"]) else { panic!("several containers") };
        container
    }

    fn settings(&self) -> hosting::Configuration {
        let text = text(&self.object("ConfigMap")["data"]["appsettings.json"]);
        hosting::Configuration::builder().json_text("appsettings.json", text).build().unwrap()
    }

    /// The container's port by its name.
    fn port(&self, name: &str) -> u64 {
        let mut ports = list(&self.container()["ports"]).iter().filter(|port| port["name"] == name);
        ports.next().and_then(|port| port["containerPort"].as_u64()).unwrap_or_else(|| panic!("{name}"))
    }

    /// The program with the files of the ConfigMap, and nothing else, in its folder.
    async fn start(&self) -> (Machine, Program) {
        let machine = Machine::new();
        let folder = machine.path("etc/operations");
        std::fs::remove_dir_all(&folder).unwrap();
        for (name, content) in self.object("ConfigMap")["data"].as_object().unwrap() {
            machine.settings(name, text(content));
        }
        let mut launch = machine.launch().env("ASPNETCORE_ENVIRONMENT", "");
        for variable in list(&self.container()["env"]) {
            launch =
                launch.env(text(&variable["name"]), machine.here(&format!("{}/", text(&variable["value"]))));
        }
        let program = launch.start().await;
        (machine, program)
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap_or_else(|| panic!("no list: {value}"))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}

const PROBES: [&str; 3] = ["startupProbe", "livenessProbe", "readinessProbe"];

#[test]
fn names_labels_ports_and_volumes_agree() {
    let manifest = Manifest::read();
    assert_eq!(manifest.0.len(), 3);
    let (deployment, service) = (manifest.object("Deployment"), manifest.object("Service"));
    let labels = &manifest.pod()["metadata"]["labels"];
    assert!(labels.as_object().is_some_and(|labels| !labels.is_empty()));
    assert_eq!(&deployment["spec"]["selector"]["matchLabels"], labels);
    assert_eq!(&service["spec"]["selector"], labels);
    let [port] = list(&service["spec"]["ports"]) else { panic!("{service}") };
    assert_eq!(port["targetPort"], "public");
    for probe in PROBES {
        assert_eq!(manifest.container()[probe]["httpGet"]["port"], "private", "{probe}");
    }
    for (name, endpoint) in [("public", "Public"), ("private", "Private")] {
        let url = format!("http://*:{}", manifest.port(name));
        assert_eq!(manifest.settings().get(&format!("Kestrel:Endpoints:{endpoint}:Url")), Some(url.as_str()));
        assert!(manifest.port(name) >= 1024);
    }
    let ([mount], [volume]) =
        (list(&manifest.container()["volumeMounts"]), list(&manifest.pod()["spec"]["volumes"]))
    else {
        panic!("more than one volume")
    };
    assert_eq!(mount["name"], volume["name"]);
    assert!(mount.get("subPath").is_none(), "the file would never change");
    assert_eq!(volume["configMap"]["name"], manifest.object("ConfigMap")["metadata"]["name"]);
    let [variable] = list(&manifest.container()["env"]) else { panic!("more than one variable") };
    assert_eq!(
        (&variable["name"], &variable["value"]),
        (&"ASPNETCORE_CONTENTROOT".into(), &mount["mountPath"])
    );
}

#[test]
fn the_commands_name_what_the_manifest_makes() {
    let manifest = Manifest::read();
    let page = super::page();
    let deployment = format!("deployment/{}", text(&manifest.object("Deployment")["metadata"]["name"]));
    let named: Vec<_> = page.split_whitespace().filter(|word| word.starts_with("deployment/")).collect();
    assert!(named.len() >= 4 && named.iter().all(|name| *name == deployment), "{named:?}");
    let forwarded = format!("`kubectl port-forward {deployment} {}`", manifest.port("private"));
    assert!(page.contains(&forwarded), "{forwarded}");
    assert!(
        page.contains("Save this as `operations.yaml`:")
            && page.contains("\nkubectl apply -f operations.yaml\n")
    );
    let told = super::section("Rolling restarts");
    assert!(told.contains("`maxUnavailable: 0`") && told.contains("`shutdownDelaySeconds`"), "{told}");
}

#[test]
fn the_image_and_the_rights_of_the_pod_agree() {
    let manifest = Manifest::read();
    let image = block(KUBERNETES, "dockerfile");
    let pod = &manifest.pod()["spec"]["securityContext"];
    assert!(image.contains(&format!("\nUSER {}:{}\n", pod["runAsUser"], pod["runAsGroup"])), "{image}");
    let ports = format!("\nEXPOSE {} {}\n", manifest.port("public"), manifest.port("private"));
    assert!(image.contains(&ports), "{image}");
    assert!(image.contains("cargo build --locked --release --package operations\n"));
    let built = format!("--tag {} .\n", text(&manifest.container()["image"]));
    assert!(blocks(KUBERNETES, "sh")[0].contains(&built), "{built}");
    assert_eq!(pod["runAsNonRoot"], true);
    let security = &manifest.container()["securityContext"];
    assert_eq!(
        (&security["allowPrivilegeEscalation"], &security["readOnlyRootFilesystem"]),
        (&false.into(), &true.into())
    );
    assert_eq!(security["capabilities"]["drop"], serde_json::json!(["ALL"]));
    // The same time as the unit counts with.
    assert!(directive(&super::unit::unit(), "TimeoutStopSec").parse::<u64>().unwrap() > 5);
}

#[test]
fn there_is_time_for_a_stop_and_the_kubelet_sees_it() {
    let manifest = Manifest::read();
    let seconds = |key: &str| manifest.settings().get_parsed::<u64>(key).unwrap().unwrap();
    let (delay, timeout) = (seconds("shutdownDelaySeconds"), seconds("shutdownTimeoutSeconds"));
    let grace = manifest.pod()["spec"]["terminationGracePeriodSeconds"].as_u64().unwrap();
    assert!(grace >= delay + timeout + 5 && delay > 0, "{grace} {delay} {timeout}");
    let ready = &manifest.container()["readinessProbe"];
    let noticed = ready["periodSeconds"].as_u64().unwrap() * ready["failureThreshold"].as_u64().unwrap();
    assert!(noticed < delay, "{noticed} {delay}");
    assert_eq!(manifest.object("Deployment")["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"], 0);
}

#[tokio::test]
async fn probes_and_scrapes_by_the_address_of_the_pod_are_answered() {
    let manifest = Manifest::read();
    let (machine, mut program) = manifest.start().await;
    for probe in PROBES {
        let path = text(&manifest.container()[probe]["httpGet"]["path"]);
        assert_eq!(curl([&machine.private(path)]).await.status, 200, "{probe}");
    }
    // As Prometheus asks, by an address that stands in no setting.
    let scrape = ["--header", "Host: 10.244.3.7:9100", &machine.private("/metrics")];
    assert_eq!(curl(scrape).await.status, 200);
    let public = |path: &str| format!("http://127.0.0.1:{}{path}", machine.public);
    assert_eq!(curl([&public("/metrics")]).await.status, 404);
    assert_eq!(curl([&public("/orders/7")]).await.json()["item"], "lamp");
    program.line("\"path\":\"/orders/7\"").await;
    program.signal(Signal::TERM);
    program.line("Application will shut down in 10s").await;
    let ready = text(&manifest.container()["readinessProbe"]["httpGet"]["path"]);
    assert_eq!(curl([&machine.private(ready)]).await.status, 503);
    let live = text(&manifest.container()["livenessProbe"]["httpGet"]["path"]);
    assert_eq!(curl([&machine.private(live)]).await.status, 200);
    let late = Client::tcp(([127, 0, 0, 1], machine.public).into()).await.get("/orders/7").await;
    assert!(late.status == 200 && late.closes(), "{late:?}");
    // A second signal ends the delay.
    program.signal(Signal::TERM);
    assert_eq!(program.end().await.code, Some(0));
}

#[tokio::test]
async fn names_in_allowed_hosts_shut_the_kubelet_and_prometheus_out() {
    let manifest = Manifest::read();
    let settings = text(&manifest.object("ConfigMap")["data"]["appsettings.json"]);
    let machine = Machine::new();
    assert!(settings.contains("\"AllowedHosts\": \"*\""));
    machine.settings(
        "appsettings.json",
        &settings.replace("\"AllowedHosts\": \"*\"", "\"AllowedHosts\": \"shop.example\""),
    );
    let _program = machine.start().await;
    for path in ["/healthz/live", "/metrics"] {
        assert_eq!(curl([&machine.private(path)]).await.status, 400, "{path}");
        assert_eq!(
            curl(["--header", "Host: shop.example", &machine.private(path)]).await.status,
            200,
            "{path}"
        );
    }
}
