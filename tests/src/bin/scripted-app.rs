//! An application that does on its connections what each request tells it to, for the tests. It ends by itself within two
//! minutes.
//!
//! The field `x-script` has the steps, with `|` between them and `%` as in URLs:
//!
//! * `send BYTES`, in pieces of as many bytes as `x-piece` says, with pauses
//! * `repeat COUNT BYTES` sends them so many times
//! * `wait MILLISECONDS`
//! * `read` takes the content of the request
//! * `echo` answers with it in chunks, each as soon as it has come; `x-piece` says how long they are at the most
//! * `close` ends the connection, of which nothing was said
//!
//! Without a script the content is taken and told of, beside the head of the request and the number of the connection.
//! `/state` tells how many scripts have ended, how many contents came whole and how many broke off.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{ExitCode, exit};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

const LIFE: Duration = Duration::from_secs(120);
/// Between two pieces.
const PAUSE: Duration = Duration::from_micros(200);

static SCRIPTS: AtomicUsize = AtomicUsize::new(0);
static WHOLE: AtomicUsize = AtomicUsize::new(0);
static BROKEN: AtomicUsize = AtomicUsize::new(0);
static CONNECTIONS: AtomicUsize = AtomicUsize::new(0);

type Reader<'a> = BufReader<&'a TcpStream>;

fn line(reader: &mut Reader<'_>) -> io::Result<String> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(line.trim_end().to_owned())
}

/// Lines to the empty one.
fn lines(reader: &mut Reader<'_>) -> io::Result<Vec<String>> {
    let mut lines = Vec::new();
    loop {
        let line = line(reader)?;
        if line.is_empty() {
            return Ok(lines);
        }
        lines.push(line);
    }
}

struct Head(Vec<String>);

impl Head {
    fn field(&self, name: &str) -> Option<&str> {
        let mut fields = self.0.iter().skip(1).filter_map(|line| line.split_once(": "));
        fields.find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    fn number(&self, name: &str) -> Option<usize> {
        self.field(name)?.parse().ok()
    }
}

/// What is left of a request's content.
enum Content {
    Length(usize),
    /// What is left of a chunk.
    Chunked(usize),
    Over(Vec<String>),
}

impl Content {
    fn of(head: &Head) -> Self {
        match (head.field("transfer-encoding"), head.number("content-length")) {
            (Some(_), _) => Self::Chunked(0),
            (None, Some(length)) if length > 0 => Self::Length(length),
            _ => Self::Over(Vec::new()),
        }
    }

    /// The next piece, which is empty at the end.
    fn next(&mut self, reader: &mut Reader<'_>, most: usize) -> io::Result<Vec<u8>> {
        let size = match self {
            Self::Over(_) => return Ok(Vec::new()),
            Self::Length(left) => *left,
            Self::Chunked(0) => {
                let line = line(reader)?;
                let size = usize::from_str_radix(&line, 16);
                size.map_err(|_| io::Error::other(format!("a chunk of {line:?}")))?
            }
            Self::Chunked(left) => *left,
        };
        if size == 0 {
            *self = Self::Over(lines(reader)?);
            return Ok(Vec::new());
        }
        let mut data = vec![0; size.min(most)];
        let count = reader.read(&mut data)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        data.truncate(count);
        let left = size - count;
        match self {
            Self::Length(_) if left == 0 => *self = Self::Over(Vec::new()),
            Self::Length(before) => *before = left,
            Self::Chunked(before) => *before = left,
            Self::Over(_) => {}
        }
        if matches!(self, Self::Chunked(0)) {
            line(reader)?;
        }
        Ok(data)
    }
}

/// One request, and where its answer goes.
struct Exchange<'a> {
    head: Head,
    content: Content,
    reader: Reader<'a>,
    stream: &'a TcpStream,
}

impl Exchange<'_> {
    /// Takes the content, and does something with each piece.
    fn take(&mut self, most: usize, mut each: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        if matches!(self.content, Content::Over(_)) {
            return Ok(());
        }
        loop {
            let piece = self.content.next(&mut self.reader, most);
            let counter = if piece.is_ok() { &WHOLE } else { &BROKEN };
            match piece {
                Ok(piece) if !piece.is_empty() => each(&piece)?,
                end => {
                    counter.fetch_add(1, Ordering::SeqCst);
                    return end.map(drop);
                }
            }
        }
    }

    fn send(&self, bytes: &[u8]) -> io::Result<()> {
        let mut stream = self.stream;
        let Some(piece) = self.head.number("x-piece") else { return stream.write_all(bytes) };
        for piece in bytes.chunks(piece.max(1)) {
            stream.write_all(piece)?;
            thread::sleep(PAUSE);
        }
        Ok(())
    }

    fn echo(&mut self) -> io::Result<()> {
        let mut stream = self.stream;
        stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
        let most = self.head.number("x-piece").unwrap_or(64 * 1024);
        self.take(most, |piece| {
            let chunk = [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat();
            stream.write_all(&chunk)
        })?;
        stream.write_all(b"0\r\n\r\n")
    }

    /// Whether the connection goes on.
    fn step(&mut self, step: &str) -> io::Result<bool> {
        let (name, value) = step.split_once(' ').unwrap_or((step, ""));
        match name {
            "send" => self.send(&decode(value))?,
            "repeat" => {
                let (count, bytes) = value.split_once(' ').unwrap_or_default();
                let bytes = decode(bytes);
                for _ in 0..count.parse().unwrap_or(0) {
                    self.send(&bytes)?;
                }
            }
            "wait" => thread::sleep(Duration::from_millis(value.parse().unwrap_or(0))),
            "read" => self.take(64 * 1024, |_| Ok(()))?,
            "echo" => self.echo()?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn run(&mut self, script: &str) -> io::Result<bool> {
        for step in script.split('|') {
            if !self.step(step)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn tell(&mut self, connection: usize) -> io::Result<()> {
        let (mut length, mut sum) = (0, 0_u64);
        self.take(64 * 1024, |piece| {
            length += piece.len();
            sum = piece.iter().fold(sum, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(*byte)));
            Ok(())
        })?;
        let mut text = format!("connection: {connection}\nlength: {length}\nsum: {sum}\n");
        if let Content::Over(trailers) = &self.content {
            trailers.iter().for_each(|line| text += &format!("trailer {line}\n"));
        }
        text += &self.head.0.join("\n");
        self.answer(&text)
    }

    fn answer(&self, text: &str) -> io::Result<()> {
        let mut stream = self.stream;
        stream
            .write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len()).as_bytes())
    }
}

fn decode(text: &str) -> Vec<u8> {
    let mut pieces = text.split('%');
    let mut bytes = pieces.next().unwrap_or_default().as_bytes().to_vec();
    for piece in pieces {
        let (code, rest) = piece.split_at(2);
        bytes.push(u8::from_str_radix(code, 16).unwrap_or(b'%'));
        bytes.extend_from_slice(rest.as_bytes());
    }
    bytes
}

fn state() -> String {
    let number = |counter: &AtomicUsize| counter.load(Ordering::SeqCst);
    format!("scripts: {}\nwhole: {}\nbroken: {}\n", number(&SCRIPTS), number(&WHOLE), number(&BROKEN))
}

fn serve(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let connection = CONNECTIONS.fetch_add(1, Ordering::SeqCst);
    let mut reader = BufReader::new(stream);
    loop {
        let head = Head(lines(&mut reader)?);
        let content = Content::of(&head);
        let target = head.0.first().and_then(|line| line.split(' ').nth(1)).unwrap_or_default().to_owned();
        let script = head.field("x-script").map(str::to_owned);
        let mut exchange = Exchange { head, content, reader, stream };
        match script {
            Some(script) => {
                let goes_on = exchange.run(&script);
                if !matches!(goes_on, Ok(true)) {
                    let _ = stream.shutdown(std::net::Shutdown::Both);
                }
                SCRIPTS.fetch_add(1, Ordering::SeqCst);
                if !goes_on? {
                    return Ok(());
                }
            }
            None if target == "/state" => exchange.answer(&state())?,
            None => exchange.tell(connection)?,
        }
        reader = exchange.reader;
    }
}

fn main() -> ExitCode {
    thread::spawn(|| {
        thread::sleep(LIFE);
        exit(3);
    });
    let port = std::env::var("ASPNETCORE_PORT").ok().and_then(|port| port.parse().ok());
    let Some(port) = port else { return ExitCode::FAILURE };
    let Ok(listener) = TcpListener::bind(("127.0.0.1", port)) else { return ExitCode::FAILURE };
    while let Ok((stream, _)) = listener.accept() {
        thread::spawn(move || serve(&stream));
    }
    ExitCode::FAILURE
}
