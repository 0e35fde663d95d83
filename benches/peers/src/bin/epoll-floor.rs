//! The floor: what the sockets alone cost. One thread per core with its own listener and epoll answers every blank line
//! with the same bytes, whatever was asked.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::process::ExitCode;
use std::thread;

use bench_peers::{BoxError, Options, cores, exit_code, shared_listener};
use memchr::memmem::Finder;
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};

const RESPONSE: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\nserver: Kestrel\r\ncontent-length: 13\r\n\
    date: Thu, 01 Jan 2026 00:00:00 GMT\r\n\r\nHello, World!";
const END: &[u8] = b"\r\n\r\n";
const READ_SIZE: usize = 64 * 1024;

fn main() -> ExitCode {
    exit_code(serve())
}

fn serve() -> Result<(), BoxError> {
    let options = Options::parse(&[])?;
    let listeners = (0..cores()).map(|_| shared_listener(options.listen)).collect::<io::Result<Vec<_>>>()?;
    let threads: Vec<_> =
        listeners.into_iter().map(|listener| thread::spawn(|| Core::run(listener))).collect();
    threads.into_iter().try_for_each(|thread| Ok(thread.join().map_err(|_| "a thread panicked")??))
}

struct Core {
    epoll: rustix::fd::OwnedFd,
    listener: TcpListener,
    /// At the index of its descriptor.
    connections: Vec<Option<Connection>>,
    /// Read into by all connections, in turn.
    buffer: Vec<u8>,
    end: Finder<'static>,
}

impl Core {
    fn run(listener: TcpListener) -> io::Result<()> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, &listener, EventData::new_u64(listener.as_raw_fd() as u64), EventFlags::IN)?;
        let buffer = vec![0; TAIL + READ_SIZE];
        let mut core = Self { epoll, listener, connections: Vec::new(), buffer, end: Finder::new(END) };
        let mut events = Vec::with_capacity(1024);
        loop {
            events.clear();
            match epoll::wait(&core.epoll, spare_capacity(&mut events), None) {
                Err(rustix::io::Errno::INTR) => continue,
                result => result?,
            };
            for event in &events {
                core.handle(event.data.u64() as usize);
            }
        }
    }

    fn handle(&mut self, descriptor: usize) {
        if descriptor == self.listener.as_raw_fd() as usize {
            // An error is this connection's alone, or will be told again by the next event.
            let _ = self.accept();
            return;
        }
        let Some(place) = self.connections.get_mut(descriptor) else { return };
        let Some(connection) = place else { return };
        match connection.answer(&mut self.buffer, &self.end) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Ok(()) => {}
            Err(_) => *place = None,
        }
    }

    fn accept(&mut self) -> io::Result<()> {
        let (stream, _) = self.listener.accept()?;
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        let descriptor = stream.as_raw_fd() as usize;
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::ET;
        epoll::add(&self.epoll, &stream, EventData::new_u64(descriptor as u64), flags)?;
        if self.connections.len() <= descriptor {
            self.connections.resize_with(descriptor + 1, || None);
        }
        self.connections[descriptor] = Some(Connection { stream, tail: [0; TAIL], unsent: Vec::new() });
        Ok(())
    }
}

/// A blank line may be split over two reads: so many bytes are kept from one to the next.
const TAIL: usize = END.len() - 1;

struct Connection {
    stream: TcpStream,
    tail: [u8; TAIL],
    unsent: Vec<u8>,
}

impl Connection {
    /// Reads and answers until nothing is left to read. Fails with `WouldBlock` when the peer must act first.
    fn answer(&mut self, buffer: &mut [u8], end: &Finder<'_>) -> io::Result<()> {
        loop {
            self.send()?;
            buffer[..TAIL].copy_from_slice(&self.tail);
            let count = self.stream.read(&mut buffer[TAIL..])?;
            if count == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            for _ in end.find_iter(&buffer[..TAIL + count]) {
                self.unsent.extend_from_slice(RESPONSE);
            }
            self.tail.copy_from_slice(&buffer[count..count + TAIL]);
            // A read that did not fill the buffer emptied the socket: epoll tells when there is more.
            if count < READ_SIZE {
                return self.send();
            }
        }
    }

    fn send(&mut self) -> io::Result<()> {
        while !self.unsent.is_empty() {
            let count = self.stream.write(&self.unsent)?;
            self.unsent.drain(..count);
        }
        Ok(())
    }
}
