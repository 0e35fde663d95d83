use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::*;

/// A folder of its own, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("monitor-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Greeter {
    times: u32,
}

#[test]
fn followers_are_told_what_concerns_them() {
    let folder = Folder::new("followers");
    let file = folder.write("a.json", r#"{ "A": { "Times": 1 }, "B": 1 }"#);
    let monitor = ConfigurationMonitor::new(Configuration::builder().json_file(&file, false)).unwrap();
    let (mut all, mut a) = (monitor.changes(), monitor.section("a"));
    let mut options = monitor.options::<Greeter>("A").unwrap();
    let told =
        |all: &mut watch::Receiver<_>, a: &mut watch::Receiver<_>, options: &mut watch::Receiver<_>| {
            let told = (all.has_changed().unwrap(), a.has_changed().unwrap(), options.has_changed().unwrap());
            all.mark_unchanged();
            a.mark_unchanged();
            options.mark_unchanged();
            told
        };
    // The same values on other lines.
    folder.write("a.json", "{ \"A\": {\n\n\"times\": 1 },\n \"b\": \"1\" }");
    monitor.reload().unwrap();
    assert_eq!(told(&mut all, &mut a, &mut options), (false, false, false));
    folder.write("a.json", r#"{ "A": { "Times": 1 }, "B": 2 }"#);
    monitor.reload().unwrap();
    assert_eq!(told(&mut all, &mut a, &mut options), (true, false, false));
    folder.write("a.json", r#"{ "A": { "Times": 3 }, "B": 2 }"#);
    monitor.reload().unwrap();
    assert_eq!(told(&mut all, &mut a, &mut options), (true, true, true));
    assert_eq!((a.borrow().get("Times"), options.borrow().times), (Some("3"), 3));
    // What does not fit is seen by those who read texts.
    folder.write("a.json", r#"{ "A": { "Times": "many" } }"#);
    monitor.reload().unwrap();
    assert_eq!(told(&mut all, &mut a, &mut options), (true, true, false));
    assert_eq!(options.borrow().times, 3);
    // What cannot be read is seen by nobody.
    folder.write("a.json", "{");
    let error = monitor.reload().unwrap_err().to_string();
    assert!(error.contains("a.json: line 1"), "{error}");
    assert_eq!(told(&mut all, &mut a, &mut options), (false, false, false));
    assert_eq!(monitor.current().get("A:Times"), Some("many"));
}

#[test]
fn a_follower_that_is_gone_is_forgotten() {
    let monitor = ConfigurationMonitor::new(Configuration::builder()).unwrap();
    drop(monitor.section("A"));
    let kept = monitor.section("B");
    monitor.reload().unwrap();
    assert_eq!(monitor.followers().len(), 1);
    drop(kept);
}

async fn next<T: Clone>(receiver: &mut watch::Receiver<T>) -> T {
    let changed = tokio::time::timeout(Duration::from_secs(15), receiver.changed());
    changed.await.expect("a change is seen").unwrap();
    receiver.borrow_and_update().clone()
}

#[cfg(unix)]
#[tokio::test]
async fn files_are_read_again_when_written_renamed_linked_and_made() {
    let folder = Folder::new("files");
    for version in ["one", "two"] {
        std::fs::create_dir(folder.0.join(version)).unwrap();
        folder.write(&format!("{version}/link.json"), &format!(r#"{{ "Linked": "{version}" }}"#));
    }
    // As Kubernetes mounts secrets: a file behind a link to a folder that is replaced as a whole.
    std::os::unix::fs::symlink("one", folder.0.join("data")).unwrap();
    let written = folder.write("written.json", r#"{ "Written": 1 }"#);
    let layers = Configuration::builder()
        .json_file(&written, false)
        .json_file(folder.0.join("data/link.json"), false)
        .json_file(folder.0.join("optional.json"), true);
    let monitor = ConfigurationMonitor::new(layers).unwrap();
    let mut changes = monitor.changes();
    let watching = monitor.clone();
    let watching = tokio::spawn(async move { watching.watch_files().await });

    folder.write("written.json", r#"{ "Written": 2 }"#);
    assert_eq!(next(&mut changes).await.get("Written"), Some("2"));
    let new = folder.write("new.json", r#"{ "Written": 3 }"#);
    std::fs::rename(new, &written).unwrap();
    assert_eq!(next(&mut changes).await.get("Written"), Some("3"));
    std::os::unix::fs::symlink("two", folder.0.join("data.new")).unwrap();
    std::fs::rename(folder.0.join("data.new"), folder.0.join("data")).unwrap();
    assert_eq!(next(&mut changes).await.get("Linked"), Some("two"));
    folder.write("optional.json", r#"{ "Optional": true }"#);
    assert_eq!(next(&mut changes).await.get("Optional"), Some("true"));
    // A file that is gone may be about to come again.
    std::fs::remove_file(folder.0.join("optional.json")).unwrap();
    let error = monitor.reload().unwrap_err().to_string();
    assert!(error.contains("optional.json is gone"), "{error}");
    assert_eq!(monitor.current().get("Optional"), Some("true"));
    folder.write("optional.json", r#"{ "Optional": false }"#);
    assert_eq!(next(&mut changes).await.get("Optional"), Some("false"));
    watching.abort();
}
