//! Behind IIS, with the web.config of the sample. The ASP.NET Core Module runs on Windows alone; in its place stands a
//! program that reads the file and does what the module does.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::{SinkExt, StreamExt};
use rustls::version::TLS13;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::{are_told_of, begin, connect_from, file, finish, request, shutdown_seconds, who};
use crate::program::{Folder, curl};
use crate::support::{Certificate, Client, client_config_of, connect_tls, soon};

mod forward;
mod module;
mod web_config;

use module::Module;

/// Another address than that of the module.
const CLIENT: [u8; 4] = [127, 0, 0, 2];

async fn client(module: &Module) -> Client {
    Client::new(connect_from(CLIENT, module.http().port()).await)
}

#[tokio::test]
async fn an_application_at_the_root_and_one_below_see_their_clients() {
    for (application_path, path, path_base) in
        [("/", "/whoami", ""), ("/app", "/app/whoami", "/app"), ("/app", "/APP/whoami", "/APP")]
    {
        let module = Module::start(application_path, true).await;
        let seen = who(&mut client(&module).await, path, &[]).await;
        assert_eq!((&seen["remote"], &seen["scheme"]), (&"127.0.0.2".into(), &"http".into()), "{seen}");
        assert_eq!(
            (&seen["path_base"], &seen["host"]),
            (&path_base.into(), &"shop.example".into()),
            "{seen}"
        );
        // The module's own fields and those that it has added stay with the module.
        let headers = client(&module)
            .await
            .exchange(&request(&format!("GET {application_path}/headers").replace("//", "/"), &[]))
            .await;
        assert!(!headers.text().contains("ms-aspnetcore"), "{}", headers.text());
        let stopped = module.request_stop(&module.backend.token).await;
        assert_eq!((stopped.status, stopped.text()), (202, ""), "{application_path}");
        let end = module.end().await;
        assert_eq!((end.code, end.stderr.as_str()), (Some(0), ""), "{end:?}");
    }
}

#[tokio::test]
async fn what_a_client_claims_behind_the_module_is_not_believed() {
    let module = Module::start("/", true).await;
    let certificate = format!("MS-ASPNETCORE-CLIENTCERT: {}", STANDARD.encode(&Certificate::new().der));
    let claims = [
        "X-Forwarded-For: 203.0.113.9",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Host: evil.example",
        "X-Forwarded-Prefix: /evil",
        "MS-ASPNETCORE-TOKEN: mine",
        &certificate,
    ];
    let seen = who(&mut client(&module).await, "/whoami", &claims).await;
    assert_eq!((&seen["remote"], &seen["scheme"]), (&"127.0.0.2".into(), &"http".into()), "{seen}");
    assert_eq!((&seen["path_base"], &seen["host"]), (&"".into(), &"shop.example".into()), "{seen}");
    assert!(seen["client_certificate"].is_null(), "{seen}");
    // Hosts that are not allowed are not, here too.
    let other = request("GET /whoami", &[]).replace("shop.example", "evil.example");
    assert_eq!(client(&module).await.exchange(&other).await.status, 400);
}

#[tokio::test]
async fn requests_around_the_module_are_refused() {
    let module = Module::start("/", true).await;
    for fields in [&[][..], &["MS-ASPNETCORE-TOKEN: wrong"], &["MS-ASPNETCORE-TOKEN: "]] {
        let answer = module.around().await.exchange(&request("GET /plaintext", fields)).await;
        assert_eq!((answer.status, answer.text()), (400, ""), "{fields:?}");
    }
    assert_eq!(module.request_stop("wrong").await.status, 400);
    // It goes on.
    assert_eq!(client(&module).await.exchange(&request("GET /plaintext", &[])).await.text(), "Hello, World!");
}

#[tokio::test]
async fn the_application_sees_tls_and_the_certificate_of_the_client() {
    let module = Module::start("/", true).await;
    let own = Certificate::new();
    for (own, subject) in [(Some(own), Some("CN=rcgen self signed cert")), (None, None)] {
        let config = client_config_of(&module.certificate, &[], &[&TLS13], own);
        let stream = connect_from(CLIENT, module.https().port()).await;
        let mut client = Client::new(connect_tls(stream, config).await.unwrap());
        let seen = who(&mut client, "/whoami", &[]).await;
        assert_eq!((&seen["remote"], &seen["scheme"]), (&"127.0.0.2".into(), &"https".into()), "{seen}");
        assert_eq!(seen["client_certificate"].as_str(), subject, "{seen}");
    }
}

#[tokio::test]
async fn web_sockets_pass_if_the_module_has_them() {
    for web_sockets in [true, false] {
        let module = Module::start("/app", web_sockets).await;
        let stream = connect_from(CLIENT, module.http().port()).await;
        let opened = soon(tokio_tungstenite::client_async("ws://shop.example/app/ws", stream)).await;
        if !web_sockets {
            assert!(matches!(&opened, Err(Error::Http(answer)) if answer.status() == 400), "{opened:?}");
            continue;
        }
        let (mut socket, _) = opened.unwrap();
        for text in ["one", "two"] {
            socket.send(Message::text(text)).await.unwrap();
            assert_eq!(soon(socket.next()).await.unwrap().unwrap(), Message::text(text));
        }
        // A stop ends it.
        assert_eq!(module.request_stop(&module.backend.token).await.status, 202);
        assert!(matches!(soon(socket.next()).await, Some(Ok(Message::Close(Some(_))))));
        assert_eq!(module.end().await.code, Some(0));
    }
}

#[tokio::test]
async fn the_limit_of_bodies_is_that_of_web_config() {
    let module = Module::start("/", true).await;
    let folder = Folder::new();
    // More than the server takes by itself.
    let length = 40_000_000;
    assert!(module.config.max_body > length);
    let body = format!("@{}", folder.zeros("body", length).display());
    let url = format!("http://{}/count", module.http());
    for more in ["Expect:", "Transfer-Encoding: chunked"] {
        let answer =
            curl(["--header", "Host: shop.example", "--header", more, "--data-binary", &body, &url]).await;
        assert_eq!((answer.status, answer.text()), (200, "40000000"), "{more}");
    }
    let too_long = request("POST /count", &[])
        .replace("Content-Length: 0", &format!("Content-Length: {}", module.config.max_body + 1));
    assert_eq!(client(&module).await.exchange(&too_long).await.status, 413);
}

#[tokio::test]
async fn requests_under_way_are_finished_when_the_module_asks_to_stop() {
    let module = Module::start("/", true).await;
    let mut under_way = client(&module).await;
    begin(&mut under_way).await;
    assert_eq!(module.request_stop(&module.backend.token).await.status, 202);
    finish(&mut under_way).await;
    assert_eq!(module.end().await.code, Some(0));
}

#[tokio::test]
async fn the_time_for_a_stop_is_less_than_that_of_the_module() {
    let seconds = shutdown_seconds(&file("iis/appsettings.json", &[]));
    let module = web_config::WebConfig::read(&file("iis/web.config", &[]));
    assert!(module.shutdown.as_secs() > seconds, "{:?} {seconds}", module.shutdown);
}

#[test]
fn every_attribute_for_the_module_is_explained() {
    let text = file("iis/web.config", &[]);
    let document = roxmltree::Document::parse(&text).unwrap();
    let module = document.descendants().find(|node| node.has_tag_name("aspNetCore")).unwrap();
    are_told_of(module.attributes().map(|attribute| attribute.name()));
}
