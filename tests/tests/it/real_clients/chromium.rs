//! Chromium, with and without trust in the development certificate.

use std::time::Duration;

use super::Launch;
use crate::cargo_host::User;
use crate::program::{Program, command, free_port, output_with_input};
use crate::support::within;

/// Chromium starts a dozen processes before it looks at an address.
const LIMIT: Duration = Duration::from_secs(60);

/// It asks nobody else for anything, and may be run by root.
const ALWAYS: [&str; 9] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
];

/// The sample with the development certificate of a user.
async fn features(user: &User) -> (Program, String) {
    let url = format!("https://localhost:{}", free_port());
    let launch = Launch::of("features").env("ASPNETCORE_ENVIRONMENT", "Development");
    let launch = launch.env("HOME", user.home.path()).env("XDG_DATA_HOME", "");
    (launch.args(["--urls", &url]).start().await, url + "/")
}

/// The page that a user sees, as the browser has understood it, and what the browser says of it: one that it does not load it
/// shows now and then, and always tells why.
async fn visit(user: &User, url: &str) -> (String, String) {
    let profile = format!("--user-data-dir={}", user.home.path().join("profile").display());
    let mut browser = command("chromium");
    browser.env("HOME", user.home.path()).args(ALWAYS).args([&profile, "--dump-dom", url]);
    let output = within(LIMIT, output_with_input("chromium", &mut browser, "")).await;
    let [page, said] = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    (page, said)
}

const SHOWN: &str = "You came by HTTP/2 over https";

#[tokio::test]
async fn a_trusted_development_certificate_shows_the_page_over_http2() {
    let user = User::new();
    user.browser(".pki/nssdb").await;
    // 4: the system does not trust it, which has nothing to do with the browser.
    let text = user.ends_with(4, "--trust").await;
    assert!(text.contains("trusted by Chromium"), "{text}");
    let (_program, url) = features(&user).await;
    let (page, said) = visit(&user, &url).await;
    assert!(page.contains(SHOWN), "{page} {said}");
}

#[tokio::test]
async fn one_that_is_not_trusted_shows_an_error_instead() {
    let user = User::new();
    user.browser(".pki/nssdb").await;
    user.ends_with(0, "").await;
    let (_program, url) = features(&user).await;
    let (page, said) = visit(&user, &url).await;
    assert!((page.clone() + &said).contains("ERR_CERT_AUTHORITY_INVALID"), "{page} {said}");
    assert!(!page.contains(SHOWN), "{page}");
}
