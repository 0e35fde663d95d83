//! What a worker is started with, and what it serves.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use serde_json::{Value, json};

use super::module::{Module, features, pids, script, with};
use crate::program::{Folder, binary};
use crate::support::{Certificate, Client, client_config, connect_tls, soon, until};

#[tokio::test]
async fn the_first_connection_starts_a_worker_which_serves_it() {
    let mut module = Module::start(features()).await;
    let status = module.status().await;
    assert_eq!((&status["state"], &status["starts"]), (&json!("idle"), &json!(0)));
    assert_eq!(module.get("/plaintext").await, "Hello, World!");
    let pid = module.running(1).await[0];
    assert_eq!(module.get("/plaintext").await, "Hello, World!");
    let status = module.status().await;
    assert_eq!(status["hostingModel"], "inProcess");
    assert_eq!((&status["starts"], &status["failures"]), (&json!(1), &json!(0)));
    assert_eq!(pids(&status), [pid]);
    assert!(status["workers"][0]["memoryBytes"].as_u64().unwrap() > 1 << 20);
    // The application knows its public address, and no other, whatever the environment of the module says.
    let (printed, address) = (module.printed(), module.address(0));
    assert!(printed.contains(&format!("Now listening on: http://{address}\n")), "{printed}");
    assert_eq!(printed.matches("Now listening on").count(), 1, "{printed}");
    let root = format!("Content root path: {}", module.folder.path().display());
    assert!(printed.contains(&root), "{printed}");
    module.stop().await;
    assert!(module.printed().contains("Application is shutting down"));
}

#[tokio::test]
async fn endpoints_are_served_as_the_module_says() {
    let (folder, certificate) = (Folder::new(), Certificate::new());
    folder.write("site/cert.pem", &certificate.pem);
    folder.write("site/key.pem", &certificate.key_pem);
    let section = json!({
        "Certificates": { "Default": { "Path": "site/cert.pem", "KeyPath": "site/key.pem" } },
        "EndpointDefaults": { "MaxConcurrentHandshakes": null },
        "Limits": { "MaxRequestHeaderCount": 5 },
        "Endpoints": {
            "Plain": { "Url": "http://127.0.0.1:0", "Protocols": "Http1" },
            "Secure": { "Url": "https://127.0.0.1:0", "Sni": { "localhost": { "Protocols": "Http1" } } },
        },
    });
    // What the application says of endpoints itself does not count, in process.
    folder.write(
        "app/appsettings.json",
        r#"{ "Kestrel": { "Endpoints": {
        "Plain": { "Url": "http://127.0.0.1:2" }, "Own": { "Url": "http://127.0.0.1:3" } } },
        "PreferHostingUrls": true }"#,
    );
    folder.write("app/web.config", r#"<configuration><system.webServer>
        <aspNetCore processPath="unused" hostingModel="inprocess" />
        <security><requestFiltering><requestLimits maxAllowedContentLength="10" /></requestFiltering></security>
      </system.webServer></configuration>"#);
    let mut module = Module::start_in(folder, section, with(features(), json!({ "Path": "app" }))).await;
    assert!(module.addresses[0].starts_with("http://") && module.addresses[1].starts_with("https://"));
    assert_eq!(module.get("/plaintext").await, "Hello, World!");
    module.running(1).await;

    let io = soon(tokio::net::TcpStream::connect(module.address(1))).await.unwrap();
    let tls = connect_tls(io, client_config(&certificate, &["http/1.1"])).await.unwrap();
    let mut client = Client::new(tls);
    let facts: Value = serde_json::from_str(client.get("/connection").await.text()).unwrap();
    assert_eq!(facts["scheme"], "https", "{facts:#}");
    let large = "POST /count HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n12345678901";
    assert_eq!(client.exchange(large).await.status, 413);

    let many: String = (0..6).map(|number| format!("x{number}: y\r\n")).collect();
    let mut client = module.client().await;
    assert_eq!(client.exchange(&format!("GET / HTTP/1.1\r\nHost: a\r\n{many}\r\n")).await.status, 431);
    assert_eq!(module.printed().matches("Now listening on").count(), 2, "{}", module.printed());
    module.stop().await;
}

#[tokio::test]
async fn a_unix_socket_has_its_mode_and_its_file_goes_with_the_module() {
    let folder = Folder::new();
    let path = folder.path().join("shop.sock");
    let url = format!("http://unix:{}", path.display());
    let section = json!({ "Endpoints": { "Web": { "Url": url, "SocketOptions": { "UnixMode": "0600" } } } });
    let mut module = Module::start_in(folder, section, features()).await;
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let mut client = Client::unix(&path).await;
    assert_eq!(client.get("/plaintext").await.text(), "Hello, World!");
    module.running(1).await;
    module.recycle().await;
    let mut client = Client::unix(&path).await;
    assert_eq!(client.get("/plaintext").await.text(), "Hello, World!");
    module.stop().await;
    assert!(!path.exists());
}

#[tokio::test]
async fn a_unix_socket_whose_file_somebody_has_removed_is_listened_on_again() {
    let folder = Folder::new();
    let path = folder.path().join("shop.sock");
    let url = format!("http://unix:{}", path.display());
    let section = json!({ "Endpoints": { "Web": { "Url": url, "SocketOptions": { "UnixMode": "0600" } } } });
    let mut module = Module::start_in(folder, section, features()).await;
    let mut before = Vec::new();
    // Without a worker, and with one.
    for times in 1..=2 {
        std::fs::remove_file(&path).unwrap();
        // The file is there before its mode, and the mode before it is listened on.
        soon(until(|| std::os::unix::net::UnixStream::connect(&path).is_ok())).await;
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let mut client = Client::unix(&path).await;
        assert_eq!(client.get("/plaintext").await.text(), "Hello, World!");
        let other = |status: &Value| {
            let now = pids(status);
            now.len() == 1 && status["state"] == "running" && now != before
        };
        before = pids(&module.until(other).await);
        let events = module.events();
        assert_eq!(events.matches("it is listened on again").count(), times, "{events}");
        assert!(events.contains(&format!("address=http://unix:{}", path.display())), "{events}");
    }
    module.stop().await;
    assert!(!path.exists());
}

#[tokio::test]
async fn a_worker_with_a_lost_socket_is_replaced_even_if_the_first_that_is_to_has_failed() {
    let folder = Folder::new();
    let path = folder.path().join("shop.sock");
    let starts = folder.path().join("starts");
    let section = json!({ "Endpoints": { "Web": { "Url": format!("http://unix:{}", path.display()) } } });
    // The second start fails, those before and after it do not.
    let second_fails = format!(
        "echo >>{starts}; [ $(wc -l <{starts}) = 2 ] && exit 1; exec {}",
        binary("features").display(),
        starts = starts.display()
    );
    let mut module = Module::start_in(folder, section, script(&second_fails)).await;
    assert_eq!(Client::unix(&path).await.get("/plaintext").await.text(), "Hello, World!");
    let old = module.running(1).await;
    std::fs::remove_file(&path).unwrap();
    soon(until(|| path.exists())).await;
    let mut client = Client::unix(&path).await;
    module.until(|status| status["failures"] == 1 && pids(status) == old).await;
    let is_another = |status: &Value| pids(status).len() == 1 && pids(status) != old;
    module.until(is_another).await;
    assert_eq!(client.get("/plaintext").await.text(), "Hello, World!");
    let events = module.events();
    assert_eq!(events.matches("it is listened on again").count(), 1, "{events}");
    assert_eq!(module.status().await["starts"], 3);
    module.stop().await;
}

#[tokio::test]
async fn several_workers_share_the_sockets() {
    let mut module = Module::start(with(features(), json!({ "ProcessesPerApplication": 3 }))).await;
    assert_eq!(module.get("/plaintext").await, "Hello, World!");
    let before = module.running(3).await;
    super::module::kill(before[1]);
    let other = |status: &Value| pids(status).len() == 3 && !pids(status).contains(&before[1]);
    let now = pids(&module.until(other).await);
    assert!(now.contains(&before[0]) && now.contains(&before[2]), "{before:?} {now:?}");
    module.running(3).await;
    module.recycle().await;
    let now = module.running(3).await;
    assert!(!now.iter().any(|pid| before.contains(pid)), "{before:?} {now:?}");
    module.stop().await;
}

#[tokio::test]
async fn a_recycling_makes_as_many_workers_as_the_options_say_by_then() {
    let mut module = Module::start(with(features(), json!({ "ProcessesPerApplication": 2 }))).await;
    assert_eq!(module.get("/plaintext").await, "Hello, World!");
    module.running(2).await;
    let file = module.folder.path().join("module.json");
    let text = std::fs::read_to_string(&file).unwrap();
    for count in [3, 1] {
        let keys = format!("\"ProcessesPerApplication\":{count}");
        std::fs::write(&file, text.replace("\"ProcessesPerApplication\":2", &keys)).unwrap();
        module.recycle().await;
        module.running(count).await;
        assert_eq!(module.get("/plaintext").await, "Hello, World!");
    }
    // Options that cannot be read change nothing.
    std::fs::write(&file, "{").unwrap();
    let before = module.running(1).await;
    let answer = module.ask("recycle").await;
    assert!(answer.contains("module.json"), "{answer}");
    assert_eq!(module.running(1).await, before);
    module.stop().await;
}

#[tokio::test]
async fn what_a_worker_prints_goes_to_a_file_if_it_is_to() {
    let log = json!({ "StdoutLogEnabled": true, "StdoutLogFile": ".\\logs\\out" });
    let mut module = Module::start(with(features(), log)).await;
    assert_eq!(module.get("/plaintext").await, "Hello, World!");
    let pid = module.running(1).await[0];
    module.stop().await;
    let files: Vec<_> = std::fs::read_dir(module.folder.path().join("logs")).unwrap().flatten().collect();
    let name = files[0].file_name().into_string().unwrap();
    assert!(
        files.len() == 1 && name.starts_with("out_2") && name.ends_with(&format!("_{pid}.log")),
        "{name}"
    );
    let text = std::fs::read_to_string(files[0].path()).unwrap();
    assert!(text.contains("Now listening on") && text.contains("shutting down"), "{text}");
    assert_eq!(module.printed(), "");
}

#[tokio::test]
async fn variables_and_limits_are_those_of_the_application() {
    let folder = Folder::new();
    let report = "{ ulimit -n; echo $SHOP; echo $ASPNETCORE_PORT; echo $LISTEN_FDNAMES; cut -d' ' -f 5 /proc/$$/stat; echo $$; pwd; ls -l /proc/$$/fd >&2; } > report; exec \"$0\"";
    let application = with(
        script(report),
        json!({
            "Arguments": ["-c", report, binary("features")],
            "Limits": { "OpenFiles": 123 },
            "EnvironmentVariables": { "SHOP": "open" },
        }),
    );
    let section = json!({ "Endpoints": { "Web": { "Url": "http://127.0.0.1:0" } } });
    let mut module = Module::start_in(folder, section, application).await;
    assert_eq!(module.get("/plaintext").await, "Hello, World!");
    let pid = module.running(1).await[0].to_string();
    let report = std::fs::read_to_string(module.folder.path().join("report")).unwrap();
    let folder = module.folder.path().display().to_string();
    let lines: Vec<_> = report.lines().map(str::trim).collect();
    // It leads a group of its own, and has nothing open but the standard descriptors, the socket and the report.
    assert_eq!(lines[..7], ["123", "open", "", "Web", &pid, &pid, &folder], "{report}");
    assert!(lines.len() == 7, "{}", module.events());
    module.stop().await;
}

#[tokio::test]
async fn connections_of_a_worker_do_not_even_wake_the_module() {
    let mut module = Module::start(features()).await;
    assert_eq!(module.get("/plaintext").await, "Hello, World!");
    module.running(1).await;
    // It may still be busy with the answer.
    let mut before = module.turns();
    soon(async {
        loop {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let now = module.turns();
            if now == before {
                return;
            }
            before = now;
        }
    })
    .await;
    for _ in 0..200 {
        assert_eq!(module.get("/plaintext").await, "Hello, World!");
    }
    assert!(module.turns() - before < 20, "{before} {}", module.turns());
    module.stop().await;
}

#[tokio::test]
async fn a_worker_belongs_to_its_user() {
    // Nobody else can give it to its processes; that this is told is tested with those out of process.
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let keys = json!({ "User": "nobody", "Group": "0", "RapidFailsPerMinute": 0 });
    let mut module = Module::start(with(script("while :; do sleep 0.1; done"), keys)).await;
    let _client = module.client().await;
    let status = module.until(|status| pids(status).len() == 1).await;
    let of = |pid: i32| std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    // Before its last step it is as the module is.
    module.until(|_| of(pids(&status)[0]).contains("Name:\tsh\n")).await;
    let text = of(pids(&status)[0]);
    let numbers = |key: &str| -> Vec<String> {
        let line = text.lines().find_map(|line| line.strip_prefix(key)).unwrap();
        line.split_whitespace().map(str::to_owned).collect()
    };
    let user = numbers("Uid:");
    assert!(user.len() == 4 && user.iter().all(|id| *id == user[0]) && user[0] != "0", "{text}");
    assert_eq!(numbers("Gid:"), ["0"; 4]);
    module.stop().await;
}
