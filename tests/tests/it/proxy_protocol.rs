//! The PROXY protocol: its headers byte by byte, and endpoints that require it.

use std::time::Duration;

use http::Request;
use proptest::prelude::*;
use server_abstractions::{
    App, Body, Connection, ConnectionEndFeature, HttpConnectionFeature, HttpSchemeFeature, Next,
    ProxyProtocolFeature, RequestFeatures, from_fn,
};
use server_kestrel::{
    Endpoint, ProxiedAddresses, ProxyHeader, ProxyHeaderError, ProxyProtocolLayer, ProxyProtocolOptions,
    ProxyVersion,
};
use server_proxy_integration::{ForwardedFields, ForwardedHeadersLayer, ForwardedHeadersOptions};
use tokio::sync::mpsc;
use tower::Layer;

use crate::endpoints::start_error;
use crate::support::{
    Certificate, Client, Memory, client_config, connect_tls, loopback, options, socket_address, soon, start,
};

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// A header of version 2.
fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [SIGNATURE, &[command, family], &length, rest].concat()
}

fn tlv(kind: u8, value: &[u8]) -> Vec<u8> {
    [&[kind][..], &u16::try_from(value.len()).unwrap().to_be_bytes(), value].concat()
}

/// 192.0.2.7:50000 to 198.51.100.1:443.
const TCP4: &[u8] = &[192, 0, 2, 7, 198, 51, 100, 1, 0xC3, 0x50, 0x01, 0xBB];

fn tcp(source: &str, destination: &str) -> ProxiedAddresses {
    ProxiedAddresses::Tcp { source: source.parse().unwrap(), destination: destination.parse().unwrap() }
}

/// What each beginning of the bytes is, and then the whole.
fn parse(bytes: &[u8]) -> Result<ProxyHeader, ProxyHeaderError> {
    for end in 0..bytes.len() {
        match ProxyHeader::parse(&bytes[..end]) {
            Ok(None) => {}
            // It is known early.
            Err(error) => {
                assert_eq!(ProxyHeader::parse(bytes).unwrap_err(), error, "{end} of {bytes:?}");
                return Err(error);
            }
            Ok(Some(_)) => panic!("{end} of {} bytes are a header: {bytes:?}", bytes.len()),
        }
    }
    let with_more = [bytes, b"GET / HTTP/1.1"].concat();
    let (header, length) = ProxyHeader::parse(bytes)?.expect("the header is complete");
    assert_eq!(length, bytes.len());
    assert_eq!(ProxyHeader::parse(&with_more), Ok(Some((header.clone(), length))));
    Ok(header)
}

#[test]
fn lines_of_version_1() {
    for (line, expected) in [
        ("PROXY TCP4 192.0.2.7 198.51.100.1 50000 443", tcp("192.0.2.7:50000", "198.51.100.1:443")),
        ("PROXY TCP4 0.0.0.0 255.255.255.255 0 65535", tcp("0.0.0.0:0", "255.255.255.255:65535")),
        ("PROXY TCP6 2001:db8::7 ::1 1 2", tcp("[2001:db8::7]:1", "[::1]:2")),
        (
            "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535",
            tcp(
                "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535",
                "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535",
            ),
        ),
        ("PROXY UNKNOWN", ProxiedAddresses::Own),
        ("PROXY UNKNOWN whatever may stand here", ProxiedAddresses::Own),
    ] {
        let header =
            parse(format!("{line}\r\n").as_bytes()).unwrap_or_else(|error| panic!("{line}: {error}"));
        assert_eq!((header.version(), header.addresses()), (ProxyVersion::V1, &expected), "{line}");
        assert!(header.tlvs().is_empty() && header.tls().is_none());
    }
}

#[test]
fn lines_that_are_none() {
    use ProxyHeaderError::{Line, NoHeader, TooLong};
    let long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(92));
    assert_eq!(long.len(), 108);
    for (text, expected) in [
        ("GET / HTTP/1.1\r\n", NoHeader),
        ("proxy TCP4 1.2.3.4 1.2.3.4 1 2\r\n", NoHeader),
        ("PROXY\r\n", NoHeader),
        ("PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n", Line),
        ("PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n", Line),
        ("PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n", Line),
        ("PROXY  TCP4 1.2.3.4 1.2.3.4 1 2\r\n", Line),
        ("PROXY TCP4 1.2.3.4  1.2.3.4 1 2\r\n", Line),
        ("PROXY TCP4 1.2.3.4 1.2.3.4 1 2 \r\n", Line),
        ("PROXY TCP4 1.2.3 1.2.3.4 1 2\r\n", Line),
        ("PROXY TCP4 01.2.3.4 1.2.3.4 1 2\r\n", Line),
        ("PROXY TCP4 ::1 ::1 1 2\r\n", Line),
        ("PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n", Line),
        ("PROXY TCP6 ::1%lo ::1 1 2\r\n", Line),
        ("PROXY TCP4 1.2.3.4 1.2.3.4 +1 2\r\n", Line),
        ("PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n", Line),
        ("PROXY TCP4 1.2.3.4 1.2.3.4 65536 2\r\n", Line),
        ("PROXY TCP4 1.2.3.4 1.2.3.4 -1 2\r\n", Line),
        ("PROXY tcp4 1.2.3.4 1.2.3.4 1 2\r\n", Line),
        ("PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n", Line),
        ("PROXY \r\n", Line),
        ("PROXY TCP4 \u{e9} 1.2.3.4 1 2\r\n", Line),
        (long.as_str(), TooLong),
    ] {
        assert_eq!(parse(text.as_bytes()), Err(expected), "{text:?}");
    }
}

#[test]
fn headers_of_version_2() {
    let tcp6 =
        [&[0x20, 1, 0xD, 0xB8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7][..], &[0; 15], &[1, 0, 1, 0, 2]].concat();
    let mut unix = vec![0; 216];
    unix[..9].copy_from_slice(b"/run/a.so");
    unix[108..115].copy_from_slice(b"\0hidden");
    let unix_addresses =
        ProxiedAddresses::Unix { source: b"/run/a.so".to_vec(), destination: b"\0hidden".to_vec() };
    for (bytes, expected) in [
        (v2(0x21, 0x11, TCP4), tcp("192.0.2.7:50000", "198.51.100.1:443")),
        (v2(0x21, 0x21, &tcp6), tcp("[2001:db8::7]:1", "[::1]:2")),
        (v2(0x21, 0x31, &unix), unix_addresses),
        (v2(0x21, 0x00, &[]), ProxiedAddresses::Own),
        (v2(0x21, 0x00, &tlv(0xEA, b"vpc")), ProxiedAddresses::Own),
        (v2(0x20, 0x00, &[]), ProxiedAddresses::Own),
        // Whatever LOCAL says is to be ignored.
        (v2(0x20, 0x11, TCP4), ProxiedAddresses::Own),
        (v2(0x20, 0xFF, &[1, 2, 3]), ProxiedAddresses::Own),
    ] {
        let header = parse(&bytes).unwrap_or_else(|error| panic!("{bytes:?}: {error}"));
        assert_eq!((header.version(), header.addresses()), (ProxyVersion::V2, &expected), "{bytes:?}");
    }
}

#[test]
fn headers_that_are_none() {
    use ProxyHeaderError::{Field, Kind, Length, TooLarge};
    let with = |fields: &[u8]| v2(0x21, 0x11, &[TCP4, fields].concat());
    let too_large = v2(0x21, 0x11, &vec![0; ProxyHeader::MAX_SIZE]);
    for (bytes, expected) in [
        (v2(0x11, 0x11, TCP4), Kind),
        (v2(0x22, 0x11, TCP4), Kind),
        (v2(0x21, 0x12, TCP4), Kind),
        (v2(0x21, 0x41, TCP4), Kind),
        (v2(0x21, 0x01, &[]), Kind),
        (v2(0x21, 0x11, &TCP4[..11]), Length),
        (v2(0x21, 0x21, TCP4), Length),
        (v2(0x21, 0x31, &[0; 215]), Length),
        (with(&[1]), Field),
        (with(&[1, 0]), Field),
        (with(&[1, 0, 5, b'h', b'2']), Field),
        (with(&tlv(0x04, &[]).repeat(129)), Field),
        (with(&tlv(0x02, &[0xFF])), Field),
        (with(&tlv(0x05, &[0; 129])), Field),
        (with(&tlv(0x03, &[0; 3])), Field),
        (with(&[tlv(0x03, &[0; 4]), tlv(0x03, &[0; 4])].concat()), Field),
        (with(&tlv(0x20, &[1, 0, 0, 0])), Field),
        (with(&tlv(0x20, &[1, 0, 0, 0, 0, 0x21, 0, 9])), Field),
        (with(&tlv(0x03, &[0; 4])), ProxyHeaderError::Checksum),
        (too_large, TooLarge),
    ] {
        assert_eq!(parse(&bytes), Err(expected), "{bytes:?}");
    }
}

/// CRC32C one bit at a time, unlike the server's.
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |sum, byte| {
        (0..8)
            .fold(sum ^ u32::from(*byte), |sum: u32, _| (sum >> 1) ^ (0x82F6_3B78 & (sum & 1).wrapping_neg()))
    })
}

#[test]
fn the_fields_of_version_2() {
    assert_eq!(crc32c(b"123456789"), 0xE306_9283);
    let tls = [&[0x07, 0, 0, 0, 0][..], &tlv(0x21, b"TLSv1.3"), &tlv(0x22, b"client"), &tlv(0x23, b"SUITE")]
        .concat();
    let fields = [
        tlv(0x01, b"h2"),
        tlv(0x02, b"shop.example"),
        tlv(0x04, b"padding"),
        tlv(0x03, &[0; 4]),
        tlv(0x05, b"id-1"),
        tlv(0x20, &tls),
        tlv(0xEA, b"\x01vpce-1"),
    ];
    let mut bytes = v2(0x21, 0x11, &[TCP4, &fields.concat()].concat());
    let sum = crc32c(&bytes).to_be_bytes();
    let at = 16 + 12 + fields[..3].concat().len() + 3;
    bytes[at..at + 4].copy_from_slice(&sum);
    let header = parse(&bytes).unwrap();
    assert_eq!(header.application_protocol(), Some(&b"h2"[..]));
    assert_eq!((header.authority(), header.unique_id()), (Some("shop.example"), Some(&b"id-1"[..])));
    let tls = header.tls().unwrap();
    assert!(tls.is_tls() && tls.is_client_verified());
    assert_eq!(
        (tls.protocol(), tls.cipher(), tls.client_common_name()),
        (Some("TLSv1.3"), Some("SUITE"), Some("client"))
    );
    assert_eq!(header.tlvs().iter().map(|tlv| tlv.kind).collect::<Vec<_>>(), [1, 2, 4, 3, 5, 0x20, 0xEA]);
    for bit in 0..8 {
        let mut changed = bytes.clone();
        *changed.last_mut().unwrap() ^= 1 << bit;
        assert_eq!(parse(&changed), Err(ProxyHeaderError::Checksum));
    }
    // One that the proxy did not believe.
    let refused = [&[0x07, 0, 0, 0, 1][..], &tlv(0x22, b"client")].concat();
    let header = parse(&v2(0x21, 0x11, &[TCP4, &tlv(0x20, &refused)].concat())).unwrap();
    assert!(!header.tls().unwrap().is_client_verified());
}

proptest! {
    #[test]
    fn no_bytes_make_the_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), kind in 0..4_usize) {
        let begins = [Vec::new(), b"PROXY TCP4 ".to_vec(), SIGNATURE.to_vec(), v2(0x21, 0x11, TCP4)[..14].to_vec()];
        let bytes = [&begins[kind][..], &bytes].concat();
        if let Ok(Some((_, length))) = ProxyHeader::parse(&bytes) {
            prop_assert!(length <= bytes.len());
        }
    }
}

/// Tells who the app thinks the client is.
async fn who(request: Request<Body>) -> http::Response<Body> {
    let features = request.features();
    let connection = features.get::<dyn HttpConnectionFeature>().unwrap();
    let scheme = features.get::<dyn HttpSchemeFeature>().unwrap().scheme();
    let proxy = features.get::<dyn ProxyProtocolFeature>();
    let (version, proxy) = proxy.map_or((0, None), |proxy| (proxy.version(), proxy.proxy_address()));
    let shown =
        |address: Option<std::net::SocketAddr>| address.map_or("none".to_owned(), |at| at.to_string());
    let (remote, local) = (shown(connection.remote_address()), shown(connection.local_address()));
    let proxy = proxy.map_or("none".to_owned(), |proxy| proxy.ip().to_string());
    http::Response::new(Body::from(format!("{remote} {local} {scheme} {version} {proxy}")))
}

async fn answer(client: &mut Client) -> String {
    let response = client.get("/").await;
    assert_eq!(response.status, 200);
    String::from_utf8(response.body.to_vec()).unwrap()
}

#[tokio::test]
async fn the_app_sees_the_client_behind_the_proxy() {
    let endpoint = loopback().proxy_protocol(ProxyProtocolOptions::default());
    let running = start(options([endpoint]), who).await;
    let at = socket_address(&running.addresses()[0]);
    let mut client = Client::tcp(at).await;
    client.send("PROXY TCP4 192.0.2.7 198.51.100.1 50000 443\r\n").await;
    assert_eq!(answer(&mut client).await, "192.0.2.7:50000 198.51.100.1:443 http 1 127.0.0.1");
    assert_eq!(answer(&mut client).await, "192.0.2.7:50000 198.51.100.1:443 http 1 127.0.0.1");
    // In pieces, with the request right behind it.
    let tls = tlv(0x20, &[1, 0, 0, 0, 0]);
    let bytes = [&v2(0x21, 0x11, &[TCP4, &tls].concat())[..], b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"].concat();
    let mut client = Client::tcp(at).await;
    for piece in bytes.chunks(7) {
        client.send(piece).await;
    }
    let body = client.response().await.body;
    assert_eq!(&body[..], b"192.0.2.7:50000 198.51.100.1:443 https 2 127.0.0.1");
    // The proxy's own look whether the server is there.
    let mut client = Client::tcp(at).await;
    client.send(v2(0x20, 0, &[])).await;
    let seen = answer(&mut client).await;
    assert!(seen.starts_with("127.0.0.1:") && seen.ends_with(&format!(" {at} http 2 127.0.0.1")), "{seen}");
}

#[tokio::test]
async fn it_comes_before_tls() {
    let certificate = Certificate::new();
    let endpoint = loopback().https(certificate.https()).proxy_protocol(ProxyProtocolOptions::default());
    let running = start(options([endpoint]), who).await;
    let mut io = tokio::net::TcpStream::connect(socket_address(&running.addresses()[0])).await.unwrap();
    let header = v2(0x21, 0x11, TCP4);
    tokio::io::AsyncWriteExt::write_all(&mut io, &header).await.unwrap();
    let tls = connect_tls(io, client_config(&certificate, &["http/1.1"])).await.unwrap();
    assert_eq!(answer(&mut Client::new(tls)).await, "192.0.2.7:50000 198.51.100.1:443 https 2 127.0.0.1");
}

/// A server in memory whose endpoint has the layer, and why its connections ended.
async fn ending(options: ProxyProtocolOptions) -> (Memory, mpsc::UnboundedReceiver<Option<&'static str>>) {
    let (send, ends) = mpsc::unbounded_channel();
    let told = from_fn(move |connection: Connection, next: Next| {
        let (send, features) = (send.clone(), connection.features.clone());
        async move {
            let result = next.run(connection).await;
            let _ = send.send(features.get::<dyn ConnectionEndFeature>().and_then(|end| end.error_type()));
            result
        }
    });
    let change = |endpoint: Endpoint| endpoint.layer(told).layer(ProxyProtocolLayer::new(options).unwrap());
    (Memory::start_endpoint(change, who).await, ends)
}

#[tokio::test]
async fn what_is_no_header_and_who_is_not_trusted_is_cut_off() {
    let trusting = ProxyProtocolOptions { trust_unix_sockets: true, ..ProxyProtocolOptions::default() };
    let (memory, mut ends) = ending(trusting).await;
    for bytes in [&b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"[..], b"PROXY TCP4 a b c d\r\n", &v2(0x21, 0x41, TCP4)]
    {
        let mut client = memory.client().await;
        client.send(bytes).await;
        assert_eq!(&client.rest().await[..], b"");
        assert_eq!(soon(ends.recv()).await.unwrap(), Some("proxy_protocol_error"));
    }
    let mut client = memory.client().await;
    client.send("PROXY TCP4 192.0.2.7").await;
    client.finish_sending().await;
    assert_eq!(&client.rest().await[..], b"");
    // Peers without an address are not trusted by themselves, nor are those of other networks.
    let (memory, mut ends) = ending(ProxyProtocolOptions::default()).await;
    let mut client = memory.client().await;
    let _ = client.try_send("PROXY UNKNOWN\r\n").await;
    assert_eq!(&client.rest().await[..], b"");
    assert_eq!(soon(ends.recv()).await.unwrap(), Some("proxy_protocol_error"));
    let others = ProxyProtocolOptions {
        trusted_proxies: vec!["192.0.2.0/24".parse().unwrap()],
        ..ProxyProtocolOptions::default()
    };
    let running = start(options([loopback().proxy_protocol(others)]), who).await;
    let mut client = Client::tcp(socket_address(&running.addresses()[0])).await;
    let _ = client
        .try_send("PROXY TCP4 192.0.2.7 198.51.100.1 50000 443\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .await;
    client.closed().await;
}

#[tokio::test]
async fn options_with_which_every_connection_would_be_cut_off_are_refused() {
    let nobody = ProxyProtocolOptions { trusted_proxies: Vec::new(), ..ProxyProtocolOptions::default() };
    let unix_only = ProxyProtocolOptions { trust_unix_sockets: true, ..nobody.clone() };
    let no_time = ProxyProtocolOptions { header_timeout: Duration::ZERO, ..ProxyProtocolOptions::default() };
    let unix = || Endpoint::unix("/nonexistent/a.sock");
    for (endpoint, name) in [
        (loopback().proxy_protocol(nobody.clone()), "trusted_proxies of ProxyProtocolOptions is empty"),
        (loopback().proxy_protocol(unix_only.clone()), "trusted_proxies of ProxyProtocolOptions is empty"),
        (loopback().proxy_protocol(no_time.clone()), "header_timeout of ProxyProtocolOptions is 0"),
        (
            unix().proxy_protocol(ProxyProtocolOptions::default()),
            "trust_unix_sockets of ProxyProtocolOptions",
        ),
    ] {
        let error = start_error(options([endpoint.name("Bytes")])).await;
        let message = error.to_string();
        assert!(error.is_configuration() && message.contains(name), "{message}");
        assert!(message.contains("(endpoint \"Bytes\")"), "{message}");
    }
    for (wrong, name) in [(nobody, "trusted_proxies"), (no_time, "header_timeout")] {
        assert!(ProxyProtocolLayer::new(wrong).unwrap_err().to_string().contains(name));
    }
    ProxyProtocolLayer::new(unix_only).unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_header_that_does_not_come_in_time_ends_the_connection() {
    let options = ProxyProtocolOptions {
        trust_unix_sockets: true,
        header_timeout: Duration::from_secs(3),
        ..ProxyProtocolOptions::default()
    };
    let (memory, mut ends) = ending(options).await;
    let mut client = memory.client().await;
    let begun = tokio::time::Instant::now();
    client.send("PROXY TCP4 192").await;
    assert_eq!(&client.rest().await[..], b"");
    assert_eq!(begun.elapsed().as_secs(), 3);
    assert_eq!(soon(ends.recv()).await.unwrap(), Some("proxy_protocol_error"));
}

#[tokio::test]
async fn fields_behind_a_proxy_that_does_not_tell_the_client_are_not_believed() {
    let forwarded = ForwardedHeadersLayer::new(&ForwardedHeadersOptions {
        fields: ForwardedFields::ALL,
        ..ForwardedHeadersOptions::default()
    });
    let app = App::new(forwarded.unwrap().layer(App::new(who)));
    let running = start(options([loopback().proxy_protocol(ProxyProtocolOptions::default())]), app).await;
    let at = socket_address(&running.addresses()[0]);
    // The proxy itself is on loopback, which is known; it passes on what anybody sends.
    for (header, expected) in [
        ("PROXY UNKNOWN", "127.0.0.1:"),
        ("PROXY TCP4 192.0.2.7 198.51.100.1 50000 443", "192.0.2.7:"),
        ("PROXY TCP4 127.0.0.9 198.51.100.1 50000 443", "203.0.113.9:"),
    ] {
        let mut client = Client::tcp(at).await;
        client
            .send(format!("{header}\r\nGET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 203.0.113.9\r\n\r\n"))
            .await;
        let seen = client.response().await.body;
        assert!(seen.starts_with(expected.as_bytes()), "{header}: {seen:?}");
    }
}
