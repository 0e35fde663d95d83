//! `X-Forwarded-For`, `-Proto` and `-Prefix`: the tables of the original's own tests.

use server_abstractions::App;
use server_proxy_integration::{ForwardedFields, ForwardedHeadersLayer, ForwardedHeadersOptions};
use tower_layer::Layer;

use super::{Probe, parse_peer};

const A: &str = "11.111.111.11:12345";
const B: &str = "12.112.112.12:23456";
const C: &str = "13.113.113.13:34567";
const BAD: &str = "12.112.112.12.23456";
const PEER: &str = "10.0.0.1:99";

/// Options that believe everyone.
pub(super) fn everyone(fields: ForwardedFields) -> ForwardedHeadersOptions {
    ForwardedHeadersOptions {
        fields,
        known_proxies: Vec::new(),
        known_networks: Vec::new(),
        ..ForwardedHeadersOptions::default()
    }
}

fn known(fields: ForwardedFields, proxies: &[&str]) -> ForwardedHeadersOptions {
    let known_proxies = proxies.iter().map(|proxy| parse_peer(proxy).ip()).collect();
    ForwardedHeadersOptions { known_proxies, ..everyone(fields) }
}

#[tokio::test]
async fn by_default_loopback_is_believed_and_nothing_is_taken() {
    let defaults = ForwardedHeadersOptions::default();
    assert_eq!((defaults.fields, defaults.forward_limit), (ForwardedFields::NONE, Some(1)));
    assert_eq!((defaults.known_proxies.len(), defaults.known_networks.len()), (1, 1));
    let all = [
        ("X-Forwarded-For", A),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "b"),
        ("X-Forwarded-Prefix", "/p"),
    ];
    let mut probe = Probe::forwarded("::1", &defaults).await;
    let seen = probe.get(&all).await;
    assert_eq!((seen.remote.unwrap(), &*seen.scheme), (parse_peer("::1"), "http"));
    assert_eq!((seen.header("host").as_deref(), &*seen.path_base), (Some("a"), ""));
    assert_eq!(seen.header("x-forwarded-for").as_deref(), Some(A));

    let options = ForwardedHeadersOptions { fields: ForwardedFields::FOR, ..defaults };
    for (peer, is_believed) in [
        ("11.111.111.11", false),
        ("127.0.0.1", true),
        ("127.0.1.1", true),
        ("::1", true),
        ("::", false),
        ("::ffff:127.0.0.1", true),
        ("", false),
    ] {
        let mut probe = Probe::forwarded(peer, &options).await;
        let seen = probe.get(&[("X-Forwarded-For", "11.111.111.11:9090")]).await;
        let (remote, left, original) =
            (seen.remote, seen.header("x-forwarded-for"), seen.header("x-original-for"));
        if is_believed {
            assert_eq!(remote.unwrap(), parse_peer("11.111.111.11:9090"));
            assert_eq!((left, original), (None, Some(parse_peer(peer).to_string())), "{peer}");
        } else {
            assert_eq!(remote, (!peer.is_empty()).then(|| parse_peer(peer)));
            assert_eq!((left.as_deref(), original), (Some("11.111.111.11:9090"), None), "{peer}");
        }
    }
}

#[tokio::test]
async fn as_many_entries_are_taken_as_the_limit_says() {
    for symmetry in [false, true] {
        for (limit, header, remote, left) in [
            (Some(0), A.to_owned(), PEER, Some(A.to_owned())),
            (Some(1), A.to_owned(), A, None),
            (Some(10), A.to_owned(), A, None),
            (Some(1), format!("{B}, {A}"), A, Some(B.to_owned())),
            (Some(2), format!("{B}, {A}"), B, None),
            (Some(10), format!("{B}, {A}"), B, None),
            (None, format!("{B}, {A}"), B, None),
            (Some(2), format!("{C}, {B}, {A}"), B, Some(C.to_owned())),
            (Some(3), format!("{C}, {B}, {A}"), C, None),
            (Some(10), format!("{C}, {B}, {A}"), C, None),
            (Some(10), format!("{BAD}, {A}"), A, Some(BAD.to_owned())),
            (Some(10), format!("{C}, {BAD}, {A}"), A, Some(format!("{C}, {BAD}"))),
            (Some(10), format!(" ,{C},,{B} , \"{A}\" ,"), C, None),
        ] {
            let options = ForwardedHeadersOptions {
                forward_limit: limit,
                require_header_symmetry: symmetry,
                ..everyone(ForwardedFields::FOR)
            };
            let seen = Probe::forwarded(PEER, &options).await.get(&[("X-Forwarded-For", &header)]).await;
            assert_eq!(seen.remote.unwrap(), parse_peer(remote), "{limit:?} {header}");
            assert_eq!(seen.header("x-forwarded-for"), left, "{limit:?} {header}");
            let original = (remote != PEER).then_some(PEER);
            assert_eq!(seen.header("x-original-for").as_deref(), original, "{limit:?} {header}");
        }
    }
}

#[tokio::test]
async fn an_entry_counts_if_the_one_who_wrote_it_is_known() {
    for (limit, header, proxies, remote) in [
        (1, A.to_owned(), &["20.0.0.1"][..], PEER),
        (1, String::new(), &[PEER], PEER),
        (1, A.to_owned(), &[PEER], A),
        (2, format!("{B}, {A}"), &[PEER, A], B),
        (2, format!("{B}, {A}"), &[PEER], A),
        (3, format!("{C}, {B}, {A}"), &[PEER, A, B], C),
        (3, format!("{C}, {B}, {A}"), &[PEER, A], B),
        (3, format!("{C}, 12.112.112.12;23456, {A}"), &[PEER, A, B], A),
        (3, format!("13.113.113.13;34567, {B}, {A}"), &[PEER, A, B], B),
    ] {
        let options =
            ForwardedHeadersOptions { forward_limit: Some(limit), ..known(ForwardedFields::FOR, proxies) };
        let seen = Probe::forwarded(PEER, &options).await.get(&[("X-Forwarded-For", &header)]).await;
        assert_eq!(seen.remote.unwrap(), parse_peer(remote), "{header}");
    }
}

#[tokio::test]
async fn several_fields_are_one_list() {
    let options = ForwardedHeadersOptions { forward_limit: Some(2), ..everyone(ForwardedFields::FOR) };
    let lines = [
        ("X-Forwarded-For", "1.1.1.1, 2.2.2.2"),
        ("X-Forwarded-For", "3.3.3.3"),
        ("X-Forwarded-For", "4.4.4.4"),
    ];
    let seen = Probe::forwarded(PEER, &options).await.get(&lines).await;
    assert_eq!(seen.remote.unwrap().to_string(), "3.3.3.3:0");
    assert_eq!(seen.header("x-forwarded-for").as_deref(), Some("1.1.1.1, 2.2.2.2"));
}

#[tokio::test]
async fn schemes_are_taken_by_their_grammar() {
    for (limit, header, scheme) in [
        (0, "h1", "http"),
        (1, "", "http"),
        (1, "h1", "h1"),
        (1, "h2,h1", "h1"),
        (2, "h2,h1", "h2"),
        (10, "h3,h2,h1", "h3"),
        (5, "h2,h1", "h2"),
        (1, "HTTPS", "https"),
    ] {
        let options =
            ForwardedHeadersOptions { forward_limit: Some(limit), ..everyone(ForwardedFields::PROTO) };
        let seen = Probe::forwarded(PEER, &options).await.get(&[("X-Forwarded-Proto", header)]).await;
        assert_eq!(seen.scheme, scheme, "{header}");
        assert_eq!(
            seen.header("x-original-proto").as_deref(),
            (scheme != "http").then_some("http"),
            "{header}"
        );
    }
    let mut probe = Probe::forwarded(PEER, &everyone(ForwardedFields::PROTO)).await;
    for good in ["z", "Z", "1", "y+", "1-", "a."] {
        assert_eq!(probe.get(&[("X-Forwarded-Proto", good)]).await.scheme, good);
    }
    for bad in
        "!\"#$%&'()*/:;<=>?@[\\]^_`{}|~".chars().map(String::from).chain(["a b".to_owned(), "h".repeat(65)])
    {
        let seen = probe.get(&[("X-Forwarded-Proto", &bad)]).await;
        assert_eq!((&*seen.scheme, seen.header("x-forwarded-proto")), ("http", Some(bad.clone())), "{bad}");
    }
}

#[tokio::test]
async fn symmetry_takes_all_or_nothing() {
    const BOTH: ForwardedFields = ForwardedFields::ALL;
    let fields = ForwardedFields::FOR | ForwardedFields::PROTO;
    for (symmetry, limit, proto, node, scheme) in [
        (true, 0, "h2, h1", "::1, ::1", "http"),
        (true, 3, "h2, h1", "::1", "http"),
        (true, 5, "h2, h1", "::1, ::1", "h2"),
        (true, 10, "h3, h2, h1", "::1, badip, ::1", "h1"),
        (true, 10, "h3, h2, h1", "::1, ::1, ::1", "h3"),
        (true, 5, "h2, %, h1", "::1, ::1, ::1", "http"),
        (false, 1, "h1", "", "h1"),
        (false, 3, "h1", "::1, ::1", "h1"),
        (false, 3, "h2, h1", "::1", "h2"),
        (false, 10, "h3, h2, h1", "::1, badip, ::1", "h1"),
        (false, 5, "h2, %, h1", "::1, ::1, ::1", "h2"),
    ] {
        let options = ForwardedHeadersOptions {
            forward_limit: Some(limit),
            require_header_symmetry: symmetry,
            ..everyone(fields)
        };
        let headers = [("X-Forwarded-Proto", proto), ("X-Forwarded-For", node)];
        let seen = Probe::forwarded("::1", &options).await.get(&headers).await;
        assert_eq!(seen.scheme, scheme, "{symmetry} {limit} {proto} / {node}");
    }
    let options = ForwardedHeadersOptions { require_header_symmetry: true, ..everyone(BOTH) };
    let seen = Probe::forwarded("::1", &options)
        .await
        .get(&[("X-Forwarded-Prefix", "/p"), ("X-Forwarded-For", A)])
        .await;
    assert_eq!((&*seen.path_base, seen.remote.unwrap()), ("", parse_peer("::1")));
}

#[tokio::test]
async fn loopback_is_followed_through_the_chain() {
    for (proto, node, peer, scheme) in
        [("h1", "F::", "::1", "h1"), ("h1", "E::", "F::", "http"), ("h2, h1", "F::, D::", "::1", "h1")]
    {
        let options = ForwardedHeadersOptions {
            fields: ForwardedFields::FOR | ForwardedFields::PROTO,
            forward_limit: Some(5),
            require_header_symmetry: true,
            ..ForwardedHeadersOptions::default()
        };
        let headers = [("X-Forwarded-Proto", proto), ("X-Forwarded-For", node)];
        let seen = Probe::forwarded(peer, &options).await.get(&headers).await;
        assert_eq!(seen.scheme, scheme, "{proto} {node} {peer}");
    }
}

#[tokio::test]
async fn a_list_of_addresses_is_shortened_with_the_others_even_without_an_address_of_its_own() {
    let options = ForwardedHeadersOptions {
        forward_limit: Some(2),
        ..everyone(ForwardedFields::FOR | ForwardedFields::PROTO)
    };
    let mut probe = Probe::forwarded(PEER, &options).await;
    let seen = probe.get(&[("X-Forwarded-Proto", "h1")]).await;
    assert_eq!((seen.remote.unwrap(), &*seen.scheme), (parse_peer(PEER), "h1"));
    assert_eq!(seen.header("x-original-for").as_deref(), Some(PEER));
}

#[tokio::test]
async fn ipv4_in_ipv6_is_ipv4() {
    let mut options = ForwardedHeadersOptions {
        fields: ForwardedFields::FOR,
        forward_limit: None,
        ..ForwardedHeadersOptions::default()
    };
    let seen = Probe::forwarded("::1", &options)
        .await
        .get(&[("X-Forwarded-For", "22.33.44.55,::ffff:127.0.0.1")])
        .await;
    assert_eq!(seen.remote.unwrap().to_string(), "22.33.44.55:0");
    for written in ["172.123.142.121", "::ffff:172.123.142.121"] {
        options.known_proxies = vec![written.parse().unwrap()];
        for peer in ["172.123.142.121", "::ffff:172.123.142.121"] {
            let seen =
                Probe::forwarded(peer, &options).await.get(&[("X-Forwarded-For", "22.33.44.55")]).await;
            assert_eq!(seen.remote.unwrap().to_string(), "22.33.44.55:0", "{written} {peer}");
        }
    }
    options.known_networks =
        ["172.0.0.0/8", "2a02:26f0:2d:183::1/64"].map(|network| network.parse().unwrap()).to_vec();
    let chain = "2a02:26f0:2d:184::7, 2a02:26f0:2d:183::12, ::ffff:172.10.1.2, 172.1.2.3";
    let seen = Probe::forwarded("::ffff:172.9.9.9", &options).await.get(&[("X-Forwarded-For", chain)]).await;
    assert_eq!(seen.remote.unwrap().to_string(), "[2a02:26f0:2d:184::7]:0");
}

#[tokio::test]
async fn two_layers_take_twice_as_many_entries() {
    let layer = ForwardedHeadersLayer::new(&everyone(ForwardedFields::FOR | ForwardedFields::PROTO)).unwrap();
    let mut probe = Probe::start(PEER, |app| App::new(layer.layer(layer.layer(app)))).await;
    let headers = [("X-Forwarded-For", "1.1.1.1, 2.2.2.2, 3.3.3.3"), ("X-Forwarded-Proto", "h3, h2, h1")];
    let seen = probe.get(&headers).await;
    assert_eq!((seen.remote.unwrap().to_string(), &*seen.scheme), ("2.2.2.2:0".to_owned(), "h2"));
    assert_eq!(seen.header("x-forwarded-for").as_deref(), Some("1.1.1.1"));
    assert_eq!(seen.header("x-original-for").as_deref(), Some("3.3.3.3:0"));
}

#[tokio::test]
async fn prefixes_are_decoded_and_replace_the_path_base() {
    let mut probe = Probe::forwarded(PEER, &everyone(ForwardedFields::PREFIX)).await;
    // A path base has no slash at its end here.
    for (prefix, base) in [
        ("/foo", "/foo"),
        ("/foo/", "/foo"),
        ("/foo/bar", "/foo/bar"),
        ("/foo%20bar", "/foo bar"),
        ("/foo?bar?", "/foo?bar?"),
        ("/foo%2F", "/foo%2F"),
        ("/", ""),
    ] {
        let seen = probe.get(&[("X-Forwarded-Prefix", prefix)]).await;
        assert_eq!((&*seen.path_base, &*seen.path, &*seen.raw_target), (base, "/", "/"), "{prefix}");
        assert_eq!((seen.header("x-forwarded-prefix"), seen.header("x-original-prefix")), (None, None));
    }
    for prefix in ["invalid", "%2Finvalid", ""] {
        let seen = probe.get(&[("X-Forwarded-Prefix", prefix)]).await;
        assert_eq!((&*seen.path_base, seen.header("x-forwarded-prefix").as_deref()), ("", Some(prefix)));
    }
    let seen = probe.get(&[("X-Forwarded-Prefix", "/p1, /p2")]).await;
    assert_eq!((&*seen.path_base, seen.header("x-forwarded-prefix").as_deref()), ("/p2", Some("/p1")));

    let base = server_proxy_integration::PathBaseLayer::new("/a b").unwrap();
    let layer = ForwardedHeadersLayer::new(&everyone(ForwardedFields::PREFIX)).unwrap();
    let mut probe = Probe::start(PEER, |app| App::new(base.layer(layer.layer(app)))).await;
    let response = probe.send("GET /a%20b/c?d", &[("Host", "a"), ("X-Forwarded-Prefix", "/p")]).await;
    assert_eq!(response.status, 200);
    let seen = probe.take().unwrap();
    assert_eq!((&*seen.path_base, &*seen.path, &*seen.raw_target), ("/p", "/c", "/a%20b/c?d"));
    assert_eq!(seen.header("x-original-prefix").as_deref(), Some("/a%20b"));
}
