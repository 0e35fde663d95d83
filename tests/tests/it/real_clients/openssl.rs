//! `openssl s_client`.

use rcgen::date_time_ymd;
use serde_json::{Value, json};

use super::{Keys, serve, serve_with};
use crate::program::{Program, tool_with_input};
use crate::support::Issued;

/// What `s_client` shows of a handshake, and of the answer to a request after it.
#[derive(Debug)]
struct Shown {
    text: String,
}

impl Shown {
    /// The version of TLS, if the server has shown its certificate.
    fn version(&self) -> Option<&str> {
        if self.text.contains("no peer certificate available") {
            return None;
        }
        let line = self.text.lines().find_map(|line| line.strip_prefix("New, "))?;
        line.split(',').next().filter(|version| *version != "(NONE)")
    }

    /// What ALPN agreed on.
    fn protocol(&self) -> Option<&str> {
        self.text.lines().find_map(|line| line.strip_prefix("ALPN protocol: "))
    }

    /// Whether the server has this certificate.
    fn is_of(&self, issued: &Issued) -> bool {
        let without_breaks = |text: &str| text.lines().collect::<String>();
        without_breaks(&self.text).contains(&without_breaks(&issued.pem))
    }

    fn is_answered(&self) -> bool {
        self.text.contains("HTTP/1.1 200 OK")
    }

    /// The number of the alert that the server has sent (RFC 8446, section 6).
    fn alert(&self) -> Option<u32> {
        let (_, rest) = self.text.split_once("SSL alert number ")?;
        rest.split(|byte: char| !byte.is_ascii_digit()).next()?.parse().ok()
    }
}

/// Of what offers no version that is spoken; the hello of TLS 1.1 lacks more than that, and is a handshake failure.
const NO_VERSION: [Option<u32>; 2] = [Some(70), Some(40)];
/// What rustls says where it has no certificate for a name.
const ACCESS_DENIED: Option<u32> = Some(49);
const NO_APPLICATION_PROTOCOL: Option<u32> = Some(120);

/// Shakes hands, asks once, and tells all that was shown.
async fn s_client(program: &Program, keys: &Keys, arguments: &str) -> Shown {
    let address = program.address().to_string();
    let trusted = keys.path("authority.pem");
    let always = ["s_client", "-connect", &address, "-CAfile", &trusted, "-ign_eof"];
    let arguments = always.into_iter().chain(arguments.split_whitespace());
    let request = "GET /connection HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let output = tool_with_input("openssl", arguments, request).await;
    let text = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    Shown { text: text.concat() }
}

#[tokio::test]
async fn versions_of_tls_are_those_of_the_settings() {
    let keys = Keys::new();
    keys.issue("own", "localhost");
    for (versions, is_12, is_13) in [
        (json!(null), true, true),
        (json!(["Tls12", "Tls13"]), true, true),
        (json!(["Tls12"]), true, false),
        (json!(["Tls13"]), false, true),
    ] {
        let mut endpoint = json!({ "Certificate": keys.section("own") });
        if !versions.is_null() {
            endpoint["SslProtocols"] = versions.clone();
        }
        let program = serve(endpoint).await;
        for (argument, version, is_accepted) in
            [("-tls1_2", "TLSv1.2", is_12), ("-tls1_3", "TLSv1.3", is_13), ("-tls1_1", "", false)]
        {
            // TLS 1.1 needs the lowest level of OpenSSL's own security.
            let arguments = format!("{argument} -cipher DEFAULT@SECLEVEL=0 -servername localhost");
            let shown = s_client(&program, &keys, &arguments).await;
            assert_eq!(shown.version(), is_accepted.then_some(version), "{versions} {argument} {shown:?}");
            assert_eq!(shown.is_answered(), is_accepted, "{versions} {argument} {shown:?}");
            if !is_accepted {
                assert!(NO_VERSION.contains(&shown.alert()), "{versions} {argument} {shown:?}");
            }
        }
    }
}

#[tokio::test]
async fn alpn_takes_what_both_speak_and_refuses_the_rest() {
    let keys = Keys::new();
    keys.issue("own", "localhost");
    for (protocols, cases) in [
        (
            "Http1AndHttp2",
            [
                ("", Ok(None)),
                ("-alpn http/1.1", Ok(Some("http/1.1"))),
                ("-alpn h2", Ok(Some("h2"))),
                // The server's order counts.
                ("-alpn http/1.1,h2", Ok(Some("h2"))),
                ("-alpn spdy/3,http/1.1", Ok(Some("http/1.1"))),
                ("-alpn spdy/3", Err(())),
            ],
        ),
        (
            "Http1",
            [
                ("", Ok(None)),
                ("-alpn http/1.1", Ok(Some("http/1.1"))),
                ("-alpn h2", Err(())),
                ("-alpn http/1.1,h2", Ok(Some("http/1.1"))),
                ("-alpn spdy/3,http/1.1", Ok(Some("http/1.1"))),
                ("-alpn spdy/3", Err(())),
            ],
        ),
    ] {
        let program = serve(json!({ "Protocols": protocols, "Certificate": keys.section("own") })).await;
        for (arguments, expected) in cases {
            let shown = s_client(&program, &keys, &format!("-servername localhost {arguments}")).await;
            match expected {
                Ok(protocol) => {
                    assert_eq!(shown.protocol(), protocol, "{protocols} {arguments} {shown:?}");
                    assert!(shown.version().is_some(), "{protocols} {arguments} {shown:?}");
                    assert_eq!(shown.is_answered(), protocol != Some("h2"), "{arguments} {shown:?}");
                }
                // RFC 7301, section 3.2.
                Err(()) => {
                    assert_eq!(shown.alert(), NO_APPLICATION_PROTOCOL, "{protocols} {arguments} {shown:?}");
                    assert_eq!(shown.version(), None, "{protocols} {arguments} {shown:?}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_server_name_finds_its_certificate() {
    let keys = Keys::new();
    let issued = ["exact.test", "*.test", "*.sub.test", "other"].map(|name| {
        let file = name.replace('*', "any");
        (name, keys.issue(&file, name), keys.section(&file))
    });
    let sni = |names: &[&str]| {
        let chosen = issued.iter().filter(|(name, ..)| names.contains(name));
        let entries = chosen.map(|(name, _, section)| {
            let name = if *name == "other" { "*" } else { name };
            (name.to_owned(), json!({ "Certificate": section }))
        });
        json!({ "Sni": Value::Object(entries.collect()) })
    };
    let of = |shown: &Shown| issued.iter().find(|(_, issued, _)| shown.is_of(issued)).map(|(name, ..)| *name);
    let all = serve(sni(&["exact.test", "*.test", "*.sub.test", "other"])).await;
    for (arguments, expected) in [
        ("-servername exact.test", "exact.test"),
        ("-servername EXACT.Test", "exact.test"),
        ("-servername a.test", "*.test"),
        ("-servername a.sub.test", "*.sub.test"),
        ("-servername nowhere.example", "other"),
        ("-noservername", "other"),
    ] {
        let shown = s_client(&all, &keys, arguments).await;
        assert_eq!(of(&shown), Some(expected), "{arguments} {shown:?}");
        assert!(shown.is_answered(), "{arguments} {shown:?}");
    }
    // Without `*` there is nothing for others.
    let some = serve(sni(&["exact.test", "*.test"])).await;
    assert_eq!(of(&s_client(&some, &keys, "-servername exact.test").await), Some("exact.test"));
    for version in ["-tls1_2", "-tls1_3"] {
        for name in ["-servername nowhere.example", "-servername test", "-noservername"] {
            let shown = s_client(&some, &keys, &format!("{version} {name}")).await;
            assert_eq!(shown.version(), None, "{version} {name} {shown:?}");
            assert_eq!(shown.alert(), ACCESS_DENIED, "{version} {name} {shown:?}");
        }
    }
}

#[tokio::test]
async fn a_client_is_judged_by_its_certificate() {
    let (keys, strangers) = (Keys::new(), Keys::new());
    keys.issue("own", "localhost");
    keys.issue("good", "good");
    strangers.issue("stranger", "stranger");
    let revoked = keys.issue("revoked", "revoked");
    keys.issue_with("expired", "expired", |parameters| {
        parameters.not_before = date_time_ymd(2020, 1, 1);
        parameters.not_after = date_time_ymd(2021, 1, 1);
    });
    keys.write("list.pem", &keys.authority.revoke(&revoked));
    let with = |keys: &Keys, name: &str| {
        format!(
            "-cert {} -key {}",
            keys.path(format_args!("{name}.pem")),
            keys.path(format_args!("{name}.key"))
        )
    };
    let clients = [
        ("none", String::new()),
        ("good", with(&keys, "good")),
        ("stranger", with(&strangers, "stranger")),
        ("revoked", with(&keys, "revoked")),
        ("expired", with(&keys, "expired")),
    ];
    use Verdict::{Alert, Known, Missing, NotAsked};
    // RFC 8446, section 6.2: unknown_ca, certificate_revoked, certificate_expired.
    for (mode, expected) in [
        ("NoCertificate", [NotAsked, NotAsked, NotAsked, NotAsked, NotAsked]),
        ("AllowCertificate", [NotAsked, Known, Alert(48), Alert(44), Alert(45)]),
        ("RequireCertificate", [Missing, Known, Alert(48), Alert(44), Alert(45)]),
    ] {
        let defaults = json!({
            "ClientCertificateRoots": keys.path("authority.pem"),
            "ClientCertificateRevocationLists": [keys.path("list.pem")],
        });
        let endpoint = json!({ "Certificate": keys.section("own"), "ClientCertificateMode": mode });
        let program = serve_with(endpoint, defaults).await;
        for ((who, arguments), verdict) in clients.iter().zip(expected) {
            for version in ["-tls1_2", "-tls1_3"] {
                let arguments = format!("{version} -servername localhost {arguments}");
                let shown = s_client(&program, &keys, &arguments).await;
                assert!(verdict.is_on(&shown), "{mode} {who} {version} {shown:?}");
            }
        }
    }
}

/// What becomes of a client.
#[derive(Clone, Copy)]
enum Verdict {
    /// It is served, and nothing is known of it.
    NotAsked,
    /// It is served, and the app knows its certificate.
    Known,
    /// It is refused, because it has shown no certificate.
    Missing,
    /// It is refused with this alert.
    Alert(u32),
}

impl Verdict {
    fn is_on(self, shown: &Shown) -> bool {
        // As the app writes it; OpenSSL puts spaces around the `=`.
        let is_known = shown.text.contains("\"CN=good\"");
        match self {
            Self::NotAsked => shown.is_answered() && !is_known,
            Self::Known => shown.is_answered() && is_known,
            // certificate_required, which rustls says over TLS 1.2 as well.
            Self::Missing => !shown.is_answered() && shown.alert() == Some(116),
            Self::Alert(alert) => !shown.is_answered() && shown.alert() == Some(alert),
        }
    }
}
