//! The pairing with a module: the token, the stop, and what a request gets back.

use std::num::NonZeroU16;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use server_abstractions::{App, HttpMaxRequestBodySizeFeature, HttpUpgradeFeature, TlsConnectionFeature};
use server_proxy_integration::{IisIntegration, IisIntegrationOptions};
use tokio_util::sync::CancellationToken;
use tower_layer::Layer;

use super::{Probe, Seen, parse_peer};
use crate::support::Certificate;

const TOKEN: (&str, &str) = ("MS-ASPNETCORE-TOKEN", "a-b-c");

fn settings(path_base: &str) -> IisIntegrationOptions {
    IisIntegrationOptions {
        port: NonZeroU16::new(12345).unwrap(),
        socket: None,
        path_base: path_base.to_owned(),
        token: TOKEN.1.to_owned(),
        web_sockets: true,
        forward_client_certificate: true,
    }
}

async fn probe(settings: IisIntegrationOptions) -> (Probe, CancellationToken) {
    let shutdown = CancellationToken::new();
    let layer = IisIntegration::new(settings).unwrap().layer(shutdown.clone()).unwrap();
    (Probe::start("127.0.0.1", |app| App::new(layer.layer(app))).await, shutdown)
}

#[tokio::test]
async fn only_requests_with_the_token_reach_the_application() {
    let (mut probe, _) = probe(settings("/")).await;
    for fields in [
        &[][..],
        &[("MS-ASPNETCORE-TOKEN", "")],
        &[("MS-ASPNETCORE-TOKEN", "A-B-C")],
        &[("MS-ASPNETCORE-TOKEN", "a-b-cd")],
        &[("MS-ASPNETCORE-TOKEN", "a-b-c, a-b-c")],
        &[TOKEN, TOKEN],
    ] {
        let fields: Vec<_> = [("Host", "a")].iter().chain(fields).copied().collect();
        let response = probe.send("GET /", &fields).await;
        assert_eq!((response.status, response.text()), (400, ""), "{fields:?}");
        assert!(probe.take().is_none());
    }
    let seen = probe.get(&[TOKEN, ("MS-ASPNETCORE-WINAUTHTOKEN", "1f")]).await;
    // The secrets of the module are nothing to the application.
    assert_eq!((seen.header("ms-aspnetcore-token"), seen.header("ms-aspnetcore-winauthtoken")), (None, None));
}

#[tokio::test]
async fn a_request_to_stop_is_answered_and_stops() {
    for path_base in ["/", "/pathBase"] {
        for event in ["shutdown", "ShutDown", "SHUTDOWN"] {
            for path in ["/iisintegration", "/IISIntegration"] {
                let (mut probe, shutdown) = probe(settings(path_base)).await;
                let line = format!("POST {}{path}", path_base.trim_end_matches('/'));
                let fields = [("Host", "a"), ("Content-Length", "0"), TOKEN, ("MS-ASPNETCORE-EVENT", event)];
                let response = probe.send(&line, &fields).await;
                assert_eq!((response.status, response.text()), (202, ""), "{line}");
                assert!(shutdown.is_cancelled() && probe.take().is_none());
            }
        }
    }
}

#[tokio::test]
async fn what_is_no_request_to_stop_reaches_the_application() {
    let (mut probe, shutdown) = probe(settings("/")).await;
    let mut requests: Vec<(String, Option<&str>)> = ["PUT", "TRACE", "GET", "DELETE", "OPTIONS"]
        .map(|method| (format!("{method} /iisintegration"), Some("shutdown")))
        .to_vec();
    requests.extend(
        ["/", "/path", "/path/iisintegration"].map(|path| (format!("POST {path}"), Some("shutdown"))),
    );
    requests.extend([Some("event"), Some(""), None].map(|event| ("POST /iisintegration".to_owned(), event)));
    for (line, event) in requests {
        let mut fields = vec![("Host", "a"), ("Content-Length", "0"), TOKEN];
        fields.extend(event.map(|event| ("MS-ASPNETCORE-EVENT", event)));
        assert_eq!(probe.send(&line, &fields).await.status, 200, "{line} {event:?}");
        assert!(!shutdown.is_cancelled() && probe.take().is_some(), "{line} {event:?}");
    }
    let mut client = probe.client().await;
    let head = format!(
        "HEAD /iisintegration HTTP/1.1\r\nHost: a\r\n{}: {}\r\nMS-ASPNETCORE-EVENT: shutdown\r\n\r\n",
        TOKEN.0, TOKEN.1
    );
    client.send(head).await;
    assert_eq!(client.response_to_head().await.status, 200);
    // Without the token nobody stops anything.
    let fields = [("Host", "a"), ("Content-Length", "0"), ("MS-ASPNETCORE-EVENT", "shutdown")];
    assert_eq!(probe.send("POST /iisintegration", &fields).await.status, 400);
    assert!(!shutdown.is_cancelled());
}

#[tokio::test]
async fn a_request_gets_back_what_the_module_took() {
    let (mut probe, _) = probe(settings("/pathbase")).await;
    let fields = [
        ("Host", "a"),
        TOKEN,
        ("X-Forwarded-For", "6.6.6.6, 1.1.1.1:5000"),
        ("X-Forwarded-Proto", "http, https"),
        ("X-Forwarded-Host", "evil"),
    ];
    assert_eq!(probe.send("GET /PathBase/Path?q", &fields).await.status, 200);
    let seen = probe.take().unwrap();
    assert_eq!(
        (&*seen.path_base, &*seen.path, &*seen.raw_target),
        ("/PathBase", "/Path", "/PathBase/Path?q")
    );
    assert_eq!((seen.remote.unwrap(), &*seen.scheme), (parse_peer("1.1.1.1:5000"), "https"));
    assert_eq!(seen.header("host").as_deref(), Some("a"));
    assert_eq!(seen.header("x-forwarded-for").as_deref(), Some("6.6.6.6"));
    let limit = seen.features.get::<dyn HttpMaxRequestBodySizeFeature>().unwrap();
    assert_eq!(limit.max_request_body_size(), None);
}

#[tokio::test]
async fn the_certificate_of_the_client_is_taken_if_it_may_be() {
    let certificate = Certificate::new();
    let field = ("MS-ASPNETCORE-CLIENTCERT", &*STANDARD.encode(&certificate.der));
    let of = |seen: &Seen| {
        let feature = seen.features.get::<dyn TlsConnectionFeature>();
        feature.and_then(|feature| feature.client_certificate().map(|own| own.der().to_vec()))
    };
    let (mut with, _) = probe(settings("/")).await;
    assert_eq!(of(&with.get(&[TOKEN, field]).await), Some(certificate.der.to_vec()));
    assert_eq!(of(&with.get(&[TOKEN, (field.0, "")]).await), None);
    assert_eq!(of(&with.get(&[TOKEN, (field.0, "nonsense")]).await), None);
    let (mut without, _) =
        probe(IisIntegrationOptions { forward_client_certificate: false, ..settings("/") }).await;
    assert_eq!(of(&without.get(&[TOKEN, field]).await), None);
}

#[tokio::test]
async fn without_websockets_there_is_no_upgrade() {
    for web_sockets in [true, false] {
        let (mut probe, _) = probe(IisIntegrationOptions { web_sockets, ..settings("/") }).await;
        let seen = probe.get(&[TOKEN, ("Connection", "Upgrade"), ("Upgrade", "websocket")]).await;
        assert_eq!(seen.features.get::<dyn HttpUpgradeFeature>().is_some(), web_sockets);
        assert_eq!(seen.header("upgrade").is_some(), web_sockets);
        // The others are still there.
        assert!(seen.features.get::<dyn HttpMaxRequestBodySizeFeature>().is_some());
    }
}

#[tokio::test]
async fn a_second_layer_does_nothing() {
    let layer = |token: &str| {
        let settings = IisIntegrationOptions { token: token.to_owned(), ..settings("/base") };
        IisIntegration::new(settings).unwrap().layer(CancellationToken::new()).unwrap()
    };
    let (outer, inner) = (layer(TOKEN.1), layer("other"));
    let mut probe = Probe::start("127.0.0.1", |app| App::new(outer.layer(inner.layer(app)))).await;
    let fields = [("Host", "a"), TOKEN, ("X-Forwarded-For", "127.0.0.1, 127.0.0.2")];
    assert_eq!(probe.send("GET /base/base/x", &fields).await.status, 200);
    let seen = probe.take().unwrap();
    assert_eq!((&*seen.path_base, &*seen.path), ("/base", "/base/x"));
    assert_eq!(seen.remote.unwrap(), parse_peer("127.0.0.2:0"));
}

type Variables<'v> = &'v [(&'v str, &'v str)];

fn from(variables: Variables<'_>) -> Result<Option<IisIntegration>, String> {
    let find =
        |name: &str| variables.iter().find(|(given, _)| *given == name).map(|(_, value)| (*value).to_owned());
    IisIntegration::from_variables(find).map_err(|error| error.to_string())
}

#[test]
fn it_is_active_with_port_path_and_token() {
    const PORT: (&str, &str) = ("ASPNETCORE_PORT", "12345");
    const PATH: (&str, &str) = ("ASPNETCORE_APPL_PATH", "/app");
    const TOKEN: (&str, &str) = ("ASPNETCORE_TOKEN", "secret-token");
    for incomplete in
        [&[][..], &[PORT, PATH], &[PORT, TOKEN], &[PATH, TOKEN], &[PORT, PATH, ("ASPNETCORE_TOKEN", "")]]
    {
        assert!(from(incomplete).unwrap().is_none(), "{incomplete:?}");
    }
    let iis = from(&[PORT, PATH, TOKEN]).unwrap().unwrap();
    let addresses =
        |iis: &IisIntegration| iis.addresses().iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(addresses(&iis), ["http://127.0.0.1:12345"]);
    let socket = |text: &str| {
        let iis = from(&[PORT, PATH, TOKEN, ("ASPNETCORE_MODULE_SOCKET", text)]);
        iis.map(|iis| addresses(&iis.unwrap()))
    };
    assert_eq!(socket("http://unix:@shop").unwrap(), ["http://unix:@shop", "http://127.0.0.1:12345"]);
    for text in ["@shop", "https://unix:@shop", "http://localhost:1"] {
        let error = socket(text).unwrap_err();
        assert!(
            error.starts_with("the environment variable ASPNETCORE_MODULE_SOCKET = ")
                && error.contains("Unix socket"),
            "{error}"
        );
    }
    let options = iis.options();
    assert_eq!((&*options.path_base, &*options.token), ("/app", "secret-token"));
    assert!(options.web_sockets && options.forward_client_certificate && !iis.has_windows_authentication());
    assert!(!format!("{iis:?}").contains("secret-token"));

    let with = from(&[
        PORT,
        PATH,
        TOKEN,
        ("ASPNETCORE_IIS_WEBSOCKETS_SUPPORTED", "False"),
        ("ASPNETCORE_IIS_HTTPAUTH", "windows;anonymous;"),
    ]);
    let iis = with.unwrap().unwrap();
    assert!(!iis.options().web_sockets && iis.has_windows_authentication());
    for (variables, name) in [
        (&[("ASPNETCORE_PORT", "eighty"), PATH, TOKEN][..], "ASPNETCORE_PORT = \"eighty\""),
        (&[("ASPNETCORE_PORT", "0"), PATH, TOKEN], "ASPNETCORE_PORT = \"0\""),
        (&[PORT, ("ASPNETCORE_APPL_PATH", "app"), TOKEN], "ASPNETCORE_APPL_PATH = \"app\""),
        (
            &[PORT, PATH, TOKEN, ("ASPNETCORE_IIS_WEBSOCKETS_SUPPORTED", "yes")],
            "ASPNETCORE_IIS_WEBSOCKETS_SUPPORTED = \"yes\"",
        ),
    ] {
        let error = from(variables).unwrap_err();
        assert!(error.contains(name), "{error}");
    }
    let error =
        IisIntegration::new(IisIntegrationOptions { token: String::new(), ..settings("/") }).unwrap_err();
    assert!(error.to_string().contains("token is empty"), "{error}");
}
