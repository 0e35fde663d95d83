//! The page in a browser.

use std::time::Duration;

use hosting::RunningHost;

use super::{ON, app, builder, client};
use crate::program::{Folder, command, output_with_input};
use crate::support::{Client, socket_address, within};

/// Chromium starts a dozen processes before it looks at an address.
const LIMIT: Duration = Duration::from_secs(60);

/// It asks nobody else for anything, may be run by root, and gives the page's script so much of a time that passes while it
/// waits for nothing that there are answers of more than half a second.
const ALWAYS: [&str; 12] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--window-size=1280,1600",
    "--virtual-time-budget=150000",
];

/// The page as the browser has understood it, and a picture of it.
async fn page(url: &str) -> (String, Vec<u8>) {
    let folder = Folder::new();
    let picture = folder.path().join("page.png");
    let profile = format!("--user-data-dir={}", folder.path().join("profile").display());
    let screenshot = format!("--screenshot={}", picture.display());
    let mut browser = command("chromium");
    browser.env("HOME", folder.path()).args(ALWAYS).args([&profile, &screenshot, "--dump-dom", url]);
    let output = within(LIMIT, output_with_input("chromium", &mut browser, "")).await;
    let page = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!page.is_empty(), "{} {}", output.status, String::from_utf8_lossy(&output.stderr));
    (page, std::fs::read(&picture).unwrap_or_default())
}

fn url(host: &RunningHost) -> String {
    format!("http://localhost:{}/_diagnostics", socket_address(&host.addresses()[0]).port())
}

/// Names that would be markup if somebody took them for it.
const HOSTILE: &str = "<img src=x onerror=document.title=1>";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_shows_the_numbers_and_runs_nothing_but_the_page() {
    let endpoint = format!("Kestrel:Endpoints:{HOSTILE}:Url");
    let own = format!("Own:{HOSTILE}");
    let values = [ON, (endpoint.as_str(), "http://127.0.0.1:0"), (own.as_str(), "hunter2")];
    let host = builder(&values).build(app).unwrap().start().await.unwrap();
    let mut one = client(&host).await;
    for _ in 0..3 {
        one.get("/a").await;
    }
    one.get("/fails").await;
    let mut waits = Client::tcp(socket_address(&host.addresses()[0])).await;
    waits
        .send("G&T`' /waits/'%3Cscript%3Ealert(1)%3C/script%3E&amp;?secret=1 HTTP/1.1\r\nHost: a\r\n\r\n")
        .await;
    let (page, picture) = page(&url(&host)).await;
    for (id, number) in [("requests", "4"), ("failed", "1"), ("aborted", "0"), ("under-way", "1")] {
        assert!(page.contains(&format!("id=\"total-{id}\">{number}</dd>")), "{id}: {page}");
    }
    // Two connections of this test, and those of the browser.
    let accepted = page.split("id=\"total-connections\">").nth(1).unwrap().split('<').next().unwrap();
    assert!(accepted.parse::<u64>().unwrap() >= 3, "{accepted}");
    assert!(page.contains("role=\"status\" class=\"\">as of "), "{page}");
    // The lines of the plots are there.
    assert!(page.matches("class=\"line one\"").count() >= 3, "{page}");
    assert!(page.contains("MaxConcurrentConnections") && page.contains("/waits/'%3Cscript%3E"), "{page}");

    // Names are text.
    assert!(page.contains("&lt;img src=x onerror=document.title=1&gt;"), "{page}");
    assert!(!page.contains("<img") && page.contains("<title>Diagnostics</title>"), "{page}");
    assert!(page.contains("G&amp;T`'"), "{page}");
    assert_eq!(page.matches("<script").count(), 1, "{page}");
    assert!(!page.contains("hunter2") && !page.contains("secret=1"));
    assert!(picture.starts_with(b"\x89PNG"), "there is a picture of {} bytes", picture.len());
}
