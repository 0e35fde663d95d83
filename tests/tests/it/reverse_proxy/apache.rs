use super::*;

/// What `a2enmod` would load.
const MODULES: &[&str] =
    &["mpm_event", "authz_core", "macro", "headers", "proxy", "proxy_http", "ssl", "socache_shmcb", "http2"];

#[tokio::test]
async fn an_application_behind_apache() {
    let folder = Folder::new();
    write_certificate(&folder);
    let (http, https, port) = (free_port(), free_port(), free_port());
    let (certificate, key) = certificate_paths(folder.path());
    let address = format!("127.0.0.1:{port}");
    let shop = file(
        "apache/shop.conf",
        &[
            ("127.0.0.1:5000", &address),
            ("Listen 80\n", &format!("Listen 127.0.0.1:{http}\n")),
            ("Listen 443\n", &format!("Listen 127.0.0.1:{https}\n")),
            ("<VirtualHost *:80>", &format!("<VirtualHost *:{http}>")),
            ("<VirtualHost *:443>", &format!("<VirtualHost *:{https}>")),
            ("/etc/ssl/shop.pem", &certificate),
            ("/etc/ssl/shop.key", &key),
        ],
    );
    let at = folder.path().display();
    let mut main = format!(
        "ServerRoot {at}\nServerName localhost\nPidFile {at}/pid\nErrorLog {at}/error.log\nDefaultRuntimeDir {at}\n\
         User www-data\nGroup www-data\n"
    );
    for module in MODULES {
        let _ = writeln!(main, "LoadModule {module}_module /usr/lib/apache2/modules/mod_{module}.so");
    }
    main += &shop;
    let main = folder.write("apache.conf", main).display().to_string();
    let settings = file("apache/appsettings.json", &[("127.0.0.1:5000", &address)]);
    let program = application(&settings).await;
    let proxy = Process::start("apache2", &["-DFOREGROUND", "-f", &main], &[http, https]);
    works(&mut Proxied { program, settings, http, https, folder, _proxy: proxy }).await;
}
