use super::*;

async fn start(upstream: &str, settings: String) -> Proxied {
    let folder = Folder::new();
    let certificate = write_certificate(&folder);
    let (http, https) = (free_port(), free_port());
    let (chain, key) = certificate_paths(folder.path());
    let listen = |port: u16, rest: &str| format!("listen 127.0.0.1:{port}{rest}");
    let shop = file(
        "nginx/shop.conf",
        &[
            ("server 127.0.0.1:5000;", &format!("server {upstream};")),
            ("listen 80 default_server", &listen(http, " default_server")),
            ("listen 443 ssl default_server", &listen(https, " ssl default_server")),
            ("listen 80;", &listen(http, ";")),
            ("listen 443 ssl http2;", &listen(https, " ssl http2;")),
            ("/etc/ssl/shop.pem", &chain),
            ("/etc/ssl/shop.key", &key),
        ],
    );
    folder.write("shop.conf", shop);
    let at = folder.path().display();
    let main = format!(
        "daemon off; user root; pid {at}/pid; error_log {at}/error.log; worker_processes 1; events {{}}\n\
         http {{ access_log off; client_body_temp_path {at}/1; proxy_temp_path {at}/2; fastcgi_temp_path {at}/3;\n\
         uwsgi_temp_path {at}/4; scgi_temp_path {at}/5; include {at}/shop.conf; }}\n"
    );
    let main = folder.write("nginx.conf", main).display().to_string();
    let program = Some(application(&settings).await);
    let proxy = Process::start("nginx", &["-c", &main, "-e", "stderr"], &[http, https]);
    Proxied { program, settings, http, https, certificate, closes_kept: false, folder, _proxy: proxy }
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
