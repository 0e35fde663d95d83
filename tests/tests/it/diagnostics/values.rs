//! Whether what is shown is so.

use serde_json::Value;
use tokio::net::TcpStream;

use super::{ON, app, ask, builder, client, data, rows, running};
use crate::metrics::Collected;
use crate::program::Folder;
use crate::support::{Certificate, Client, Http2, client_config, connect_tls, socket_address, soon};

/// The numbers of a connection.
fn numbers(row: &Value) -> (u64, u64, u64) {
    let number = |key: &str| row[key].as_u64().unwrap();
    (number("requests"), number("received"), number("sent"))
}

#[tokio::test]
async fn connections_are_shown_with_what_they_do() {
    let host = running(&[]).await;
    let mut idle = client(&host).await;
    let request = "GET /a HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut sent = 0;
    for _ in 0..3 {
        let answer = idle.exchange(request).await;
        sent += (answer.head.len() + answer.body.len()) as u64;
    }
    let mut busy = client(&host).await;
    let waits = "GET /waits/for?secret=1 HTTP/1.1\r\nHost: a\r\n\r\n";
    busy.send(waits).await;
    let mut head = client(&host).await;
    head.send("GET / HTTP/1.1\r\nHo").await;
    let _silent = client(&host).await;
    let mut shown = data(&host).await;
    let phases = |shown: &Value| -> Vec<String> {
        let rows = shown["connections"]["rows"].as_array().unwrap();
        rows.iter().take(4).map(|row| row["phase"].as_str().unwrap().to_owned()).collect()
    };
    // The oldest stand first.
    while phases(&shown) != ["idle", "busy", "head", "starting"] {
        shown = data(&host).await;
    }
    let table = &shown["connections"];
    assert!(table["count"].as_u64().unwrap() >= 5, "the one that asks is shown as well: {table:#}");
    let of = |phase: &str| rows(&table["rows"], "phase", phase)[0].clone();
    assert_eq!(numbers(&of("idle")), (3, 3 * request.len() as u64, sent));
    assert_eq!(numbers(&of("head")), (0, 18, 0));
    assert_eq!(numbers(&of("starting")), (0, 0, 0));
    let row = of("busy");
    assert_eq!(numbers(&row), (1, waits.len() as u64, 0));
    assert_eq!(
        (&row["endpoint"], &row["version"], &row["tls"]),
        (&"Web".into(), &"HTTP/1.1".into(), &"".into())
    );
    assert!(row["peer"].as_str().unwrap().starts_with("127.0.0.1:") && row["age"].as_f64().unwrap() < 60.0);

    // The request that waits is shown without its query, and with its connection.
    let requests = &shown["requests"];
    assert_eq!(requests["count"], 1);
    let request = &requests["rows"][0];
    assert_eq!((&request["method"], &request["path"]), (&"GET".into(), &"/waits/for".into()));
    assert_eq!(request["connection"], row["id"]);
    assert!(!shown.to_string().contains("secret"));
    let endpoint = &shown["endpoints"][0];
    assert_eq!((&endpoint["name"], &endpoint["connections"]), (&"Web".into(), &table["count"]));
    assert_eq!(shown["application"], "shop");
}

#[tokio::test]
async fn what_is_over_is_counted() {
    let host = running(&[("Kestrel:Limits:MaxRequestLineSize", "100")]).await;
    let mut one = client(&host).await;
    for path in ["/a", "/a", "/fails"] {
        one.get(path).await;
    }
    let mut gone = client(&host).await;
    gone.send("GET /waits HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let mut shown = data(&host).await;
    while shown["requests"]["count"] != 1 {
        shown = data(&host).await;
    }
    drop(gone);
    let mut long = client(&host).await;
    assert_eq!(long.get(&format!("/{}", "x".repeat(200))).await.status, 414);
    long.rest().await;
    while shown["totals"]["aborted"] != 1 || shown["refused"]["invalid_request_line"] != 1 {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        shown = data(&host).await;
    }
    let totals = &shown["totals"];
    assert_eq!((&totals["requests"], &totals["failed"]), (&4.into(), &1.into()), "{totals:#}");
    let buckets: u64 =
        totals["buckets"].as_array().unwrap().iter().map(|count| count.as_u64().unwrap()).sum();
    assert_eq!(buckets, 4);
    assert_eq!(totals["bounds"].as_array().unwrap().len() + 1, totals["buckets"].as_array().unwrap().len());
    assert_eq!(shown["requests"]["count"], 0);
    while shown["ended"]["invalid_request_line"] != 1 {
        shown = data(&host).await;
    }
    // The bytes of connections that are gone stay counted.
    let before = shown["totals"]["received"].as_u64().unwrap();
    drop(one);
    let after = data(&host).await["totals"]["received"].as_u64().unwrap();
    assert!(after >= before && before > 200, "{before} {after}");
}

#[tokio::test]
async fn the_numbers_of_the_plots_are_those_of_the_metrics() {
    let collected = Collected::start();
    collected.install();
    let host = running(&[("Metrics:Enabled", "true")]).await;
    let mut one = client(&host).await;
    for path in ["/a", "/a", "/fails"] {
        one.get(path).await;
    }
    let mut waits = client(&host).await;
    waits.send("GET /waits HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let mut asks = client(&host).await;
    let same = async {
        loop {
            let answer = ask(&mut asks, "/_diagnostics/data", "").await;
            let shown: Value = serde_json::from_slice(&answer.body).unwrap();
            let metrics = collected.collect();
            let of = |name: &'static str| metrics.iter().filter(move |series| series.name == name);
            let durations = || of("http.server.request.duration");
            let failed = durations().filter(|series| series.attributes.contains_key("error.type"));
            let told = [
                durations().map(|series| series.count).sum(),
                failed.map(|series| series.count).sum(),
                of("http.server.active_requests").map(|series| series.value.cast_unsigned()).sum(),
                of("kestrel.active_connections").map(|series| series.value.cast_unsigned()).sum(),
            ];
            let totals = &shown["totals"];
            let plotted = [
                &totals["requests"],
                &totals["failed"],
                &shown["requests"]["count"],
                &shown["connections"]["count"],
            ];
            // The answers are shared for half a second, so that both are of one moment only some time later.
            if told == [3, 1, 1, 3] && plotted.map(Value::as_u64) == told.map(Some) {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    soon(same).await;
}

#[tokio::test]
async fn tls_and_http_2_are_told() {
    let certificate = Certificate::new();
    let (folder, own) = (Folder::new(), Folder::new());
    let chain = folder.write("site.pem", &certificate.pem);
    let key = folder.write("site.key", &certificate.key_pem);
    let missing = own.path().join("missing.pem");
    let values = [
        ON,
        ("Kestrel:Endpoints:Secure:Url", "https://127.0.0.1:0"),
        ("Kestrel:Endpoints:Secure:Certificate:Path", chain.to_str().unwrap()),
        ("Kestrel:Endpoints:Secure:Certificate:KeyPath", key.to_str().unwrap()),
        ("Kestrel:Endpoints:Web:Url", "http://127.0.0.1:0"),
        ("Kestrel:Endpoints:Web:Protocols", "Http1"),
        ("Kestrel:Limits:MaxConcurrentConnections", "77"),
        ("Kestrel:Limits:KeepAliveTimeout", "00:01:30"),
        ("Own:Secret", "hunter2"),
    ];
    let host = builder(&values).build(app).unwrap().start().await.unwrap();
    let addresses: Vec<_> = host.addresses().iter().map(socket_address).collect();
    let io = TcpStream::connect(addresses[0]).await.unwrap();
    let tls = connect_tls(io, client_config(&certificate, &["h2"])).await.unwrap();
    let http2 = Http2::over_tls(tls).await;
    assert_eq!(http2.get("/a").await.body, "the application");
    let answer = ask(&mut Client::tcp(addresses[1]).await, "/_diagnostics/data", "").await;
    let shown: Value = serde_json::from_slice(&answer.body).unwrap();
    let row = rows(&shown["connections"]["rows"], "endpoint", "Secure")[0];
    assert_eq!((&row["version"], &row["tls"]), (&"HTTP/2".into(), &"TLSv1.3".into()));
    assert_eq!(row["requests"], 1);
    let endpoints = &shown["endpoints"];
    assert_eq!(
        (&endpoints[0]["tls"], &endpoints[0]["protocols"]),
        (&true.into(), &"HTTP/1.1, HTTP/2".into())
    );
    assert_eq!((&endpoints[1]["tls"], &endpoints[1]["protocols"]), (&false.into(), &"HTTP/1.1".into()));

    let limit = |name: &str| rows(&shown["limits"], "name", name)[0]["value"].clone();
    assert_eq!((limit("MaxConcurrentConnections"), limit("KeepAliveTimeout")), ("77".into(), "90s".into()));
    assert_eq!(shown["limits"].as_array().unwrap().len(), 22);

    let read = server_kestrel::ServerCertificate::File(server_kestrel::CertificateFile::new(&chain));
    let read = read.read().unwrap().unwrap();
    let shown_certificate = rows(&shown["certificates"], "what", "Secure")[0];
    let expires = read.not_after().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    assert_eq!(shown_certificate["not_after"], expires);
    assert_eq!(
        (&shown_certificate["subject"], &shown_certificate["error"]),
        (&read.subject().into(), &Value::Null)
    );

    // Keys with their source; of values not a trace.
    let keys = &shown["configuration"];
    assert_eq!(rows(keys, "key", "Own:Secret").len(), 1, "{keys:#}");
    assert!(!rows(keys, "key", "Own:Secret")[0]["source"].as_str().unwrap().is_empty());
    assert!(!shown.to_string().contains("hunter2"));

    let gone = server_kestrel::ServerCertificate::File(server_kestrel::CertificateFile::new(missing));
    assert!(gone.read().unwrap_err().to_string().contains("missing.pem"));
}

#[tokio::test]
async fn a_certificate_that_is_gone_is_told() {
    let certificate = Certificate::new();
    let folder = Folder::new();
    let both = folder.write("site.pem", format!("{}{}", certificate.pem, certificate.key_pem));
    let values = [
        ("Kestrel:Endpoints:Secure:Url", "https://127.0.0.1:0"),
        ("Kestrel:Endpoints:Secure:Certificate:Path", both.to_str().unwrap()),
    ];
    let host = running(&values).await;
    std::fs::remove_file(&both).unwrap();
    let web = host.addresses().iter().find(|address| !address.is_https()).map(socket_address).unwrap();
    let answer = ask(&mut Client::tcp(web).await, "/_diagnostics/data", "").await;
    let shown: Value = serde_json::from_slice(&answer.body).unwrap();
    let error = rows(&shown["certificates"], "what", "Secure")[0]["error"].as_str().unwrap();
    assert!(error.contains("cannot read the certificate"), "{error}");
}

#[tokio::test]
async fn long_paths_and_many_requests_are_cut_short() {
    let host = running(&[]).await;
    let mut clients = Vec::new();
    for number in 0..250 {
        let mut client = client(&host).await;
        let path = format!("/waits/{}/{number}", "x".repeat(1000));
        client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
        clients.push(client);
    }
    let mut shown = data(&host).await;
    while shown["requests"]["count"] != 250 {
        shown = data(&host).await;
    }
    for table in ["requests", "connections"] {
        assert_eq!(shown[table]["rows"].as_array().unwrap().len(), 200);
    }
    let path = shown["requests"]["rows"][0]["path"].as_str().unwrap();
    assert_eq!(path.chars().count(), 201);
    drop(clients);
    let mut count = 250;
    while count != 0 {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        count = data(&host).await["requests"]["count"].as_u64().unwrap();
    }
}
