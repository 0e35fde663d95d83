//! Endpoints: every kind of address, what is shown of it, what is refused, what is left behind.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener as StdListener};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{SocketAddr as UnixAddr, UnixListener, UnixStream};
use std::path::PathBuf;

use http::{Request, Response};
use server_abstractions::{
    Address, AddressTarget, App, Body, Connection, HttpConnectionFeature, Listener, RequestFeatures, Running,
    Server, ServerAddressesFeature, StartError,
};
use server_kestrel::{Endpoint, Kestrel, KestrelOptions, memory};
use socket2::{Domain, SockAddr, Socket, Type};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{Client, SOON, hello, loopback, manual, options, socket_address, soon, start, status};

#[tokio::test]
async fn an_endpoint_can_be_bound_for_another_process() {
    let bound = loopback().name("web").bind().unwrap();
    let address = socket_address(bound.address());
    assert!(bound.name() == Some("web") && address.port() != 0 && bound.sockets().count() == 1);
    // Nobody accepts, and nobody is refused.
    let client = soon(TcpStream::connect(address)).await.unwrap();
    let error = Endpoint::tcp(address).bind().unwrap_err();
    assert!(error.is_address_in_use(), "{error}");
    // A descriptor that is handed on keeps it open.
    let handed = bound.sockets().next().unwrap().try_clone_to_owned().unwrap();
    drop(bound);
    let running = start(options([Endpoint::descriptor(handed)]), hello).await;
    assert_eq!(Client::new(client).get("/").await.text(), "Hello, World!");
    drop(running);

    let folder = Folder::new("bound");
    let bound = Endpoint::unix(folder.socket()).unix_mode(0o600).bind().unwrap();
    assert_eq!(std::fs::metadata(folder.socket()).unwrap().permissions().mode() & 0o777, 0o600);
    drop(bound);
    assert!(!folder.socket().exists());

    let error = Endpoint::listener(memory().0).bind().unwrap_err();
    assert!(error.is_configuration() && error.to_string().contains("cannot be handed on"), "{error}");
    let error = loopback().unix_mode(0o600).bind().unwrap_err();
    assert!(error.is_configuration(), "{error}");
    assert_eq!(Endpoint::localhost(crate::program::free_port()).bind().unwrap().sockets().count(), 2);
}

pub(crate) async fn start_error(options: KestrelOptions) -> StartError {
    soon(Box::new(Kestrel::new(options)).start(App::new(hello))).await.expect_err("the start fails")
}

/// A folder of the test's own, removed at its end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("kestrel-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn socket(&self) -> PathBuf {
        self.0.join("s")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn port(running: &Running) -> u16 {
    running.addresses()[0].port().unwrap()
}

/// A port that is free on both loopbacks, as far as one can know.
fn free_port() -> u16 {
    StdListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

#[tokio::test]
async fn port_0_shows_the_port_that_the_system_chose() {
    let running = start(options([loopback(), loopback()]), hello).await;
    let addresses = running.addresses();
    let ports: Vec<u16> = addresses.iter().map(|address| address.port().unwrap()).collect();
    assert!(ports[0] != 0 && ports[1] != 0 && ports[0] != ports[1]);
    for address in &addresses {
        assert_eq!(Client::tcp(socket_address(address)).await.get("/").await.status, 200);
    }
    assert_eq!(addresses[0].to_string(), format!("http://127.0.0.1:{}", ports[0]));
}

#[tokio::test]
async fn localhost_with_port_0_is_refused() {
    let error = start_error(options([Endpoint::localhost(0)])).await;
    assert!(error.is_configuration());
    let message = error.to_string();
    assert!(message.contains("http://localhost:0") && message.contains("http://127.0.0.1:0"), "{message}");
}

#[tokio::test]
async fn localhost_is_both_loopbacks() {
    // Somebody else may take the port in the meantime.
    for attempt in 0.. {
        let port = free_port();
        let options = options([Endpoint::localhost(port)]);
        match soon(Box::new(Kestrel::new(options)).start(App::new(hello))).await {
            Ok(running) => {
                assert_eq!(running.addresses()[0].to_string(), format!("http://localhost:{port}"));
                for ip in [SocketAddr::from((Ipv4Addr::LOCALHOST, port)), (Ipv6Addr::LOCALHOST, port).into()]
                {
                    assert_eq!(Client::tcp(ip).await.get("/").await.status, 200);
                }
                return;
            }
            Err(error) => assert!(error.is_address_in_use() && attempt < 5, "{error}"),
        }
    }
}

#[tokio::test]
async fn localhost_is_refused_if_one_loopback_is_taken() {
    for ip in [SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), (Ipv6Addr::LOCALHOST, 0).into()] {
        let taken = StdListener::bind(ip).unwrap();
        let error = start_error(options([Endpoint::localhost(taken.local_addr().unwrap().port())])).await;
        assert!(error.is_address_in_use(), "{error}");
    }
}

#[tokio::test]
async fn any_ip_takes_ipv4_and_ipv6() {
    let app = |request: Request<Body>| async move {
        let feature = request.features().get::<dyn HttpConnectionFeature>().unwrap();
        let ends =
            [feature.local_address(), feature.remote_address()].map(|end| end.unwrap().ip().to_string());
        Response::new(Body::from(ends.join(" ")))
    };
    let running = start(options([Endpoint::any_ip(0)]), app).await;
    let port = port(&running);
    assert_eq!(running.addresses()[0].to_string(), format!("http://[::]:{port}"));
    // An IPv4 peer is shown as one.
    let mut client = Client::tcp((Ipv4Addr::LOCALHOST, port).into()).await;
    assert_eq!(client.get("/").await.text(), "127.0.0.1 127.0.0.1");
    let mut client = Client::tcp((Ipv6Addr::LOCALHOST, port).into()).await;
    assert_eq!(client.get("/").await.text(), "::1 ::1");
}

#[tokio::test]
async fn an_ipv6_address_is_listened_on() {
    let running = start(options([Endpoint::url("http://[::1]:0").unwrap()]), hello).await;
    let port = port(&running);
    assert_eq!(Client::tcp((Ipv6Addr::LOCALHOST, port).into()).await.get("/").await.status, 200);
}

#[tokio::test]
async fn a_port_in_use_fails_the_start_and_says_so() {
    let taken = StdListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = taken.local_addr().unwrap();
    let error = start_error(options([Endpoint::tcp(address)])).await;
    assert!(error.is_address_in_use() && !error.is_configuration());
    let message = error.to_string();
    assert!(
        message.starts_with(&format!("cannot listen on http://{address}: the address is in use")),
        "{message}"
    );
    assert!(!message.contains('\n') && message.contains("--urls http://localhost:5050"), "{message}");
    let named = start_error(options([Endpoint::tcp(address).name("Web")])).await.to_string();
    let expected = format!("cannot listen on http://{address} (endpoint \"Web\"): the address is in use");
    assert!(named.starts_with(&expected) && named.contains("Kestrel:Endpoints:Web:Url"), "{named}");
    assert!(!named.contains("--urls"), "{named}");
    assert!(std::error::Error::source(&error).is_some());
}

#[tokio::test]
async fn a_second_server_does_not_share_the_port_of_the_first() {
    let first = start(options([loopback()]), hello).await;
    let address = socket_address(&first.addresses()[0]);
    assert!(start_error(options([Endpoint::tcp(address)])).await.is_address_in_use());
    // The first one has lost nothing.
    assert_eq!(Client::tcp(address).await.get("/").await.status, 200);
    soon(first.stop(std::future::pending())).await;
    start(options([Endpoint::tcp(address)]), hello).await;
}

#[tokio::test]
async fn an_address_of_another_machine_fails_the_start() {
    let error = start_error(options([Endpoint::url("http://192.0.2.1:0").unwrap()])).await;
    assert!(!error.is_address_in_use() && error.to_string().contains("192.0.2.1"), "{error}");
}

#[tokio::test]
async fn a_start_that_fails_leaves_nothing_bound() {
    let folder = Folder::new("half-started");
    let taken = StdListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let name = format!("kestrel-half-started-{}", std::process::id());
    let named = Endpoint::url(&format!("http://unix:@{name}")).unwrap();
    let endpoints =
        [named.clone(), Endpoint::unix(folder.socket()), Endpoint::tcp(taken.local_addr().unwrap())];
    let error = start_error(options(endpoints)).await;
    assert!(error.is_address_in_use(), "{error}");
    assert!(!folder.socket().exists());
    start(options([named]), hello).await;
}

#[tokio::test]
async fn a_start_that_is_dropped_leaves_nothing_bound() {
    let folder = Folder::new("dropped-start");
    drop(Box::new(Kestrel::new(options([Endpoint::unix(folder.socket())]))).start(App::new(hello)));
    assert!(!folder.socket().exists());
}

#[tokio::test]
async fn a_unix_socket_is_served_and_removed_at_the_end() {
    let folder = Folder::new("unix");
    let running = start(options([Endpoint::unix(folder.socket())]), hello).await;
    assert_eq!(running.addresses()[0].to_string(), format!("http://unix:{}", folder.socket().display()));
    assert_eq!(Client::unix(&folder.socket()).await.get("/").await.status, 200);
    soon(running.stop(std::future::pending())).await;
    assert!(!folder.socket().exists());
}

#[tokio::test]
async fn a_connection_over_a_unix_socket_has_no_addresses() {
    let folder = Folder::new("unix-addresses");
    let app = |request: Request<Body>| async move {
        let feature = request.features().get::<dyn HttpConnectionFeature>().unwrap();
        Response::new(Body::from(format!("{:?} {:?}", feature.local_address(), feature.remote_address())))
    };
    let _running = start(options([Endpoint::unix(folder.socket())]), app).await;
    assert_eq!(Client::unix(&folder.socket()).await.get("/").await.text(), "None None");
}

#[tokio::test]
async fn a_stale_socket_file_is_replaced() {
    let folder = Folder::new("stale");
    drop(UnixListener::bind(folder.socket()).unwrap());
    assert!(std::fs::metadata(folder.socket()).unwrap().file_type().is_socket());
    let _running = start(options([Endpoint::unix(folder.socket())]), hello).await;
    assert_eq!(Client::unix(&folder.socket()).await.get("/").await.status, 200);
}

#[tokio::test]
async fn a_socket_on_which_somebody_answers_is_refused() {
    let folder = Folder::new("live");
    let live = UnixListener::bind(folder.socket()).unwrap();
    let error = start_error(options([Endpoint::unix(folder.socket())])).await;
    assert!(error.is_address_in_use(), "{error}");
    assert!(error.to_string().contains(&format!("unix:{}", folder.socket().display())), "{error}");
    drop(live);
    assert!(folder.socket().exists(), "it is not ours to remove");
}

#[test]
fn a_socket_whose_owner_is_too_busy_to_answer_is_refused_at_once() {
    let folder = Folder::new("busy");
    let address = SockAddr::unix(folder.socket()).unwrap();
    let busy = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
    busy.bind(&address).unwrap();
    busy.listen(1).unwrap();
    // Connections that nobody accepts, until there is no room for another one.
    let mut queued = Vec::new();
    loop {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        socket.set_nonblocking(true).unwrap();
        if socket.connect(&address).is_err() {
            break;
        }
        queued.push(socket);
    }
    // In a thread of its own, as one that hangs in a system call is stopped by no timeout.
    let (send, receive) = std::sync::mpsc::channel();
    let options = options([Endpoint::unix(folder.socket())]);
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        send.send(runtime.block_on(start_error(options))).unwrap_or_default();
    });
    let error = receive.recv_timeout(SOON).unwrap();
    assert!(error.is_address_in_use(), "{error}");
}

#[tokio::test]
async fn a_file_that_is_no_socket_is_refused_and_stays() {
    let folder = Folder::new("no-socket");
    std::fs::write(folder.socket(), "precious").unwrap();
    let error = start_error(options([Endpoint::unix(folder.socket())])).await;
    assert!(error.to_string().contains("unix:"), "{error}");
    assert_eq!(std::fs::read_to_string(folder.socket()).unwrap(), "precious");
}

#[tokio::test]
async fn a_unix_socket_in_no_folder_fails_the_start() {
    let error = start_error(options([Endpoint::unix("/nowhere/at/all.sock")])).await;
    assert!(!error.is_address_in_use() && error.to_string().contains("/nowhere/at/all.sock"), "{error}");
    assert!(error.to_string().contains("the folder /nowhere/at does not exist; make it"), "{error}");
    let error = start_error(options([Endpoint::unix(format!("/tmp/{}", "x".repeat(200)))])).await;
    assert!(error.to_string().contains("cannot listen on"), "{error}");
}

#[tokio::test]
async fn a_unix_socket_gets_the_mode_that_was_asked_for() {
    let folder = Folder::new("mode");
    for mode in [0o600, 0o660, 0o666] {
        let endpoint = Endpoint::unix(folder.socket()).unix_mode(mode);
        let running = start(options([endpoint]), hello).await;
        assert_eq!(std::fs::metadata(folder.socket()).unwrap().permissions().mode() & 0o777, mode);
        soon(running.stop(std::future::pending())).await;
    }
}

#[tokio::test]
async fn a_socket_file_that_somebody_has_replaced_is_left() {
    let folder = Folder::new("replaced");
    let running = start(options([Endpoint::unix(folder.socket())]), hello).await;
    std::fs::remove_file(folder.socket()).unwrap();
    let _other = UnixListener::bind(folder.socket()).unwrap();
    soon(running.stop(std::future::pending())).await;
    assert!(UnixStream::connect(folder.socket()).is_ok());
}

#[tokio::test]
async fn an_abstract_socket_is_served() {
    let name = format!("kestrel-test-{}", std::process::id());
    let running = start(options([Endpoint::url(&format!("http://unix:@{name}")).unwrap()]), hello).await;
    assert_eq!(running.addresses()[0].to_string(), format!("http://unix:@{name}"));
    let connect = || UnixStream::connect_addr(&UnixAddr::from_abstract_name(&name).unwrap());
    let stream = connect().unwrap();
    stream.set_nonblocking(true).unwrap();
    let mut client = Client::new(tokio::net::UnixStream::from_std(stream).unwrap());
    assert_eq!(client.get("/").await.status, 200);
    let error = start_error(options([Endpoint::url(&format!("http://unix:@{name}")).unwrap()])).await;
    assert!(error.is_address_in_use(), "{error}");
    drop(client);
    soon(running.stop(std::future::pending())).await;
    assert!(connect().is_err());
}

#[tokio::test]
async fn a_named_pipe_is_refused_here() {
    let error = start_error(options([Endpoint::url("http://pipe:/name").unwrap()])).await;
    assert!(error.is_configuration() && error.to_string().contains("pipe:/name"), "{error}");
}

#[tokio::test]
async fn a_descriptor_that_listens_is_served() {
    let folder = Folder::new("descriptor");
    let tcp = StdListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = tcp.local_addr().unwrap();
    let from_tokio = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).await.unwrap();
    let unix = UnixListener::bind(folder.socket()).unwrap();
    let endpoints = [
        Endpoint::descriptor(tcp),
        Endpoint::descriptor(from_tokio.into_std().unwrap()),
        Endpoint::descriptor(unix),
    ];
    let running = start(options(endpoints), hello).await;
    let addresses = running.addresses();
    assert_eq!(socket_address(&addresses[0]), address);
    for address in &addresses[..2] {
        assert_eq!(Client::tcp(socket_address(address)).await.get("/").await.status, 200);
    }
    assert_eq!(Client::unix(&folder.socket()).await.get("/").await.status, 200);
    soon(running.stop(std::future::pending())).await;
    // The file is that of whoever made it.
    assert!(folder.socket().exists());
}

#[tokio::test]
async fn a_descriptor_is_closed_while_a_stop_waits_for_requests() {
    let listener = StdListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let (app, mut calls) = manual();
    let running = start(options([Endpoint::descriptor(listener)]), app).await;
    let mut client = Client::tcp(address).await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let call = soon(calls.recv()).await.unwrap();
    let stop = tokio::spawn(running.stop(std::future::pending()));
    soon(async { while TcpStream::connect(address).await.is_ok() {} }).await;
    assert!(!stop.is_finished());
    call.answer(status(204));
    assert_eq!(client.response().await.status, 204);
    soon(stop).await.unwrap();
}

#[tokio::test]
async fn a_descriptor_that_does_not_listen_fails_the_start() {
    let (stream, _other) = UnixStream::pair().unwrap();
    let error = start_error(options([Endpoint::descriptor(stream)])).await;
    assert!(error.to_string().contains("inherited"), "{error}");
    let file = std::fs::File::open("/dev/null").unwrap();
    let error = start_error(options([Endpoint::descriptor(file)])).await;
    assert!(error.to_string().contains("inherited"), "{error}");
}

/// A listener as somebody else may write it.
struct Own {
    inner: TcpListener,
    address: Address,
}

impl Listener for Own {
    type Connection = Connection;

    async fn accept(&mut self) -> io::Result<Connection> {
        let (stream, _) = self.inner.accept().await?;
        Ok(Connection::new(stream))
    }

    fn address(&self) -> &Address {
        &self.address
    }
}

#[tokio::test]
async fn a_listener_of_ones_own_is_served() {
    let inner = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let local = inner.local_addr().unwrap();
    let address = Address::new(false, AddressTarget::Ip(local));
    let running = start(options([Endpoint::listener(Own { inner, address })]), hello).await;
    assert_eq!(socket_address(&running.addresses()[0]), local);
    assert_eq!(Client::tcp(local).await.get("/").await.status, 200);
    soon(running.stop(std::future::pending())).await;
    assert!(TcpStream::connect(local).await.is_err());
}

/// A listener whose first attempts fail.
struct Failing {
    errors: Vec<io::ErrorKind>,
    inner: server_kestrel::MemoryListener,
}

impl Listener for Failing {
    type Connection = Connection;

    async fn accept(&mut self) -> io::Result<Connection> {
        match self.errors.pop() {
            Some(kind) => Err(kind.into()),
            None => Listener::accept(&mut self.inner).await,
        }
    }

    fn address(&self) -> &Address {
        Listener::address(&self.inner)
    }
}

#[tokio::test(start_paused = true)]
async fn accepting_goes_on_after_errors() {
    use io::ErrorKind::{ConnectionAborted, OutOfMemory, TimedOut};
    let (inner, connector) = memory();
    let errors = vec![OutOfMemory, ConnectionAborted, OutOfMemory, TimedOut, OutOfMemory];
    let _running = start(options([Endpoint::listener(Failing { errors, inner })]), hello).await;
    let before = tokio::time::Instant::now();
    let mut client = Client::new(soon(connector.connect()).await.unwrap());
    assert_eq!(client.get("/").await.status, 200);
    // Three pauses, each longer than the one before; an error of one connection costs none.
    assert_eq!(before.elapsed().as_millis(), 10 + 20 + 40);
}

#[tokio::test]
async fn a_listener_can_be_listened_on_once() {
    let (listener, _connector) = memory();
    let options = options([Endpoint::listener(listener)]);
    let _running = start(options.clone(), hello).await;
    assert!(start_error(options).await.is_configuration());
}

#[tokio::test]
async fn the_hosts_addresses_are_used_without_endpoints_and_overridden_by_them() {
    let urls = || Address::parse_list("http://127.0.0.1:0;http://[::1]:0").unwrap();
    let start = async |endpoints: Vec<Endpoint>, prefer| {
        let kestrel = Kestrel::new(options(endpoints));
        let feature = kestrel.features().get::<dyn ServerAddressesFeature>().unwrap();
        feature.set_addresses(urls(), prefer).unwrap();
        let running = soon(Box::new(kestrel).start(App::new(hello))).await.unwrap();
        assert!(feature.set_addresses(Vec::new(), false).is_err(), "it is too late");
        running.addresses().len()
    };
    assert_eq!(start(vec![], false).await, 2);
    assert_eq!(start(vec![loopback()], false).await, 1);
    assert_eq!(start(vec![loopback()], true).await, 2);
}

#[tokio::test]
async fn tcp_unix_and_memory_are_served_by_one_server() {
    let folder = Folder::new("several");
    let (listener, connector) = memory();
    let endpoints = [loopback(), Endpoint::unix(folder.socket()), Endpoint::listener(listener)];
    let running = start(options(endpoints), hello).await;
    assert_eq!(running.addresses().len(), 3);
    let tcp = Client::tcp(socket_address(&running.addresses()[0])).await;
    let unix = Client::unix(&folder.socket()).await;
    let memory = Client::new(connector.connect().await.unwrap());
    for mut client in [tcp, unix, memory] {
        assert_eq!(client.get("/").await.text(), "Hello, World!");
    }
}
