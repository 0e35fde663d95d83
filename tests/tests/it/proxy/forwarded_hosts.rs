//! `X-Forwarded-Host`: what a host is, which ones are allowed, and where it goes.

use server_proxy_integration::{ForwardedFields, ForwardedHeadersOptions};

use super::Probe;
use super::forwarded_headers::everyone;
use super::host_filtering::{ALLOWED, REFUSED};

const PEER: &str = "10.0.0.1:99";

fn hosts(allowed: &[&str]) -> ForwardedHeadersOptions {
    let allowed_hosts = allowed.iter().map(|host| (*host).to_owned()).collect();
    ForwardedHeadersOptions { allowed_hosts, ..everyone(ForwardedFields::HOST) }
}

#[tokio::test]
async fn a_good_host_takes_the_place_of_the_field() {
    let mut probe = Probe::forwarded(PEER, &hosts(&[])).await;
    for host in [
        "z",
        "1",
        "y:1",
        "1:1",
        "[ABCdef]",
        "[abcDEF]:0",
        "[abcdef:127.2355.1246.114]:0",
        "[::1]:80",
        "127.0.0.1:80",
        "900.900.900.900:9523547852",
        "foo.BAR.baz:46245",
        "-foo:1234",
        "xn--c1yn36f:134",
        "-",
        "_",
        "~",
        "!",
        "$",
        "'",
        "(",
        ")",
    ] {
        let seen = probe.get(&[("X-Forwarded-Host", host)]).await;
        assert_eq!(seen.header("host").as_deref(), Some(host));
        assert_eq!(seen.header("x-original-host").as_deref(), Some("a"), "{host}");
        assert_eq!(seen.header("x-forwarded-host"), None, "{host}");
        // Over HTTP/2 the authority is the host.
        let seen = probe.get_http2(&[("x-forwarded-host", host)]).await;
        assert_eq!(seen.uri.authority().map(http::uri::Authority::as_str), Some(host));
        assert_eq!((seen.header("host"), seen.header("x-original-host").as_deref()), (None, Some("a")));
        assert_eq!(seen.raw_target, "/");
    }
}

#[tokio::test]
async fn what_is_no_host_is_passed_over() {
    let mut bad: Vec<String> = [
        "",
        "[]",
        "[::]",
        "[ghijkl]",
        "[afd:adf:123",
        "[afd:adf]123",
        "[afd:adf]:",
        "[afd adf]",
        "[ad-314]",
        ":1234",
        "a:b:c",
        "::1",
        "::",
        "abcd:1abcd",
        "abcd:1.2",
        "1.2.3.4:",
        "1.2 .4",
    ]
    .map(str::to_owned)
    .to_vec();
    for c in "\"#%*+/;<=>?@[]\\^`{}|".chars() {
        bad.extend([c.to_string(), format!("[abd{c}]:1234"), format!("a:1{c}")]);
    }
    bad.extend("!&-~$'()_ ghZ".chars().map(|c| format!("[abd{c}]:1234")));
    let mut probe = Probe::forwarded(PEER, &hosts(&[])).await;
    for host in bad {
        let seen = probe.get(&[("X-Forwarded-Host", &host)]).await;
        assert_eq!(seen.header("host").as_deref(), Some("a"), "{host}");
        assert_eq!((seen.header("x-original-host"), seen.header("x-forwarded-host")), (None, Some(host)));
    }
}

#[tokio::test]
async fn only_allowed_hosts_are_taken() {
    for (allowed, host) in ALLOWED {
        let options = hosts(&allowed.split(';').collect::<Vec<_>>());
        let seen = Probe::forwarded(PEER, &options).await.get(&[("X-Forwarded-Host", host)]).await;
        assert_eq!(seen.header("host").as_deref(), Some(*host), "{allowed}");
    }
    for (allowed, host) in REFUSED {
        let options = hosts(&allowed.split(';').collect::<Vec<_>>());
        let seen = Probe::forwarded(PEER, &options).await.get(&[("X-Forwarded-Host", host)]).await;
        assert_eq!(seen.header("host").as_deref(), Some("a"), "{allowed} {host}");
    }
    let options = ForwardedHeadersOptions { forward_limit: Some(10), ..hosts(&["bar.com", "*.foo.com"]) };
    let chain = "stuff:523, bar.foo.com:432, bar.com:80";
    let seen = Probe::forwarded(PEER, &options).await.get(&[("X-Forwarded-Host", chain)]).await;
    // The one that is not allowed counts as taken all the same.
    assert_eq!(seen.header("host").as_deref(), Some("bar.foo.com:432"));
    assert_eq!(seen.header("x-forwarded-host"), None);
}

#[tokio::test]
async fn an_absolute_target_gets_the_host_and_its_old_form_is_kept() {
    let options = everyone(ForwardedFields::HOST | ForwardedFields::PROTO);
    let mut probe = Probe::forwarded(PEER, &options).await;
    let fields = [("Host", "a"), ("X-Forwarded-Host", "b:1"), ("X-Forwarded-Proto", "https")];
    assert_eq!(probe.send("GET http://a/x?y", &fields).await.status, 200);
    let seen = probe.take().unwrap();
    assert_eq!(
        (seen.uri.to_string(), seen.header("host")),
        ("https://b:1/x?y".to_owned(), Some("b:1".to_owned()))
    );
    assert_eq!((&*seen.raw_target, seen.header("x-original-host")), ("http://a/x?y", Some("a".to_owned())));
    assert_eq!(seen.header("x-original-proto").as_deref(), Some("http"));
}
