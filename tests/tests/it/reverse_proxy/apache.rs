use super::*;

/// What `a2enmod` would load.
const MODULES: &[&str] = &[
    "mpm_event",
    "authz_core",
    "alias",
    "macro",
    "headers",
    "proxy",
    "proxy_http",
    "ssl",
    "socache_shmcb",
    "http2",
];

/// The file of the sample, in which other things may be replaced too.
pub(super) async fn start(backend: &str, settings: String, replacements: &[(&str, &str)]) -> Proxied {
    let folder = Folder::new();
    let certificate = write_certificate(&folder);
    let (http, https) = (free_port(), free_port());
    let (chain, key) = certificate_paths(folder.path());
    let places = [
        ("http://127.0.0.1:5000/", backend),
        ("<VirtualHost *:80>", &*format!("<VirtualHost *:{http}>")),
        ("<VirtualHost *:443>", &format!("<VirtualHost *:{https}>")),
        ("/etc/ssl/shop.pem", &chain),
        ("/etc/ssl/shop.key", &key),
    ];
    // The latter first, since they show the texts of the sample.
    let shop = file("apache/shop.conf", &[replacements, &places].concat());
    let at = folder.path().display();
    // One process: each has connections of its own to the application.
    let mut main = format!(
        "ServerRoot {at}\nServerName localhost\nPidFile {at}/pid\nErrorLog {at}/error.log\nDefaultRuntimeDir {at}\n\
         User www-data\nGroup www-data\nStartServers 1\nServerLimit 1\nMaxRequestWorkers 25\n\
         Listen 127.0.0.1:{http}\nListen 127.0.0.1:{https}\nListen [::1]:{http}\nListen [::1]:{https}\n"
    );
    for module in MODULES {
        let _ = writeln!(main, "LoadModule {module}_module /usr/lib/apache2/modules/mod_{module}.so");
    }
    main += &shop;
    let main = folder.write("apache.conf", main).display().to_string();
    let program = Some(application(&settings).await);
    let proxy = Process::start("apache2", &["-DFOREGROUND", "-f", &main], &[http, https]);
    Proxied {
        program,
        settings,
        http,
        https,
        certificate,
        // With few threads left it closes connections of clients that wait for their next request.
        closes_kept: true,
        refuses_two_hosts: false,
        folder,
        _proxy: proxy,
    }
}

#[tokio::test]
async fn an_application_behind_apache() {
    let address = format!("127.0.0.1:{}", free_port());
    let settings = file("apache/appsettings.json", &[("127.0.0.1:5000", &address)]);
    let mut proxied = start(&format!("http://{address}/"), settings, &[]).await;
    passes_trailers_on(&proxied, [Trailers::Dropped; 2], [Trailers::Dropped; 2]).await;
    works(&mut proxied).await;
}

#[tokio::test]
async fn an_application_behind_apache_on_a_unix_socket() {
    let sockets = Folder::new();
    let socket = sockets.path().join("shop.sock");
    let settings = on_unix_socket(&file("apache/appsettings.json", &[]), &socket);
    works(&mut start(&format!("unix:{}|http://shop/", socket.display()), settings, &[]).await).await;
}
