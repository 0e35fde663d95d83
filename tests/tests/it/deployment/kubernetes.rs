//! The manifest for Kubernetes: its parts agree, and the program does what it counts on, with its settings and variables.

use rustix::process::Signal;
use serde_json::Value;

use super::{are_told_of, begin, connect_from, file, finish, shutdown_seconds, who};
use crate::program::{Folder, Launch, Program, curl_exit_code, free_port};
use crate::support::Client;

struct Manifest(Vec<Value>);

impl Manifest {
    fn read() -> Self {
        Self(serde_saphyr::from_multiple(&file("kubernetes/shop.yaml", &[])).unwrap())
    }

    /// The one object of a kind.
    fn object(&self, kind: &str) -> &Value {
        let mut found = self.0.iter().filter(|object| object["kind"] == kind);
        let first = found.next().unwrap_or_else(|| panic!("no {kind}"));
        assert!(found.next().is_none(), "more than one {kind}");
        first
    }

    fn pod(&self) -> &Value {
        &self.object("Deployment")["spec"]["template"]
    }

    fn container(&self) -> &Value {
        let containers = list(&self.pod()["spec"]["containers"]);
        assert_eq!(containers.len(), 1);
        &containers[0]
    }

    fn settings(&self) -> &str {
        text(&self.object("ConfigMap")["data"]["appsettings.json"])
    }

    fn container_port(&self) -> u64 {
        let ports = list(&self.container()["ports"]);
        assert_eq!(ports.len(), 1);
        number(&ports[0]["containerPort"])
    }

    /// The program with the settings and the variables of the manifest, but for the port, the place of the settings and
    /// the network of the pods.
    async fn start(&self, networks: &str) -> (Program, u16) {
        let port = free_port();
        // Every address, as in the pod: peers of IPv4 then come by a socket of IPv6.
        let (there, here) = (format!("http://*:{}", self.container_port()), format!("http://*:{port}"));
        let mut settings = self.settings().to_owned();
        for (from, to) in [(there.as_str(), here.as_str()), ("10.244.0.0/16", networks)] {
            assert_eq!(settings.matches(from).count(), 1, "{from}");
            settings = settings.replace(from, to);
        }
        let mount = &list(&self.container()["volumeMounts"])[0];
        let root = Folder::new();
        root.write("settings/appsettings.json", settings);
        let place = root.path().join("settings").display().to_string();
        let mut launch = Launch::in_folder(root, crate::program::binary("reverse-proxy"));
        for variable in list(&self.container()["env"]) {
            let (name, value) = (text(&variable["name"]), text(&variable["value"]));
            launch = launch.env(name, value.replace(text(&mount["mountPath"]), &place));
        }
        (launch.start().await, port)
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap_or_else(|| panic!("no list: {value}"))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("no number: {value}"))
}

/// Asks as the kubelet does; a field `Host` that is not given is the address of the pod.
async fn probe(probe: &Value, port: u16) -> u16 {
    let get = &probe["httpGet"];
    let fields = get["httpHeaders"].as_array().map_or(&[][..], Vec::as_slice);
    let host =
        fields.iter().find(|field| field["name"] == "Host").map(|field| text(&field["value"]).to_owned());
    let host = host.unwrap_or_else(|| format!("127.0.0.1:{port}"));
    let request = format!(
        "GET {} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: kube-probe/1.30\r\nAccept: */*\r\nConnection: close\r\n\r\n",
        text(&get["path"])
    );
    Client::tcp(([127, 0, 0, 1], port).into()).await.exchange(&request).await.status
}

#[test]
fn names_labels_and_ports_agree() {
    let manifest = Manifest::read();
    let (deployment, service) = (manifest.object("Deployment"), manifest.object("Service"));
    let labels = &manifest.pod()["metadata"]["labels"];
    assert!(labels.as_object().is_some_and(|labels| !labels.is_empty()));
    assert_eq!(&deployment["spec"]["selector"]["matchLabels"], labels);
    assert_eq!(&service["spec"]["selector"], labels);
    assert_eq!(&manifest.object("NetworkPolicy")["spec"]["podSelector"]["matchLabels"], labels);
    assert_eq!(&manifest.object("PodDisruptionBudget")["spec"]["selector"]["matchLabels"], labels);

    let port = &list(&manifest.container()["ports"])[0]["name"];
    let service_port = &list(&service["spec"]["ports"])[0];
    assert_eq!(&service_port["targetPort"], port);
    assert_eq!(
        &list(&list(&manifest.object("NetworkPolicy")["spec"]["ingress"])[0]["ports"])[0]["port"],
        port
    );
    for name in ["startupProbe", "livenessProbe", "readinessProbe"] {
        assert_eq!(&manifest.container()[name]["httpGet"]["port"], port, "{name}");
    }
    let rule = &list(&manifest.object("Ingress")["spec"]["rules"])[0];
    let backend = &list(&rule["http"]["paths"])[0]["backend"]["service"];
    assert_eq!(backend["name"], service["metadata"]["name"]);
    assert_eq!(backend["port"]["name"], service_port["name"]);

    let (mounts, volumes) =
        (list(&manifest.container()["volumeMounts"]), list(&manifest.pod()["spec"]["volumes"]));
    let names = |all: &[Value]| all.iter().map(|one| text(&one["name"]).to_owned()).collect::<Vec<_>>();
    assert_eq!(names(mounts), names(volumes));
    let (mount, volume) = (&mounts[0], &volumes[0]);
    assert!(mount.get("subPath").is_none(), "the file would never change");
    assert_eq!(volume["configMap"]["name"], manifest.object("ConfigMap")["metadata"]["name"]);
}

#[test]
fn every_object_and_every_probe_is_explained() {
    let manifest = Manifest::read();
    // The Deployment is told of by its parts.
    let kinds = manifest.0.iter().map(|object| text(&object["kind"])).filter(|kind| *kind != "Deployment");
    let container = manifest.container().as_object().unwrap().keys().map(String::as_str);
    are_told_of(kinds.chain(container.filter(|key| key.ends_with("Probe") || key.starts_with("security"))));
}

#[test]
fn the_settings_are_right_and_listen_on_the_port_of_the_container() {
    let manifest = Manifest::read();
    let settings =
        hosting::Configuration::builder().json_text("appsettings.json", manifest.settings()).build().unwrap();
    let url = format!("http://*:{}", manifest.container_port());
    assert_eq!(settings.get("Kestrel:Endpoints:Proxy:Url"), Some(url.as_str()));
    let hosts: Vec<_> = settings.get("AllowedHosts").unwrap().split(';').collect();
    for rule in list(&manifest.object("Ingress")["spec"]["rules"]) {
        assert!(hosts.contains(&text(&rule["host"])), "{hosts:?}");
    }
}

#[test]
fn there_is_time_for_requests_under_way() {
    let manifest = Manifest::read();
    assert!(manifest.container().get("lifecycle").is_none(), "the application waits by itself");
    let settings =
        hosting::Configuration::builder().json_text("appsettings.json", manifest.settings()).build().unwrap();
    let pause = settings.get_parsed::<u64>("shutdownDelaySeconds").unwrap().unwrap();
    // The kubelet asks in the meantime, and the ingress is told.
    assert!(pause >= number(&manifest.container()["readinessProbe"]["periodSeconds"]), "{pause}");
    let grace = number(&manifest.pod()["spec"]["terminationGracePeriodSeconds"]);
    let shutdown = shutdown_seconds(manifest.settings());
    assert!(pause > 0 && pause + shutdown < grace, "{pause} + {shutdown}, {grace}");
    // No copy goes before there is another one.
    let deployment = &manifest.object("Deployment")["spec"];
    assert_eq!(deployment["strategy"]["rollingUpdate"]["maxUnavailable"], 0);
    assert!(
        number(&deployment["replicas"])
            > number(&manifest.object("PodDisruptionBudget")["spec"]["minAvailable"])
    );
}

#[test]
fn the_pod_has_no_rights_that_it_does_not_need() {
    let manifest = Manifest::read();
    let pod = &manifest.pod()["spec"];
    let security = &manifest.container()["securityContext"];
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
    assert_eq!(pod["automountServiceAccountToken"], false);
    assert_eq!(security["allowPrivilegeEscalation"], false);
    assert_eq!(security["readOnlyRootFilesystem"], true);
    assert_eq!(security["capabilities"]["drop"], serde_json::json!(["ALL"]));
    // A port that needs none.
    assert!(manifest.container_port() >= 1024);
    let image = file("kubernetes/Dockerfile", &[]);
    let (user, group) = (&pod["securityContext"]["runAsUser"], &pod["securityContext"]["runAsGroup"]);
    assert!(number(user) > 0 && image.contains(&format!("\nUSER {user}:{group}\n")), "{user} {group}");
    assert!(image.contains(&format!("\nEXPOSE {}\n", manifest.container_port())));
}

#[tokio::test]
async fn the_probes_are_answered_until_the_program_stops() {
    let manifest = Manifest::read();
    let (mut program, port) = manifest.start("127.7.0.0/16").await;
    for name in ["startupProbe", "livenessProbe", "readinessProbe"] {
        assert_eq!(probe(&manifest.container()[name], port).await, 200, "{name}");
    }
    let mut under_way = Client::tcp(([127, 0, 0, 1], port).into()).await;
    begin(&mut under_way).await;
    program.signal(Signal::TERM);
    // Requests still come, and are served; the kubelet is told not to send more.
    program.line("Application will shut down in 5s").await;
    assert_eq!(probe(&manifest.container()["readinessProbe"], port).await, 503);
    assert_eq!(probe(&manifest.container()["livenessProbe"], port).await, 200);
    let late = "GET /plaintext HTTP/1.1\r\nHost: shop.example\r\n\r\n";
    let late = Client::tcp(([127, 0, 0, 1], port).into()).await.exchange(late).await;
    assert!(late.status == 200 && late.closes(), "{late:?}");
    program.line("Application is shutting down").await;
    // Refused, which to the kubelet is no answer as well.
    let url = format!("http://127.0.0.1:{port}/healthz/ready");
    assert_eq!(curl_exit_code(["--header", "Host: localhost", &url]).await, 7);
    finish(&mut under_way).await;
    let end = program.end().await;
    assert_eq!((end.code, end.stderr.as_str()), (Some(0), ""), "{end:?}");
}

#[tokio::test]
async fn the_ingress_is_believed_and_nobody_else() {
    let manifest = Manifest::read();
    let (_program, port) = manifest.start("127.7.0.0/16").await;
    let forwarded = ["X-Forwarded-For: 203.0.113.9", "X-Forwarded-Proto: https"];
    for (from, remote, scheme) in
        [([127, 7, 0, 1], "203.0.113.9", "https"), ([127, 8, 0, 1], "127.8.0.1", "http")]
    {
        let mut client = Client::new(connect_from(from, port).await);
        let seen = who(&mut client, "/whoami", &forwarded).await;
        assert_eq!((&seen["remote"], &seen["scheme"]), (&remote.into(), &scheme.into()), "{seen}");
    }
}

#[tokio::test]
async fn networks_that_are_none_fail_the_start() {
    for (networks, expected) in [
        (r#"[ "10.244.0.0/33" ]"#, "expected a network, such as 10.244.0.0/16"),
        (r#""10.244.0.0/16""#, "expected a list"),
    ] {
        let settings = format!(r#"{{ "ForwardedHeaders": {{ "KnownNetworks": {networks} }} }}"#);
        let error = Launch::of("reverse-proxy").file("appsettings.json", settings).fail().await;
        assert!(error.contains("ForwardedHeaders:KnownNetworks") && error.contains(expected), "{error}");
    }
}

#[tokio::test]
async fn a_config_map_that_changes_is_followed() {
    let manifest = Manifest::read();
    let folder = Folder::new();
    let port = free_port();
    let settings = manifest.settings().replace("http://*:8080", &format!("http://127.0.0.1:{port}"));
    // As the kubelet lays them: the file is a link into `..data`, which is a link to a folder, and is replaced.
    let link = |to: &str, name: &str| std::os::unix::fs::symlink(to, folder.path().join(name)).unwrap();
    folder.write("..1/appsettings.json", &settings);
    link("..1", "..data");
    link("..data/appsettings.json", "appsettings.json");
    let program = Launch::of("reverse-proxy").env("ASPNETCORE_CONTENTROOT", folder.path()).start().await;
    let status = async |host: &str| {
        let request = format!("GET /plaintext HTTP/1.1\r\nHost: {host}\r\n\r\n");
        Client::tcp(program.address()).await.exchange(&request).await.status
    };
    assert_eq!(status("other.example").await, 400);
    folder.write("..2/appsettings.json", settings.replace("shop.example;", "shop.example;other.example;"));
    link("..2", "..data_tmp");
    std::fs::rename(folder.path().join("..data_tmp"), folder.path().join("..data")).unwrap();
    crate::support::soon(async {
        while status("other.example").await != 200 {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    })
    .await;
}
