//! What the sample takes from its settings about proxies.

use super::*;
use crate::program::curl;

/// Who the application thinks that its client is, as a proxy on 127.0.0.1 tells.
async fn who(program: &Program, told: [&str; 3]) -> Value {
    let [a, b, c] = told;
    curl(["-H", a, "-H", b, "-H", c, program.url("/whoami").as_str()]).await.json()
}

#[tokio::test]
async fn a_proxy_names_hosts_that_are_allowed_and_no_others() {
    let settings = |hosts: &str| format!(r#"{{ "AllowedHosts": "{hosts}" }}"#);
    let program = Launch::of("reverse-proxy")
        .file("appsettings.json", settings("shop.example;*.shop.example"))
        .start()
        .await;
    let host = async |told: &str| {
        let told = format!("X-Forwarded-Host: {told}");
        who(&program, ["Host: shop.example", "X-Forwarded-For: 192.0.2.7", &told]).await
    };
    for (told, expected) in [("www.shop.example:81", "www.shop.example:81"), ("evil.example", "shop.example")]
    {
        let who = host(told).await;
        // The rest of what the proxy says counts.
        assert_eq!((&who["host"], &who["remote"]), (&expected.into(), &"192.0.2.7".into()), "{who}");
    }
    // As for the field `Host`, changes are followed.
    let new = program.folder().write("new", settings("shop.example;evil.example"));
    std::fs::rename(new, program.folder().path().join("appsettings.json")).unwrap();
    soon(async { while host("evil.example").await["host"] != "evil.example" {} }).await;
}

#[tokio::test]
async fn keys_that_are_not_known_are_refused_with_those_that_are() {
    for (section, expected) in [
        (r#"{ "KnownNetwork": [ "10.0.0.0/8" ] }"#, "ForwardedHeaders:KnownNetwork "),
        (r#"{ "KnownProxies": [ "10.0.0.1" ] }"#, "known are KnownNetworks, ForwardLimit and Prefix"),
        (r#""true""#, "expected a section with KnownNetworks, ForwardLimit"),
        (r#"{ "ForwardLimit": 0 }"#, "ForwardedHeaders:ForwardLimit = \"0\""),
        (r#"{ "ForwardLimit": "two" }"#, "a number from 1 on"),
    ] {
        let settings = format!(r#"{{ "ForwardedHeaders": {section} }}"#);
        let error = Launch::of("reverse-proxy").file("appsettings.json", settings).fail().await;
        assert!(error.contains(expected) && error.contains("appsettings.json:1:"), "{section}: {error}");
    }
}

#[tokio::test]
async fn hosts_that_cannot_be_allowed_are_refused_with_their_key() {
    let settings = r#"{ "AllowedHosts": "shop.example:80" }"#;
    let error = Launch::of("reverse-proxy").file("appsettings.json", settings).fail().await;
    assert!(error.contains("AllowedHosts = \"shop.example:80\"") && error.contains("port"), "{error}");
}
