use super::*;

/// nginx with the file of the sample, in which other things may be replaced too.
pub(super) struct Nginx {
    pub(super) http: u16,
    pub(super) https: u16,
    certificate: Certificate,
    folder: Folder,
    process: Process,
}

impl Nginx {
    pub(super) fn start(upstream: &str, replacements: &[(&str, &str)]) -> Self {
        let folder = Folder::new();
        let certificate = write_certificate(&folder);
        let (http, https) = (free_port(), free_port());
        let (chain, key) = certificate_paths(folder.path());
        let listen = |port: u16, rest: &str| format!("listen 127.0.0.1:{port}{rest}");
        let listen6 = |port: u16, rest: &str| format!("listen [::1]:{port}{rest}");
        let places = [
            ("server 127.0.0.1:5000;", &*format!("server {upstream};")),
            ("listen 80 default_server", &listen(http, " default_server")),
            ("listen 443 ssl default_server", &listen(https, " ssl default_server")),
            ("listen 80;", &listen(http, ";")),
            ("listen 443 ssl http2;", &listen(https, " ssl http2;")),
            ("listen [::]:80", &listen6(http, "")),
            ("listen [::]:443", &listen6(https, "")),
            ("/etc/ssl/shop.pem", &chain),
            ("/etc/ssl/shop.key", &key),
        ];
        folder.write("shop.conf", file("nginx/shop.conf", &[&places, replacements].concat()));
        let at = folder.path().display();
        let main = format!(
            "daemon off; user root; pid {at}/pid; error_log {at}/error.log; worker_processes 1; events {{}}\n\
             http {{ access_log off; client_body_temp_path {at}/1; proxy_temp_path {at}/2; fastcgi_temp_path {at}/3;\n\
             uwsgi_temp_path {at}/4; scgi_temp_path {at}/5; include {at}/shop.conf; }}\n"
        );
        let main = folder.write("nginx.conf", main).display().to_string();
        let process = Process::start("nginx", &["-c", &main, "-e", "stderr"], &[http, https]);
        Self { http, https, certificate, folder, process }
    }
}

async fn start(upstream: &str, settings: String) -> Proxied {
    let program = Some(application(&settings).await);
    let Nginx { http, https, certificate, folder, process } = Nginx::start(upstream, &[]);
    let [closes_kept, refuses_two_hosts] = [false; 2];
    Proxied {
        program,
        settings,
        http,
        https,
        certificate,
        closes_kept,
        refuses_two_hosts,
        folder,
        _proxy: process,
    }
}

#[tokio::test]
async fn an_application_behind_nginx() {
    let port = free_port();
    let address = format!("127.0.0.1:{port}");
    let settings = file("nginx/appsettings.json", &[("127.0.0.1:5000", &address)]);
    let mut proxied = start(&address, settings).await;
    passes_trailers_on(&proxied, [Trailers::Dropped; 2], [Trailers::Refused, Trailers::Dropped]).await;
    works(&mut proxied).await;
    // Whoever asks for another host gets nothing.
    let url = format!("http://127.0.0.1:{}/", proxied.http);
    let output = crate::program::tool("curl", ["-s", url.as_str()]).await;
    assert_eq!((output.status.code(), output.stdout.len()), (Some(52), 0), "an empty reply");
}

#[tokio::test]
async fn an_application_behind_nginx_on_a_unix_socket() {
    let sockets = Folder::new();
    let socket = sockets.path().join("shop.sock");
    let settings = on_unix_socket(&file("nginx/appsettings.json", &[]), &socket);
    works(&mut start(&format!("unix:{}", socket.display()), settings).await).await;
}

/// What the README says for a second proxy in front: the lines of nginx and the key of the application.
#[tokio::test]
async fn two_proxies_in_a_row() {
    let readme = file("README.md", &[]);
    let (limit, lines) =
        (r#""ForwardLimit": 2"#, ["X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host"]);
    let [node, scheme, host] = lines.map(|name| {
        let start = format!("proxy_set_header {name} ");
        let line = readme.lines().find_map(|line| line.strip_prefix(&start)).expect("a line of nginx");
        line.split_inclusive(';').next().unwrap().trim_start()
    });
    assert!(readme.contains(limit));
    for (settings, remote) in
        [(format!("{{ \"ForwardedHeaders\": {{ {limit} }} }}"), "127.0.0.2"), ("{}".to_owned(), "127.0.0.1")]
    {
        let port = free_port();
        let endpoint = format!("http://127.0.0.1:{port}");
        let program =
            Launch::of("reverse-proxy").file("appsettings.json", settings).args(["--urls", &endpoint]);
        let program = program.start().await;
        let second = Nginx::start(
            &format!("127.0.0.1:{port}"),
            &[
                ("$remote_addr;", node),
                ("X-Forwarded-Proto $scheme;", &format!("X-Forwarded-Proto {scheme}")),
                ("$host$port_of_host;", host),
            ],
        );
        let first = Nginx::start(&format!("127.0.0.1:{}", second.http), &[]);
        let spoofed = ["-H", "X-Forwarded-For: 203.0.113.9", "-H", "X-Forwarded-Proto: gopher"];
        let who: Value =
            serde_json::from_str(&curl("https", first.https, "/whoami", &spoofed).await).unwrap();
        let seen = ["remote", "scheme", "host"].map(|fact| who[fact].as_str().unwrap());
        let host = format!("shop.example:{}", first.https);
        assert_eq!(seen, [remote, "https", &host], "{who}");
        drop(program);
    }
}
