//! Files: rotation, retention, restarts, what others do to them, and disks that are full.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use hosting::{
    AccessLog, AccessLogField as Field, AccessLogFiles, AccessLogLayer, AccessLogOptions, AccessLogOutput,
};
use hosting::{App, ApplicationBuilder, Request};
use http::Method;
use serde_json::json;

use crate::program::{Folder, Launch, Program, curl, output_of};
use crate::support::{Client, hello, soon};

/// A log in a folder, and an app with it.
struct Filed {
    folder: Folder,
    limit: u64,
    retained: u32,
    open: Option<(AccessLog, App)>,
}

impl Filed {
    fn new() -> Self {
        Self::with(1024 * 1024, 4)
    }

    fn with(limit: u64, retained: u32) -> Self {
        let mut filed = Self { folder: Folder::new(), limit, retained, open: None };
        filed.open();
        filed
    }

    fn options(&self) -> AccessLogOptions {
        AccessLogOptions {
            fields: Some(vec![Field::UriStem]),
            output: AccessLogOutput::Files(AccessLogFiles {
                directory: self.folder.path().join("logs"),
                file_size_limit: Some(self.limit),
                retained_file_count_limit: Some(self.retained),
                ..AccessLogFiles::default()
            }),
            ..AccessLogOptions::default()
        }
    }

    /// As a program that starts.
    fn open(&mut self) {
        let log = AccessLog::open(&self.options()).expect("the log can be opened");
        let app = ApplicationBuilder::new().layer(AccessLogLayer::new(&log)).build(hello);
        self.open = Some((log, app));
    }

    async fn get(&self, path: &str) {
        let (log, app) = self.open.as_ref().unwrap();
        let request = Request::builder().method(Method::GET).uri(path).body(hosting::Body::empty()).unwrap();
        app.handle(request).await;
        soon(log.flush()).await;
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("logs").join(name)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// The names in the folder, in their order.
    fn names(&self) -> Vec<String> {
        names(&self.folder.path().join("logs"))
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn lines(text: &str) -> Vec<&str> {
    text.lines().filter(|line| !line.starts_with('#')).collect()
}

/// A path of so many bytes.
fn long(name: &str, length: usize) -> String {
    format!("/{name:x<length$}", length = length - 1)
}

#[tokio::test]
async fn a_full_file_gets_a_number_and_those_with_the_lowest_are_deleted() {
    let log = Filed::with(1024, 3);
    for name in ["a", "b", "c", "d", "e", "f", "g"] {
        log.get(&long(name, 400)).await;
    }
    // Two lines go into each.
    assert_eq!(log.names(), ["access.log", "access.log.000002", "access.log.000003"]);
    for (name, expected) in [("access.log.000002", "cd"), ("access.log.000003", "ef"), ("access.log", "g")] {
        let text = log.read(name);
        assert!(text.starts_with("#Version: 1.0\n#Start-Date: ") && text.len() <= 1024, "{text}");
        let begins: String = lines(&text).iter().map(|line| &line[1..2]).collect();
        assert_eq!(begins, expected, "{name}");
    }
}

#[tokio::test]
async fn a_burst_is_spread_over_files_and_no_line_is_cut() {
    let log = Filed::with(2048, 1000);
    let (_, app) = log.open.as_ref().unwrap();
    for number in 0..200 {
        let request = Request::get(format!("/{number:0>90}")).body(hosting::Body::empty()).unwrap();
        app.handle(request).await;
    }
    log.get("/last").await;
    let mut all = Vec::new();
    let mut files = log.names();
    files.rotate_left(1);
    for name in &files {
        let text = log.read(name);
        assert!(text.len() <= 2048 && text.ends_with('\n'), "{name}: {}", text.len());
        all.extend(lines(&text).into_iter().map(str::to_owned));
    }
    let expected = (0..200).map(|number| format!("/{number:0>90}")).chain(["/last".to_owned()]);
    assert_eq!(all, expected.collect::<Vec<_>>());
    assert!(files.len() > 8, "{files:?}");
}

#[tokio::test]
async fn a_line_that_is_longer_than_a_file_has_one_for_itself() {
    let log = Filed::with(1024, 10);
    log.get("/a").await;
    log.get(&long("b", 1500)).await;
    log.get("/c").await;
    assert_eq!(log.names(), ["access.log", "access.log.000001", "access.log.000002"]);
    assert_eq!(lines(&log.read("access.log.000002")), [long("b", 1500)]);
    assert_eq!(lines(&log.read("access.log")), ["/c"]);
}

#[tokio::test]
async fn only_files_of_the_logs_own_are_deleted() {
    let log = Filed::with(1024, 1);
    let others =
        ["access.log.1", "access.log.000001.gz", "access.log.0000001", "access.log.old", "other.log.000001"];
    for name in others {
        fs::write(log.path(name), "not mine").unwrap();
    }
    symlink(log.path("access.log.old"), log.path("access.log.000007")).unwrap();
    fs::create_dir(log.path("access.log.000008")).unwrap();
    for name in ["a", "b", "c", "d", "e"] {
        log.get(&long(name, 900)).await;
    }
    let mut expected: Vec<_> = others.to_vec();
    expected.extend(["access.log", "access.log.000007", "access.log.000008"]);
    expected.sort_unstable();
    assert_eq!(log.names(), expected);
    assert_eq!(lines(&log.read("access.log")), [long("e", 900)]);
    assert_eq!(log.read("access.log.old"), "not mine");
}

#[tokio::test]
async fn a_restart_goes_on_with_the_file_and_with_the_numbers() {
    let mut log = Filed::with(1024, 10);
    log.get("/a").await;
    log.open();
    log.get("/b").await;
    let text = log.read("access.log");
    assert_eq!(lines(&text), ["/a", "/b"]);
    assert_eq!(text.matches("#Fields: cs-uri-stem").count(), 2, "{text}");
    fs::write(log.path("access.log.000041"), "older\n").unwrap();
    log.get(&long("c", 900)).await;
    assert_eq!(log.names(), ["access.log", "access.log.000041", "access.log.000042"]);
    assert_eq!(lines(&log.read("access.log.000042")), ["/a", "/b"]);
}

#[tokio::test]
async fn a_line_that_a_crash_has_cut_is_ended() {
    let mut log = Filed::new();
    log.get("/a").await;
    fs::write(log.path("access.log"), "/a\n/cut off").unwrap();
    log.open();
    log.get("/b").await;
    assert_eq!(lines(&log.read("access.log")), ["/a", "/cut off", "/b"]);
}

#[tokio::test]
async fn a_file_that_was_moved_or_deleted_is_begun_anew() {
    let log = Filed::new();
    log.get("/a").await;
    fs::rename(log.path("access.log"), log.path("access.log.1")).unwrap();
    log.get("/b").await;
    assert_eq!(lines(&log.read("access.log.1")), ["/a"]);
    assert_eq!(lines(&log.read("access.log")), ["/b"]);
    fs::remove_file(log.path("access.log")).unwrap();
    log.get("/c").await;
    assert_eq!(lines(&log.read("access.log")), ["/c"]);
    assert!(log.read("access.log").starts_with("#Version: 1.0\n"));
    fs::remove_dir_all(log.folder.path().join("logs")).unwrap();
    log.get("/d").await;
    assert_eq!(lines(&log.read("access.log")), ["/d"]);
}

#[tokio::test]
async fn two_programs_that_fill_the_same_files_lose_no_line() {
    const EACH: usize = 200;
    let shared = Folder::new();
    let section = json!({ "AccessLog": {
        "LogDirectory": shared.path(), "LoggingFields": ["UriStem"], "FileSizeLimit": 1024,
        "RetainedFileCountLimit": null, "FlushInterval": 0,
    } });
    let start = || Launch::hello().file("appsettings.json", section.to_string()).start();
    let programs = [start().await, start().await];
    let ask = async |program: &Program, name: &str| {
        let mut client = Client::tcp(program.address()).await;
        for number in 0..EACH {
            client.get(&format!("/{name}-{number:0>60}")).await;
        }
    };
    tokio::join!(ask(&programs[0], "one"), ask(&programs[1], "two"));
    for program in programs {
        program.stop().await;
    }
    let mut all = Vec::new();
    let names = names(shared.path());
    for name in &names {
        let text = fs::read_to_string(shared.path().join(name)).unwrap();
        assert!(text.ends_with('\n'), "{name}: {text}");
        all.extend(lines(&text).into_iter().map(str::to_owned));
    }
    all.sort_unstable();
    let line = |name: &'static str| (0..EACH).map(move |number| format!("/{name}-{number:0>60}"));
    assert_eq!(all, line("one").chain(line("two")).collect::<Vec<_>>());
    assert!(names.len() > 20, "{names:?}");
}

#[tokio::test]
async fn a_program_that_keeps_the_file_locked_keeps_no_line_out_of_it() {
    let log = Filed::with(1024, 10);
    let other = fs::File::open(log.path("access.log")).unwrap();
    other.lock().unwrap();
    log.get(&long("a", 900)).await;
    log.get(&long("b", 900)).await;
    // Nobody else may give a file a number that a program has locked.
    assert_eq!(log.names(), ["access.log"]);
    assert_eq!(lines(&log.read("access.log")), [long("a", 900), long("b", 900)]);
    other.unlock().unwrap();
    log.get("/c").await;
    assert_eq!(log.names(), ["access.log", "access.log.000001"]);
}

#[tokio::test]
async fn a_reader_that_keeps_the_file_locked_delays_one_write_alone() {
    let log = Filed::new();
    let other = fs::File::open(log.path("access.log")).unwrap();
    other.lock_shared().unwrap();
    log.get("/first").await;
    // Each of them is a write of its own, and would wait for a second.
    let begun = tokio::time::Instant::now();
    for _ in 0..20 {
        log.get("/more").await;
    }
    let took = begun.elapsed();
    assert!(took < std::time::Duration::from_secs(10), "{took:?}");
    assert_eq!(lines(&log.read("access.log")).len(), 21);
}

#[tokio::test]
async fn others_cannot_read_it() {
    let log = Filed::new();
    log.get("/a").await;
    let mode = fs::metadata(log.path("access.log")).unwrap().permissions().mode();
    assert_eq!(mode & 0o137, 0, "{mode:o}");
}

#[test]
fn a_path_that_cannot_be_written_is_told() {
    let folder = Folder::new();
    let elsewhere = folder.write("elsewhere", "");
    let open = |directory: PathBuf| {
        let files = AccessLogFiles { directory, ..AccessLogFiles::default() };
        let options =
            AccessLogOptions { output: AccessLogOutput::Files(files), ..AccessLogOptions::default() };
        format!("{:?}", AccessLog::open(&options).unwrap_err())
    };
    let error = open(elsewhere.clone());
    assert!(error.contains("elsewhere/access.log cannot be opened"), "{error}");
    let logs = folder.path().join("logs");
    fs::create_dir(&logs).unwrap();
    symlink(&elsewhere, logs.join("access.log")).unwrap();
    let error = open(logs.clone());
    assert!(error.contains("logs/access.log cannot be opened: it is a symbolic link"), "{error}");
    fs::remove_file(logs.join("access.log")).unwrap();
    fs::create_dir(logs.join("access.log")).unwrap();
    let error = open(logs);
    assert!(error.contains("it is no file"), "{error}");
}

/// The sample `hello` with a log of JSON lines, whose files cannot have more than 4,096 bytes, as if the disk were full.
async fn on_a_full_disk() -> Program {
    let folder = Folder::new();
    let settings = r#"{ "AccessLog": { "Format": "Json", "FlushInterval": 0 } }"#;
    let hello = crate::program::binary("hello");
    let arguments = ["--ignore-signal=XFSZ", "prlimit", "--fsize=4096:"].map(Into::into);
    let launch = Launch::in_folder(folder, "env").env("PATH", std::env::var_os("PATH").unwrap()).args(
        arguments.into_iter().chain([hello.into_os_string(), "--urls".into(), "http://127.0.0.1:0".into()]),
    );
    launch.file("appsettings.json", settings).start().await
}

#[tokio::test]
async fn requests_go_on_when_the_disk_is_full_and_the_log_when_it_has_place_again() {
    let mut program = on_a_full_disk().await;
    let url = program.url("/");
    let path = program.folder().path().join("logs/access.log");
    for _ in 0..40 {
        assert_eq!(curl([url.as_str()]).await.status, 200);
    }
    let warning = program.line("the access log cannot be written and lines are lost").await;
    assert!(warning.contains("WARN") && warning.contains("lines="), "{warning}");
    assert!(warning.contains("logs/access.log"), "{warning}");
    let full = fs::read_to_string(&path).unwrap();
    assert!(full.len() <= 4096 && full.ends_with('\n'), "a half line: {full}");
    let kept = full.lines().count();
    assert!((5..40).contains(&kept), "{kept}");

    output_of("prlimit", ["--pid", &program.id().to_string(), "--fsize=unlimited:"]).await;
    assert_eq!(curl([url.as_str()]).await.status, 200);
    let text = soon(async {
        loop {
            let text = fs::read_to_string(&path).unwrap();
            if text.lines().count() > kept + 1 && text.ends_with('\n') {
                break text;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    let objects: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(objects[kept]["lost_lines"], 40 - kept, "{text}");
    assert_eq!(objects.len(), kept + 2, "{text}");
    assert_eq!(objects[kept + 1]["status"], 200);
    program.line("the access log is written again").await;
    let end = program.stop().await;
    assert_eq!(end.code, Some(0), "{end:?}");
}
