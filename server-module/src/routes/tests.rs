use proptest::prelude::*;

use super::*;

fn route(application: usize, hosts: &[&str], prefix: &str) -> Route {
    let hosts = hosts.iter().map(|host| host.parse().unwrap()).collect();
    Route { application, hosts, path_prefix: prefix.parse().unwrap() }
}

fn found(routes: &Routes, host: &str, path: &str) -> Option<usize> {
    routes.find(host, path).map(|found| found.application)
}

#[test]
fn the_most_particular_host_goes_before_the_longest_path() {
    let routes = Routes::new([
        route(0, &["*.example"], "/"),
        route(1, &["*.shop.example"], "/"),
        route(2, &["shop.example", "[::1]", "127.0.0.1"], "/"),
        route(3, &["shop.example"], "/API/v1"),
        route(4, &["*"], "/api"),
        route(5, &["only.test"], "/café"),
    ])
    .unwrap();
    let cases = [
        ("shop.example", "/", Some(2)),
        ("SHOP.example:8443", "/x", Some(2)),
        ("shop.example", "/api", Some(2)),
        ("shop.example", "/api/v1", Some(3)),
        ("shop.example", "/Api/V1/items", Some(3)),
        ("shop.example", "/api/v10", Some(2)),
        ("shop.example", "/x/../api/./v1", Some(3)),
        ("shop.example", "/%61pi/v1", Some(3)),
        ("shop.example", "/api%2Fv1", Some(2)),
        ("shop.example", "*", Some(2)),
        ("a.shop.example", "/api", Some(1)),
        ("a.b.shop.example", "/", Some(1)),
        ("xshop.example", "/", Some(0)),
        (".shop.example", "/", Some(0)),
        (".example", "/", None),
        ("example", "/", None),
        ("[::1]:5000", "/", Some(2)),
        ("[::1]", "/", Some(2)),
        ("[::1", "/", None),
        ("127.0.0.1:80", "/", Some(2)),
        ("other", "/api", Some(4)),
        ("other", "/api/", Some(4)),
        ("other", "/apis", None),
        ("other", "*", None),
        ("", "/api", Some(4)),
        ("", "", None),
        ("only.test", "/api", Some(4)),
        ("only.test", "/caf%C3%A9/x", Some(5)),
        ("only.test", "/caf", None),
    ];
    for (host, path, expected) in cases {
        assert_eq!(found(&routes, host, path), expected, "{host}{path}");
    }
    assert_eq!(routes.find("shop.example", "/api/v1").unwrap().path_base.as_str(), "/API/v1");
}

#[test]
fn two_applications_cannot_have_the_same_host_and_path() {
    let conflict = Routes::new([route(7, &["a", "b"], "/x"), route(8, &["B", "c"], "/X/")]).unwrap_err();
    assert_eq!(conflict.to_string(), "the applications 7 and 8 have the host b with the path /X in common");
    assert!(Routes::new([route(7, &[], "/"), route(8, &["*"], "/")]).is_err());
    assert!(Routes::new([route(7, &["a", "A"], "/"), route(8, &["*.a"], "/")]).is_ok());
}

#[test]
fn hosts_and_paths_that_cannot_be_are_told_why() {
    let hosts = [
        ("", "is empty"),
        ("*.", "is empty"),
        ("shop.example:80", "has a port"),
        ("http://shop", "is a url"),
        ("a*.example", "a * stands"),
        ("*.*.example", "a * stands"),
        ("a..b", "no name"),
        ("a.", "no name"),
        ("a b", "no name"),
        ("a/b", "no name"),
        ("bücher.example", "xn--"),
        ("[::1]:80", "no port"),
        ("[x]", "no address"),
    ];
    for (host, reason) in hosts {
        let error = host.parse::<HostPattern>().unwrap_err().to_string();
        assert!(error.contains(reason), "{host}: {error}");
    }
    for host in ["*", "*.shop.example", "shop.example", "my_host", "[::1]", "10.0.0.1"] {
        assert_eq!(host.parse::<HostPattern>().unwrap().to_string(), host);
    }
    assert_eq!("[0:0::1]".parse::<HostPattern>().unwrap().to_string(), "[::1]");
    for prefix in ["", "shop", "//", "/a//b", "/.", "/a/..", "/a%20b", "/a?b", "/a#b", r"/a\b", "/a\n"] {
        assert!(prefix.parse::<PathPrefix>().is_err(), "{prefix}");
    }
    for (prefix, shown) in [("/", "/"), ("/a/", "/a"), ("/a/b", "/a/b"), ("/a b", "/a b")] {
        assert_eq!(prefix.parse::<PathPrefix>().unwrap().to_string(), shown);
    }
}

/// The rank of a route for a request by its definition, none if it does not fit.
fn rank(pattern: &str, prefix: &str, host: &str, path: &str) -> Option<(usize, usize, usize)> {
    let (pattern, host) = (pattern.to_lowercase(), host.to_lowercase());
    let host = match pattern.strip_prefix('*') {
        Some("") => (0, 0),
        Some(end) if host.len() > end.len() && host.ends_with(end) => (1, end.len()),
        None if pattern == host => (2, 0),
        _ => return None,
    };
    let segments = |path: &str| {
        path.to_lowercase()
            .split('/')
            .filter(|segment| !segment.is_empty())
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let (prefix, path) = (segments(prefix), segments(path));
    path.starts_with(&prefix).then(|| (host.0, host.1, prefix.iter().map(|segment| segment.len() + 1).sum()))
}

fn path() -> impl Strategy<Value = String> {
    proptest::collection::vec(prop_oneof!["[ab]{1,2}", "[AB]"], 0..4)
        .prop_map(|segments| format!("/{}", segments.join("/")))
}

fn host() -> impl Strategy<Value = String> {
    proptest::collection::vec(prop_oneof!["[ab]{1,2}", "[AB]"], 1..4).prop_map(|parts| parts.join("."))
}

fn pattern() -> impl Strategy<Value = String> {
    prop_oneof![
        1 => Just("*".to_owned()),
        2 => host().prop_map(|host| format!("*.{host}")),
        2 => host(),
    ]
}

proptest! {
    /// Whatever the routes are, the one that is found is the one that the definition ranks highest.
    #[test]
    fn the_route_that_is_found_is_the_best_one(
        routes in proptest::collection::vec((proptest::collection::vec(pattern(), 1..4), path()), 0..12),
        requests in proptest::collection::vec((host(), path()), 1..20),
    ) {
        let mut made = Vec::new();
        for (application, (hosts, prefix)) in routes.iter().enumerate() {
            let hosts: Vec<_> = hosts.iter().map(String::as_str).collect();
            let more = route(application, &hosts, prefix);
            // Those in conflict are left out.
            let with_it = made.iter().cloned().chain([more.clone()]).collect::<Vec<_>>();
            if Routes::new(with_it).is_ok() {
                made.push(more);
            }
        }
        let all = Routes::new(made.clone()).unwrap();
        for (host, path) in &requests {
            let best = made.iter().flat_map(|route| {
                route.hosts.iter().filter_map(|pattern| {
                    let rank = rank(&pattern.to_string(), route.path_prefix.as_str(), host, path)?;
                    Some((rank, route.application))
                })
            });
            let expected = best.max_by_key(|(rank, _)| *rank).map(|(_, application)| application);
            prop_assert_eq!(found(&all, host, path), expected, "{} {}", host, path);
            // The order in which routes are given says nothing.
            let reversed = Routes::new(made.iter().rev().cloned()).unwrap();
            prop_assert_eq!(found(&reversed, host, path), expected);
        }
    }

    /// No request, however odd, is anything but found or not found.
    #[test]
    fn odd_hosts_and_paths_are_only_not_found(host in ".{0,20}", path in ".{0,20}") {
        let routes = Routes::new([route(0, &["a.b", "*.c"], "/x"), route(1, &["[::1]"], "/é")]).unwrap();
        let _ = found(&routes, &host, &path);
    }
}
