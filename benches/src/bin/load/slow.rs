//! Clients that keep a server waiting, and a few beside them that do not.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use benches::Error;
use benches::slow::{Line, Progress, Summary, Times};
use hdrhistogram::Histogram;
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until, timeout};

/// How many well-behaved clients ask meanwhile.
const ORDINARY: usize = 4;

/// How long each of them rests after an answer.
const PAUSE: Duration = Duration::from_millis(10);

/// The slow clients come from so many addresses of the loopback network, since one has 28,000 ports.
const SOURCES: usize = 16;

/// What fits into a segment on Ethernet. That of the loopback network is 45 times as large, and the kernel would take
/// 3.9 MB of each answer from the server at once.
const SEGMENT: u32 = 1460;

/// How often the program tells how it stands.
const TELL: Duration = Duration::from_secs(5);

/// What makes a client slow. Each is below what Kestrel's defaults ask for.
#[derive(Clone, Copy, Debug)]
enum Kind {
    /// A byte of a head every ten seconds.
    Head,
    /// A byte of a body four times a second.
    Body,
    /// Takes 64 bytes of an answer twice a second.
    Answer,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Head, Self::Body, Self::Answer];

    fn name(self) -> &'static str {
        match self {
            Self::Head => "head",
            Self::Body => "body",
            Self::Answer => "answer",
        }
    }

    /// What it sends at once.
    fn opening(self) -> &'static [u8] {
        match self {
            Self::Head => b"G",
            Self::Body => b"POST /upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n",
            Self::Answer => b"GET /10m HTTP/1.1\r\nHost: localhost\r\n\r\n",
        }
    }

    fn pace(self) -> Duration {
        Duration::from_millis(match self {
            Self::Head => 10_000,
            Self::Body => 250,
            Self::Answer => 500,
        })
    }
}

/// What has happened so far.
#[derive(Default)]
struct Tally(Mutex<Counts>);

#[derive(Default)]
struct Counts {
    open: u64,
    ended: u64,
    ends: BTreeMap<String, Vec<u64>>,
    micros: Vec<u64>,
    errors: u64,
}

impl Tally {
    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ended(&self, kind: Kind, how: &str, after: Duration) {
        let mut counts = self.lock();
        counts.ended += 1;
        let millis = after.as_millis() as u64;
        counts.ends.entry(format!("{}: {how}", kind.name())).or_default().push(millis);
    }
}

/// Holds slow connections, opened at no more than 1,000 a second; in place of each that the server ends comes another.
pub(crate) fn slow(connections: usize, address: SocketAddr, time: Duration) -> Result<(), Error> {
    benches::raise_open_files()?;
    let tally = Arc::new(Tally::default());
    let end = Instant::now() + time;
    let ordinary: Vec<_> = (0..ORDINARY)
        .map(|_| {
            let tally = Arc::clone(&tally);
            thread::spawn(move || ask_on(address, end, &tally))
        })
        .collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(hold(connections, address, end, &tally));
    // Whoever is still slow is dropped here.
    drop(runtime);
    for thread in ordinary {
        thread.join().map_err(|_| "a thread panicked")?;
    }
    let counts = std::mem::take(&mut *tally.lock());
    let ends = counts.ends.into_iter().map(|(how, millis)| Ok((how, times(&millis)?)));
    let ends = ends.collect::<Result<_, Error>>()?;
    tell(&Line::Summary(Summary { ends, latencies: times(&counts.micros)?, errors: counts.errors }))
}

fn tell(line: &Line) -> Result<(), Error> {
    benches::say(serde_json::to_string(line)?);
    Ok(())
}

fn times(all: &[u64]) -> Result<Times, Error> {
    let mut histogram = Histogram::<u64>::new(3)?;
    for time in all {
        histogram.record(*time)?;
    }
    Ok(Times {
        count: histogram.len(),
        min: all.iter().copied().min().unwrap_or_default(),
        p50: histogram.value_at_quantile(0.5),
        p99: histogram.value_at_quantile(0.99),
        max: all.iter().copied().max().unwrap_or_default(),
    })
}

/// A client that behaves: one request after the other on one connection.
fn ask_on(address: SocketAddr, end: Instant, tally: &Tally) {
    let mut held = None;
    while Instant::now() < end {
        let since = Instant::now();
        let stream = held.take().map_or_else(|| super::connect(address), Ok);
        let asked = stream.map_err(Error::from).and_then(|mut stream| {
            super::ask(&mut stream)?;
            Ok(stream)
        });
        match asked {
            Ok(stream) => {
                held = Some(stream);
                tally.lock().micros.push(since.elapsed().as_micros() as u64);
            }
            Err(error) => {
                eprintln!("a request was not answered: {error}");
                tally.lock().errors += 1;
            }
        }
        thread::sleep(PAUSE);
    }
}

async fn hold(connections: usize, address: SocketAddr, end: Instant, tally: &Arc<Tally>) {
    let began = Instant::now();
    for number in 0..connections {
        let tally = Arc::clone(tally);
        tokio::spawn(async move {
            sleep_until(began + Duration::from_millis(number as u64)).await;
            loop {
                be_slow(Kind::ALL[number % Kind::ALL.len()], number, address, &tally).await;
            }
        });
    }
    let mut due = began + TELL;
    while due <= end {
        sleep_until(due).await;
        let line = {
            let Counts { open, ended, ref micros, errors, .. } = *tally.lock();
            let seconds = (due - began).as_secs();
            Line::Progress(Progress { seconds, open, ended, answers: micros.len() as u64, errors })
        };
        if tell(&line).is_err() {
            return;
        }
        due += TELL;
    }
    sleep_until(end).await;
}

/// One connection, until the server ends it.
async fn be_slow(kind: Kind, number: usize, address: SocketAddr, tally: &Tally) {
    let Ok(mut stream) = connect(kind, number, address).await else {
        tally.ended(kind, "not connected", Duration::ZERO);
        return sleep(Duration::from_secs(1)).await;
    };
    tally.lock().open += 1;
    let since = Instant::now();
    let how = match kind {
        Kind::Answer => take_slowly(&mut stream).await,
        _ => send_slowly(kind, &mut stream).await,
    };
    tally.ended(kind, &how, since.elapsed());
    tally.lock().open -= 1;
}

async fn connect(kind: Kind, number: usize, address: SocketAddr) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    let source = Ipv4Addr::new(127, 0, 0, 2 + (number % SOURCES) as u8);
    socket.bind(SocketAddr::from((source, 0)))?;
    socket.set_nodelay(true)?;
    SockRef::from(&socket).set_tcp_mss(SEGMENT)?;
    if let Kind::Answer = kind {
        // Or the kernel would take the whole answer in its place.
        socket.set_recv_buffer_size(4096)?;
    }
    let mut stream = timeout(super::TIMEOUT, socket.connect(address)).await??;
    stream.write_all(kind.opening()).await?;
    Ok(stream)
}

async fn send_slowly(kind: Kind, stream: &mut TcpStream) -> String {
    let mut rest = match kind {
        Kind::Head => b"ET /plaintext HTTP/1.1\r\nHost: localhost\r\nX: ".iter(),
        _ => [].iter(),
    };
    let (mut reader, mut writer) = stream.split();
    let mut answer = Vec::new();
    let mut ticks = interval(kind.pace());
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.tick().await;
    loop {
        tokio::select! {
            read = reader.read_buf(&mut answer) => match read {
                Ok(0) => return status(&answer),
                Ok(_) => {}
                Err(error) => return format!("{}, {}", status(&answer), of_error(&error)),
            },
            _ = ticks.tick() => {
                // If this fails, the other direction tells why.
                let byte = rest.next().copied().unwrap_or(b'x');
                let _ = writer.write_all(&[byte]).await;
            }
        }
    }
}

async fn take_slowly(stream: &mut TcpStream) -> String {
    let mut piece = [0; 64];
    let mut ticks = interval(Kind::Answer.pace());
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = stream.ready(Interest::ERROR) => {
                let error = stream.take_error().ok().flatten();
                return error.as_ref().map_or("closed", of_error).to_owned();
            }
            _ = ticks.tick() => {}
        }
        match stream.read(&mut piece).await {
            Ok(0) => return "closed".to_owned(),
            Ok(_) => {}
            Err(error) => return of_error(&error).to_owned(),
        }
    }
}

/// What the server has said before it closed the connection.
fn status(answer: &[u8]) -> String {
    let text = String::from_utf8_lossy(answer);
    text.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)).unwrap_or("closed").to_owned()
}

fn of_error(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::ConnectionReset => "reset",
        _ => "failed",
    }
}
