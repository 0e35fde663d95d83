use super::*;

/// Besides the application the ports at which versions 2 and 1 of the PROXY protocol go on to it.
pub(super) async fn start(
    backend: &str,
    settings: &str,
    replacements: &[(&str, &str)],
) -> (Proxied, [u16; 2]) {
    let folder = Folder::new();
    let certificate = write_certificate(&folder);
    let [http, https, bytes2, bytes1, tls] = std::array::from_fn(|_| free_port());
    let (chain, _) = certificate_paths(folder.path());
    let tls_address = format!("127.0.0.1:{}", tls);
    let places = [
        ("127.0.0.1:5000", backend),
        ("127.0.0.1:5001", &*tls_address),
        ("bind :::80 v4v6\n", &format!("bind 127.0.0.1:{http},::1:{http}\n")),
        ("bind :::443 v4v6 ", &format!("bind 127.0.0.1:{https},::1:{https} ")),
        ("bind :::8443 v4v6\n", &format!("bind 127.0.0.1:{bytes2}\n")),
        ("bind :::9443 v4v6\n", &format!("bind 127.0.0.1:{bytes1}\n")),
        ("/etc/ssl/shop.pem", &chain),
    ];
    // The latter first, since they show the texts of the sample.
    let configuration = file("haproxy/haproxy.cfg", &[replacements, &places].concat());
    let configuration = folder.write("haproxy.cfg", configuration).display().to_string();
    let settings = settings.replace("127.0.0.1:5001", &tls_address);
    let program = Some(application(&settings).await);
    let proxy = Process::start("haproxy", &["-db", "-f", &configuration], &[http, https, bytes2, bytes1]);
    let proxied = Proxied {
        program,
        settings,
        http,
        https,
        certificate,
        closes_kept: true,
        refuses_two_hosts: true,
        folder,
        _proxy: proxy,
    };
    // It looks whether the application is there before it sends requests.
    let code = ["-o", "/dev/null", "-w", "%{http_code}"];
    soon(async { while proxied.curl("http", "/whoami", &code).await != "200" {} }).await;
    (proxied, [bytes2, bytes1])
}

#[tokio::test]
async fn an_application_behind_haproxy() {
    let address = format!("127.0.0.1:{}", free_port());
    let settings = file("haproxy/appsettings.json", &[("127.0.0.1:5000", &address)]);
    let (mut proxied, bytes) = start(&address, &settings, &[]).await;
    passes_trailers_on(&proxied, [Trailers::Passed; 2], [Trailers::Passed; 2]).await;
    works(&mut proxied).await;
    passes_on_both_ways_at_once(&proxied).await;
    passes_bytes_on(bytes).await;
}

#[tokio::test]
async fn an_application_behind_haproxy_on_a_unix_socket() {
    let sockets = Folder::new();
    let socket = sockets.path().join("shop.sock");
    let settings = on_unix_socket(&file("haproxy/appsettings.json", &[]), &socket);
    let (mut proxied, _) = start(&format!("unix@{}", socket.display()), &settings, &[]).await;
    works(&mut proxied).await;
}

/// TLS ends in the application, which is told of the client before it.
async fn passes_bytes_on([version2, version1]: [u16; 2]) {
    for (port, version) in [(version2, 2), (version1, 1)] {
        for arguments in
            [&["--http1.1"][..], &["--http2"], &["--http2", "-H", "X-Forwarded-For: 203.0.113.9"]]
        {
            let answer = soon(asked_until_answered(port, arguments)).await;
            let who: Value = serde_json::from_str(&answer).unwrap();
            assert_eq!((&who["remote"], &who["scheme"]), (&"127.0.0.2".into(), &"https".into()), "{who}");
            assert_eq!(who["proxy_protocol"], version, "{who}");
            assert_eq!(who["host"], format!("shop.example:{port}"), "{who}");
            let expected = if arguments[0] == "--http2" { "HTTP/2" } else { "HTTP/1.1" };
            assert_eq!(who["protocol"], expected, "{who}");
            // From whoever is no proxy they are not believed, and passed on.
            assert_eq!(who["forwarded_for"].as_str().is_some(), arguments.len() > 1, "{who}");
        }
    }
}

/// HAProxy answers once it has seen that the application is there.
async fn asked_until_answered(port: u16, arguments: &[&str]) -> String {
    loop {
        if let (Some(0), answer) = try_curl("https", port, "/whoami", arguments).await {
            return answer;
        }
    }
}
