//! An application that speaks HTTP by hand, for the tests, and knows SIGTERM only, which ends it at once. Further arguments
//! are there to be found by. It ends by itself within two minutes.
//!
//! * `plain` serves the port in `ASPNETCORE_PORT`; a file `delay` in its folder says after how many milliseconds
//! * `mute` does so too, and never answers the request to stop
//! * `crashes` ends at once
//! * `stdin` serves the listening socket that is its standard input
//!
//! The answer is `pid: ...` and the head of the request. Fields of the request change it: `x-wait` (milliseconds before it),
//! `x-answer` (all its bytes, `%` as in URLs), `x-pad` (a field of so many bytes), `x-fields` (so many fields), `x-stall` (a
//! body that does not come to its end). `/noise` prints without end from then on, `/bye` changes the protocol and closes the
//! connection, `/shutdown` shuts the listening socket down and ends the process.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::process::{ExitCode, exit};
use std::thread;
use std::time::Duration;

const LIFE: Duration = Duration::from_secs(120);

struct Head {
    lines: Vec<String>,
}

impl Head {
    fn read(reader: &mut impl BufRead) -> Option<Self> {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).ok()? == 0 {
                return None;
            }
            let line = line.trim_end().to_owned();
            if line.is_empty() {
                return Some(Self { lines });
            }
            lines.push(line);
        }
    }

    fn field(&self, name: &str) -> Option<&str> {
        let mut fields = self.lines.iter().skip(1).filter_map(|line| line.split_once(": "));
        fields.find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    fn number(&self, name: &str) -> usize {
        self.field(name).and_then(|value| value.parse().ok()).unwrap_or_default()
    }

    fn answer(&self) -> Vec<u8> {
        if let Some(answer) = self.field("x-answer") {
            return decode(answer);
        }
        let body = format!("pid: {}\n{}\n", std::process::id(), self.lines.join("\n"));
        let stalled = if self.field("x-stall").is_some() { 100 } else { 0 };
        let mut head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n", body.len() + stalled);
        if let Some(length) = self.field("x-pad").and_then(|length| length.parse().ok()) {
            head += &format!("x-padding: {}\r\n", "a".repeat(length));
        }
        for number in 0..self.number("x-fields") {
            head += &format!("x-field-{number}: 1\r\n");
        }
        (head + "\r\n" + &body).into_bytes()
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

fn serve(stream: &TcpStream, listener: &TcpListener, is_mute: bool) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    while let Some(head) = Head::read(&mut reader) {
        let target = head.lines[0].split(' ').nth(1).unwrap_or_default().to_owned();
        if target.ends_with("/iisintegration") {
            if is_mute {
                thread::sleep(LIFE);
            }
            (&mut &*stream).write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")?;
            continue;
        }
        thread::sleep(Duration::from_millis(head.number("x-wait") as u64));
        match target.as_str() {
            "/noise" => drop(thread::spawn(noise)),
            "/bye" => {
                let answer =
                    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nbye";
                return (&mut &*stream).write_all(answer);
            }
            "/shutdown" => {
                TcpStream::from(listener.as_fd().try_clone_to_owned()?).shutdown(Shutdown::Both)?;
                exit(0);
            }
            _ => {}
        }
        (&mut &*stream).write_all(&head.answer())?;
    }
    Ok(())
}

fn noise() {
    let line = [b'n'; 4096];
    while io::stdout().write_all(&line).and_then(|()| io::stdout().write_all(b"\n")).is_ok() {}
}

fn listener(mode: &str) -> Option<TcpListener> {
    if mode == "stdin" {
        return Some(TcpListener::from(io::stdin().as_fd().try_clone_to_owned().ok()?));
    }
    let delay = std::fs::read_to_string("delay").ok().and_then(|delay| delay.trim().parse().ok());
    thread::sleep(Duration::from_millis(delay.unwrap_or_default()));
    let port = std::env::var("ASPNETCORE_PORT").ok()?.parse().ok()?;
    TcpListener::bind(("127.0.0.1", port)).ok()
}

fn main() -> ExitCode {
    let mode = std::env::args().nth(1).unwrap_or_default();
    thread::spawn(|| {
        thread::sleep(LIFE);
        exit(3);
    });
    if mode == "crashes" {
        return ExitCode::FAILURE;
    }
    let Some(listener) = listener(&mode) else { return ExitCode::FAILURE };
    let is_mute = mode == "mute";
    // A socket that was handed in may be one that does not block.
    if listener.set_nonblocking(false).is_err() {
        return ExitCode::FAILURE;
    }
    loop {
        let Ok((stream, _)) = listener.accept() else { return ExitCode::FAILURE };
        let Ok(listener) = listener.try_clone() else { return ExitCode::FAILURE };
        thread::spawn(move || serve(&stream, &listener, is_mute));
    }
}
