//! The path base: which requests lie below it, and what is left of their path.

use server_abstractions::App;
use server_proxy_integration::PathBaseLayer;
use tower_layer::Layer;

use super::Probe;

#[tokio::test]
async fn a_prefix_goes_from_the_path_to_the_path_base() {
    for (base, target, expected) in [
        ("/base", "/base/x?q", ("/base", "/x", "/x?q")),
        ("/base/", "/base/x", ("/base", "/x", "/x")),
        ("/pathbase", "/PathBase/Path", ("/PathBase", "/Path", "/Path")),
        ("/base", "/base", ("/base", "/", "/")),
        ("/base", "/base/", ("/base", "/", "/")),
        ("/base", "/basement", ("", "/basement", "/basement")),
        ("/base", "/", ("", "/", "/")),
        ("/base", "/%62ase/a%2Fb", ("/base", "/a%2Fb", "/a%2Fb")),
        ("/base", "/x/../base/y", ("/base", "/y", "/y")),
        ("/base/two", "/base/two/x", ("/base/two", "/x", "/x")),
        ("/", "/x", ("", "/x", "/x")),
        ("", "/x", ("", "/x", "/x")),
    ] {
        let layer = PathBaseLayer::new(base).unwrap();
        let mut probe = Probe::start("", |app| App::new(layer.layer(app))).await;
        assert_eq!(probe.send(&format!("GET {target}"), &[("Host", "a")]).await.status, 200);
        let seen = probe.take().unwrap();
        assert_eq!((&*seen.path_base, &*seen.path, &*seen.uri.to_string()), expected, "{base} {target}");
        assert_eq!(seen.raw_target, target);
    }
}

#[tokio::test]
async fn path_bases_and_maps_add_up() {
    let layer = PathBaseLayer::new("/a").unwrap();
    let mut probe = Probe::start("", |app| {
        let app = hosting::ApplicationBuilder::new().map("/b", app).build_not_found();
        App::new(layer.layer(app))
    })
    .await;
    assert_eq!(probe.send("GET /a/B/c", &[("Host", "a")]).await.status, 200);
    let seen = probe.take().unwrap();
    assert_eq!((&*seen.path_base, &*seen.path, &*seen.raw_target), ("/a/B", "/c", "/a/B/c"));
}

#[test]
fn a_path_base_that_is_no_path_is_refused() {
    let error = PathBaseLayer::new("base").unwrap_err().to_string();
    assert!(error.contains("\"base\"") && error.contains("begin with /"), "{error}");
}
