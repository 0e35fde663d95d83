//! The queue: nobody waits for the output, and nothing is lost that was not counted.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use hosting::{
    AccessLog, AccessLogField as Field, AccessLogLayer, AccessLogOptions, App, ApplicationBuilder, Body,
    Request,
};

use http::HeaderName;

use super::Logged;
use crate::support::{hello, soon};

/// An output that takes nothing until it is told to go on.
#[derive(Clone, Default)]
struct Stuck {
    is_free: Arc<(Mutex<bool>, Condvar)>,
    written: super::Written,
}

impl Write for Stuck {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let (is_free, changed) = &*self.is_free;
        drop(changed.wait_while(is_free.lock().unwrap(), |is_free| !*is_free).unwrap());
        self.written.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Stuck {
    fn go_on(&self) {
        *self.is_free.0.lock().unwrap() = true;
        self.is_free.1.notify_all();
    }
}

fn app(log: &AccessLog) -> App {
    ApplicationBuilder::new().layer(AccessLogLayer::new(log)).build(hello)
}

async fn get(app: &App, path: &str) {
    app.handle(Request::get(path).body(Body::empty()).unwrap()).await;
}

fn options() -> AccessLogOptions {
    AccessLogOptions {
        fields: Some(vec![Field::UriStem]),
        queue_size: 64 * 1024,
        ..AccessLogOptions::default()
    }
}

#[tokio::test]
async fn requests_go_on_when_the_output_does_not_and_what_is_dropped_is_counted() {
    let stuck = Stuck::default();
    let log = AccessLog::to_writer(&options(), stuck.clone()).unwrap();
    let app = app(&log);
    // Lines of 1,000 bytes, of which the queue takes 65, and the writer what it has by then.
    let path = format!("/{}", "x".repeat(998));
    soon(async {
        for _ in 0..1000 {
            get(&app, &path).await;
        }
    })
    .await;
    let dropped = log.dropped_lines();
    assert!((1000 - 2 * 66..1000).contains(&dropped), "{dropped}");
    assert_eq!((log.written_lines(), log.waiting_lines()), (0, 1000 - dropped));
    assert!(tokio::time::timeout(Duration::from_millis(50), log.flush()).await.is_err(), "it is stuck");

    stuck.go_on();
    soon(log.flush()).await;
    get(&app, "/after").await;
    soon(log.flush()).await;
    assert_eq!((log.written_lines(), log.waiting_lines(), log.lost_lines()), (1001 - dropped, 0, 0));
    let text = stuck.written.text();
    let lines: Vec<_> = text.lines().collect();
    let remarks = lines.iter().filter_map(|line| line.strip_prefix("#Remark: ")?.split(' ').next());
    assert_eq!(remarks.map(|count| count.parse::<u64>().unwrap()).sum::<u64>(), dropped);
    assert_eq!(*lines.last().unwrap(), "/after");
    let told = lines.iter().filter(|line| !line.starts_with('#')).count() as u64;
    assert_eq!(told, 1001 - dropped);
}

/// An output that takes a part, then fails for a while.
struct Failing {
    written: super::Written,
    left: usize,
    fails: Arc<Mutex<bool>>,
}

impl Write for Failing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !*self.fails.lock().unwrap() {
            return self.written.write(bytes);
        }
        if self.left == 0 {
            return Err(io::Error::from_raw_os_error(28));
        }
        let count = bytes.len().min(self.left);
        self.left -= count;
        self.written.write(&bytes[..count])
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn an_output_that_fails_loses_what_it_does_not_take_and_goes_on() {
    let fails = Arc::new(Mutex::new(false));
    let written = super::Written::default();
    let failing = Failing { written: written.clone(), left: 7, fails: fails.clone() };
    let log = AccessLog::to_writer(&options(), failing).unwrap();
    let app = app(&log);
    get(&app, "/one").await;
    soon(log.flush()).await;
    *fails.lock().unwrap() = true;
    get(&app, "/two").await;
    get(&app, "/three").await;
    soon(log.flush()).await;
    // "/two\n" and two bytes of the next line were taken.
    assert_eq!((log.written_lines(), log.lost_lines()), (2, 1));
    *fails.lock().unwrap() = false;
    get(&app, "/four").await;
    soon(log.flush()).await;
    assert_eq!((log.written_lines(), log.lost_lines(), log.dropped_lines()), (3, 1, 0));
    let text = written.text();
    let begin = text.find("/one").unwrap();
    assert_eq!(&text[begin..], "/one\n/two\n/t\n#Remark: 1 lines were lost before this\n/four\n");
}

#[tokio::test]
async fn lines_are_written_within_the_interval_and_without_being_asked_for() {
    for interval in [Duration::ZERO, Duration::from_millis(20)] {
        let log = Logged::new(&AccessLogOptions { flush_interval: interval, ..options() });
        get(&log.around(hello), "/").await;
        let written = log.written.clone();
        soon(tokio::task::spawn_blocking(move || {
            while !written.text().ends_with("/\n") {
                std::thread::sleep(Duration::from_millis(1));
            }
        }))
        .await
        .unwrap();
    }
}

/// A thread with 2,000 requests.
fn many(app: App, thread: usize) -> std::thread::JoinHandle<()> {
    let requests = async move {
        for number in 0..2000 {
            get(&app, &format!("/{thread}/{number}")).await;
        }
    };
    std::thread::spawn(|| tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(requests))
}

#[tokio::test]
async fn many_threads_write_whole_lines() {
    let log = Logged::new(&AccessLogOptions { queue_size: 8 * 1024 * 1024, ..options() });
    let app = log.around(hello);
    let threads: Vec<_> = (0..4).map(|thread| many(app.clone(), thread)).collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    let mut lines = log.lines(8000).await;
    lines.sort();
    lines.dedup();
    assert_eq!(lines.len(), 8000);
}

#[test]
fn options_that_cannot_be_obeyed_are_refused() {
    use hosting::{AccessLogFiles, AccessLogFormat, AccessLogOutput};

    let files =
        |files: AccessLogFiles| AccessLogOptions { output: AccessLogOutput::Files(files), ..options() };
    let many = (0..500).map(|number| HeaderName::try_from(format!("x-{number}")).unwrap()).collect();
    for (options, name) in [
        (AccessLogOptions { format: AccessLogFormat::Common, ..options() }, "fields"),
        (AccessLogOptions { fields: Some(Vec::new()), ..options() }, "fields"),
        (AccessLogOptions { fields: Some(vec![Field::Host, Field::Host]), ..options() }, "fields"),
        (AccessLogOptions { queue_size: 100, ..options() }, "queue_size"),
        (AccessLogOptions { additional_request_headers: many, ..options() }, "queue_size"),
        (AccessLogOptions { flush_interval: Duration::from_secs(3601), ..options() }, "flush_interval"),
        (files(AccessLogFiles { file_name: "a/b".to_owned(), ..AccessLogFiles::default() }), "file_name"),
        (files(AccessLogFiles { file_size_limit: Some(1), ..AccessLogFiles::default() }), "file_size_limit"),
        (
            files(AccessLogFiles { retained_file_count_limit: Some(0), ..AccessLogFiles::default() }),
            "retained_file_count_limit",
        ),
    ] {
        let error = AccessLog::open(&options).unwrap_err().to_string();
        assert!(error.contains(&format!("AccessLogOptions.{name} (")), "{error}");
    }
}
