//! `Forwarded` (RFC 7239), alone and as the other of two.

use server_proxy_integration::{
    ForwardedFields, ForwardedHeadersLayer, ForwardedHeadersOptions, ForwardedSource,
};

use super::forwarded_headers::everyone;
use super::{Probe, parse_peer};

const PEER: &str = "10.0.0.1:99";
const FIELDS: [ForwardedFields; 3] = [ForwardedFields::FOR, ForwardedFields::PROTO, ForwardedFields::HOST];

fn forwarded(limit: Option<u32>) -> ForwardedHeadersOptions {
    let fields = FIELDS.into_iter().fold(ForwardedFields::NONE, |all, field| all | field);
    ForwardedHeadersOptions { source: ForwardedSource::Forwarded, forward_limit: limit, ..everyone(fields) }
}

#[tokio::test]
async fn elements_are_taken_from_the_right() {
    let all =
        "for=1.1.1.1;proto=h1;host=one, for=\"[2001:db8::2]:47011\";proto=https;host=\"two:8080\";by=_proxy";
    for (limit, value, remote, scheme, host, left) in [
        (Some(0), all, PEER, "http", "a", Some(all)),
        (Some(1), all, "[2001:db8::2]:47011", "https", "two:8080", Some("for=1.1.1.1;proto=h1;host=one")),
        (None, all, "1.1.1.1:0", "h1", "one", None),
        (None, "For=\"1.1.1.1:80\";PROTO=HTTPS", "1.1.1.1:80", "https", "a", None),
        // An address that is hidden ends the chain; what else its proxy says counts.
        (None, "for=6.6.6.6, for=unknown;proto=https", PEER, "https", "a", Some("for=6.6.6.6")),
        (None, "for=6.6.6.6, for=_x;host=b", PEER, "http", "b", Some("for=6.6.6.6")),
        (None, "for=6.6.6.6, proto=https", PEER, "https", "a", Some("for=6.6.6.6")),
        (None, "for=6.6.6.6, for=_x, for=1.1.1.1", "1.1.1.1:0", "http", "a", Some("for=6.6.6.6")),
        // What is no element ends the chain.
        (None, "for=6.6.6.6, nonsense, for=1.1.1.1", "1.1.1.1:0", "http", "a", Some("for=6.6.6.6, nonsense")),
        (None, "for=nonsense;proto=https", PEER, "http", "a", Some("for=nonsense;proto=https")),
        (None, "for=\", for=1.1.1.1", "1.1.1.1:0", "http", "a", Some("for=\"")),
        (None, "for=1.1.1.1;proto=\"https\";host=\"b\\:\\1\"", "1.1.1.1:0", "https", "b:1", None),
        (None, "for=1.1.1.1;host=\"b/c\";proto=\"a b\"", "1.1.1.1:0", "http", "a", None),
    ] {
        let seen = Probe::forwarded(PEER, &forwarded(limit)).await.get(&[("Forwarded", value)]).await;
        assert_eq!(seen.remote.unwrap(), parse_peer(remote), "{value}");
        assert_eq!((&*seen.scheme, seen.header("host").as_deref()), (scheme, Some(host)), "{value}");
        assert_eq!(seen.header("forwarded").as_deref(), left, "{value}");
    }
}

#[tokio::test]
async fn the_one_who_wrote_an_element_must_be_known() {
    // Also if the address itself is not taken.
    for fields in [ForwardedFields::PROTO, ForwardedFields::FOR | ForwardedFields::PROTO] {
        let options =
            ForwardedHeadersOptions { fields, known_proxies: vec![parse_peer(PEER).ip()], ..forwarded(None) };
        let value = "for=6.6.6.6;proto=h3, for=1.1.1.1;proto=h2, for=2.2.2.2;proto=h1";
        let seen = Probe::forwarded(PEER, &options).await.get(&[("Forwarded", value)]).await;
        assert_eq!(seen.scheme, "h1");
        assert_eq!(seen.header("forwarded").as_deref(), Some("for=6.6.6.6;proto=h3, for=1.1.1.1;proto=h2"));
        let seen = Probe::forwarded("10.0.0.2", &options).await.get(&[("Forwarded", value)]).await;
        assert_eq!((&*seen.scheme, seen.header("forwarded").as_deref()), ("http", Some(value)));
    }
}

#[tokio::test]
async fn symmetry_wants_every_parameter() {
    let options = ForwardedHeadersOptions { require_header_symmetry: true, ..forwarded(None) };
    let mut probe = Probe::forwarded(PEER, &options).await;
    for (value, scheme) in [
        ("for=1.1.1.1;proto=h1;host=b", "h1"),
        ("for=1.1.1.1;proto=h1", "http"),
        ("for=1.1.1.1;host=b", "http"),
        ("proto=h1;host=b", "http"),
        ("proto=h2, for=1.1.1.1;proto=h1;host=b", "http"),
    ] {
        assert_eq!(probe.get(&[("Forwarded", value)]).await.scheme, scheme, "{value}");
    }
}

#[tokio::test]
async fn the_two_kinds_of_fields_are_never_mixed() {
    let (new, old) = (("Forwarded", "for=1.1.1.1"), ("X-Forwarded-For", "2.2.2.2"));
    for (source, fields, remote) in [
        (ForwardedSource::XForwarded, &[new][..], PEER),
        (ForwardedSource::XForwarded, &[new, old], "2.2.2.2:0"),
        (ForwardedSource::Forwarded, &[old], PEER),
        (ForwardedSource::Forwarded, &[new, old], "1.1.1.1:0"),
        (ForwardedSource::Either, &[new], "1.1.1.1:0"),
        (ForwardedSource::Either, &[old], "2.2.2.2:0"),
        (ForwardedSource::Either, &[new, old], PEER),
    ] {
        let options = ForwardedHeadersOptions { source, ..everyone(ForwardedFields::FOR) };
        let seen = Probe::forwarded(PEER, &options).await.get(fields).await;
        assert_eq!(seen.remote.unwrap(), parse_peer(remote), "{source:?} {fields:?}");
    }
    let options = ForwardedHeadersOptions { fields: ForwardedFields::ALL, ..forwarded(None) };
    assert!(ForwardedHeadersLayer::new(&options).unwrap_err().to_string().contains("PREFIX"));
}
