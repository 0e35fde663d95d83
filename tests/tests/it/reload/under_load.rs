//! Fifty changes of certificates and options while clients ask, none of whose requests may fail.
//!
//! The clients are as real ones are: they go on with a connection until the server says `connection: close` or GOAWAY,
//! and then open a new one. A request of HTTP/2 that is on its way when GOAWAY comes, and of which GOAWAY says that the
//! server has not looked at it, is sent once more on the new one (RFC 9113, section 6.8). h2 sends the answer to the
//! server's PING before requests that wait to be sent, so that there are such ones.

mod clients;

use std::net::Ipv6Addr;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::{Request, Response};
use server_abstractions::{Body, Running};
use server_kestrel::{
    CertificateFile, Endpoint, HttpProtocols, HttpsOptions, KestrelOptions, Limits, TlsLayer, TlsVersions,
};
use tokio::sync::watch;
use tokio::time::sleep;

use super::{address, reloading};
use crate::program::Folder;
use crate::support::{Authority, Issued, loopback, options, until, within};
use clients::{Clients, body_of};

/// Answers with what was asked for, some of it late and some of it large.
async fn app(request: Request<Body>) -> Response<Body> {
    let number: usize = request.uri().path()[1..].parse().unwrap();
    if number.is_multiple_of(7) {
        sleep(Duration::from_millis(20)).await;
    }
    Response::new(Body::from(body_of(number)))
}

/// A certificate in one file, replaced by rename.
struct Renamed(PathBuf);

impl Renamed {
    fn place(&self, issued: &Issued) {
        let temporary = self.0.with_extension("new");
        std::fs::write(&temporary, format!("{}{}", issued.pem, issued.key_pem)).unwrap();
        std::fs::rename(temporary, &self.0).unwrap();
    }

    fn https(&self) -> HttpsOptions {
        HttpsOptions::certificate_file(CertificateFile::new(&self.0))
    }
}

/// A certificate and its key in a folder as Kubernetes mounts a secret: links to files below `..data`, which is a link
/// to a folder that is replaced by rename.
struct Mounted(PathBuf);

impl Mounted {
    fn new(folder: &Path, first: &Issued) -> Self {
        let this = Self(folder.join("secret"));
        std::fs::create_dir_all(&this.0).unwrap();
        for name in ["tls.crt", "tls.key"] {
            symlink(Path::new("..data").join(name), this.0.join(name)).unwrap();
        }
        this.place(first, 0);
        this
    }

    fn place(&self, issued: &Issued, version: usize) {
        let name = format!("..version-{version}");
        std::fs::create_dir(self.0.join(&name)).unwrap();
        std::fs::write(self.0.join(&name).join("tls.crt"), &issued.pem).unwrap();
        std::fs::write(self.0.join(&name).join("tls.key"), &issued.key_pem).unwrap();
        let old = std::fs::read_link(self.0.join("..data"));
        symlink(&name, self.0.join("..data-new")).unwrap();
        std::fs::rename(self.0.join("..data-new"), self.0.join("..data")).unwrap();
        if let Ok(old) = old {
            std::fs::remove_dir_all(self.0.join(old)).unwrap();
        }
    }

    fn https(&self) -> HttpsOptions {
        HttpsOptions::pem_files(self.0.join("tls.crt"), self.0.join("tls.key"))
    }
}

/// A server with an endpoint for each way to replace a certificate.
struct Site {
    authority: Authority,
    renamed: Renamed,
    mounted: Mounted,
    change: watch::Sender<KestrelOptions>,
    running: Running,
    _folder: Folder,
}

impl Site {
    async fn start() -> Self {
        let (folder, authority) = (Folder::new(), Authority::new());
        let renamed = Renamed(folder.path().join("both.pem"));
        renamed.place(&authority.issue("localhost"));
        let mounted = Mounted::new(folder.path(), &authority.issue("localhost"));
        let other = Endpoint::tcp((Ipv6Addr::LOCALHOST, 0).into());
        let endpoints = [loopback().https(renamed.https()), other.https(mounted.https())];
        let (change, running) = reloading(options(endpoints), app).await;
        Self { authority, renamed, mounted, change, running, _folder: folder }
    }

    /// A new certificate for one of the endpoints.
    fn change_certificate(&self, number: usize) -> Issued {
        let issued = self.authority.issue("localhost");
        match number % 2 {
            0 => self.renamed.place(&issued),
            _ => self.mounted.place(&issued, number + 1),
        }
        issued
    }

    fn change_options(&self, number: usize) {
        self.change.send_modify(|options| {
            let https = options.endpoints.iter_mut().filter_map(|endpoint| endpoint.https.as_mut());
            match number % 5 {
                0 => https.for_each(|https| https.tls_versions = TlsVersions::Tls13),
                1 => https.for_each(|https| https.tls_versions = TlsVersions::Tls12),
                2 => https.for_each(|https| https.tls_versions = TlsVersions::Tls12AndTls13),
                3 => options.limits.max_request_header_count = 40 + number as u32,
                _ => options.limits = Limits::default(),
            }
            let protocols = [HttpProtocols::Http1AndHttp2, HttpProtocols::Http1];
            // Not both endpoints in the same way.
            options.endpoints[0].protocols = protocols[number / 2 % 2];
            options.endpoints[1].protocols = protocols[number / 4 % 2];
        });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_changes_under_load_fail_no_request() {
    let site = Site::start().await;
    let clients = Clients::start(&site.authority, [address(&site.running, 0), address(&site.running, 1)]);
    let mut issued = Vec::new();
    within(Duration::from_secs(28), async {
        until(|| clients.each_has_connected_since(&[])).await;
        for number in 0..25 {
            let before = clients.connections();
            site.change_options(number);
            // Everybody hears of it from an answer, and comes back.
            until(|| clients.each_has_connected_since(&before)).await;
            issued.push(site.change_certificate(number));
            sleep(Duration::from_millis(20)).await;
        }
        // The last two certificates, one on each endpoint, are found without a change of options.
        until(|| issued.iter().rev().take(2).all(|issued| clients.have_seen(&issued.der))).await;
    })
    .await;
    let tally = clients.stop().await;
    assert!(tally.failures.is_empty(), "{:?}, of {} requests", tally.failures, tally.answers);
    assert!(tally.certificates.len() >= 20, "{} certificates in 27", tally.certificates.len());
    assert!(tally.told_to_close >= 200, "{} of {}", tally.told_to_close, tally.connections);
    assert_eq!(tally.agreed.len(), 4, "each version of TLS with each protocol: {:?}", tally.agreed);
}

/// The links of a mounted secret are resolved one after the other, so that a reader may meet a new certificate and an old
/// key, or a folder that is gone.
#[test]
fn a_certificate_that_is_being_replaced_is_read_as_a_whole() {
    let (folder, authority) = (Folder::new(), Authority::new());
    let pairs = [authority.issue("localhost"), authority.issue("localhost")];
    let mounted = Mounted::new(folder.path(), &pairs[0]);
    let is_over = AtomicBool::new(false);
    let mut failures = Vec::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for version in 1.. {
                if is_over.load(Ordering::Relaxed) {
                    return;
                }
                mounted.place(&pairs[version % 2], version);
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        let read = || TlsLayer::new(&mounted.https(), HttpProtocols::default());
        failures.extend((0..500).filter_map(|_| read().err()).map(|error| format!("{error:?}")));
        is_over.store(true, Ordering::Relaxed);
    });
    assert_eq!(failures, Vec::<String>::new());
}
