//! Keys of session tickets that processes share.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::SystemTime;

use server_kestrel::{ConfiguredAt, SessionOptions, TicketKeys, TlsLayer};

use server_kestrel::ServerCertificate;

use super::tool::{Begun, Server};
use super::*;

const KEY: usize = 80;
const HOUR: Duration = Duration::from_secs(3600);
const VERSIONS: [&str; 2] = ["-tls1_2", "-tls1_3"];

/// A key like no other one.
fn key(number: u8) -> Vec<u8> {
    (0..KEY as u8).map(|index| index.wrapping_mul(7).wrapping_add(number)).collect()
}

/// Puts keys in the place of those that were there.
fn place(folder: &Folder, keys: &[Vec<u8>]) -> PathBuf {
    let (path, temporary) = (folder.0.join("keys"), folder.0.join("new"));
    std::fs::write(&temporary, keys.concat()).unwrap();
    std::fs::set_permissions(&temporary, PermissionsExt::from_mode(0o600)).unwrap();
    std::fs::rename(temporary, &path).unwrap();
    path
}

/// TLS with one certificate and these keys; sessions are never remembered.
fn https(certificate: &ServerCertificate, path: &Path, rotation: Option<Duration>) -> HttpsOptions {
    let ticket_keys =
        TicketKeys::File { path: path.to_owned(), rotation, configured_at: ConfiguredAt::default() };
    HttpsOptions {
        certificate: Some(certificate.clone()),
        sessions: SessionOptions { ticket_keys, cache_size: 0, ..SessionOptions::default() },
        ..HttpsOptions::default()
    }
}

fn certificate() -> ServerCertificate {
    Authority::new().issue("localhost").certificate()
}

#[tokio::test]
async fn a_session_goes_on_with_every_server_that_has_its_key() {
    let (folder, certificate) = (Folder::new("shared"), certificate());
    let serve = async |keys: &[Vec<u8>]| {
        let path = place(&folder, keys);
        Server::start(https(&certificate, &path, None), hello).await
    };
    let first = serve(&[key(1)]).await;
    for version in VERSIONS {
        first.keep(&folder.0, &version[1..], version).await;
    }
    for (keys, expected) in [
        (&[key(1)][..], Begun::Reused),
        // It was the newest, and decrypts still.
        (&[key(2), key(1)], Begun::Reused),
        (&[key(3), key(2)], Begun::New),
        // The name alone is nothing.
        (&[[&key(1)[..16], &key(2)[16..]].concat()], Begun::New),
    ] {
        let second = serve(keys).await;
        for version in VERSIONS {
            let again = second.again(&folder.0, &version[1..], version).await;
            assert_eq!(again, expected, "{version}, {} keys", keys.len());
        }
    }
}

#[tokio::test]
async fn keys_that_change_are_used_and_broken_ones_are_not() {
    let (folder, certificate) = (Folder::new("changed"), certificate());
    let path = place(&folder, &[key(1)]);
    let server = Server::start(https(&certificate, &path, None), hello).await;
    server.keep(&folder.0, "first", "-tls1_2").await;
    assert_eq!(server.again(&folder.0, "first", "-tls1_2").await, Begun::Reused);
    place(&folder, &[key(2)]);
    let refused = async {
        while server.again(&folder.0, "first", "-tls1_2").await == Begun::Reused {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), refused).await.expect("the new key is used");
    server.keep(&folder.0, "second", "-tls1_2").await;
    std::fs::write(&path, "broken").unwrap();
    tokio::time::sleep(Duration::from_millis(2100)).await;
    for _ in 0..2 {
        assert_eq!(server.again(&folder.0, "second", "-tls1_2").await, Begun::Reused);
    }
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn the_server_makes_the_file_and_adds_keys() {
    let (folder, certificate) = (Folder::new("rotated"), certificate());
    let path = folder.0.join("keys");
    let https = https(&certificate, &path, Some(6 * HOUR));
    let servers = [Server::start(https.clone(), hello).await, Server::start(https, hello).await];
    let first = std::fs::read(&path).unwrap();
    assert_eq!((first.len(), mode(&path)), (KEY, 0o600));
    servers[0].keep(&folder.0, "session", "-tls1_3").await;
    assert_eq!(servers[1].again(&folder.0, "session", "-tls1_3").await, Begun::Reused);

    // The time has come: one of both adds a key, and both take it.
    let file = std::fs::File::options().append(true).open(&path).unwrap();
    file.set_modified(SystemTime::now() - 7 * HOUR).unwrap();
    let rotated = async {
        while std::fs::read(&path).unwrap() == first {
            for server in &servers {
                assert_eq!(server.again(&folder.0, "session", "-tls1_3").await, Begun::Reused);
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), rotated).await.expect("there is a new key");
    let second = std::fs::read(&path).unwrap();
    assert_eq!((second.len(), mode(&path)), (2 * KEY, 0o600));
    assert_eq!(second[KEY..], first);
    assert_ne!(second[..KEY], first);
    for server in &servers {
        assert_eq!(server.again(&folder.0, "session", "-tls1_3").await, Begun::Reused);
    }
    let mut names: Vec<_> =
        folder.0.read_dir().unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, ["keys", "keys.lock", "session"], "nothing is left behind");
}

#[tokio::test]
async fn a_start_removes_keys_that_nothing_valid_was_encrypted_with() {
    let (folder, certificate) = (Folder::new("old"), certificate());
    for (age, kept) in [
        // The newest key encrypted until now, the next ones until 7, 13 and 19 hours ago: sessions live for 12.
        (7 * HOUR, 2),
        // Nobody was there for two days.
        (48 * HOUR, 1),
        // It is not time.
        (5 * HOUR, 0),
    ] {
        let old = [key(4), key(3), key(2), key(1)];
        let path = place(&folder, &old);
        std::fs::File::options()
            .append(true)
            .open(&path)
            .unwrap()
            .set_modified(SystemTime::now() - age)
            .unwrap();
        TlsLayer::new(&https(&certificate, &path, Some(6 * HOUR)), HttpProtocols::default()).unwrap();
        let now = std::fs::read(&path).unwrap();
        if kept == 0 {
            assert_eq!(now, old.concat());
        } else {
            assert_eq!(now[KEY..], old[..kept].concat(), "{age:?}");
        }
    }
}

#[test]
fn of_servers_that_start_at_once_one_makes_the_file() {
    let (folder, certificate) = (Folder::new("at-once"), certificate());
    let path = folder.0.join("keys");
    let https = https(&certificate, &path, Some(HOUR));
    std::thread::scope(|scope| {
        let starts: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    TlsLayer::new(&https, HttpProtocols::default()).unwrap();
                    std::fs::read(&path).unwrap()
                })
            })
            .collect();
        let seen: Vec<_> = starts.into_iter().map(|start| start.join().unwrap()).collect();
        assert!(seen.iter().all(|keys| keys.len() == KEY && *keys == seen[0]));
    });
}

#[test]
fn files_that_hold_no_keys_are_refused_with_what_to_do() {
    let (folder, certificate) = (Folder::new("refused"), certificate());
    let refused = |path: &Path, rotation: Option<Duration>| {
        let error =
            TlsLayer::new(&https(&certificate, path, rotation), HttpProtocols::default()).unwrap_err();
        let shown = error.to_string();
        assert!(error.is_configuration() && shown.contains(&path.display().to_string()), "{shown}");
        shown
    };
    for (keys, expected) in [
        (vec![], "openssl rand 80"),
        (vec![key(1)[..79].to_vec()], "1 to 64 keys of 80 bytes"),
        (vec![key(1); 65], "1 to 64 keys of 80 bytes"),
        (vec![key(1), key(1)], "key 2 has the name of one before it"),
        (vec![key(1), vec![0; 80]], "key 2 is not random"),
    ] {
        let path = place(&folder, &keys);
        assert!(refused(&path, None).contains(expected), "{expected}");
    }
    let path = place(&folder, &[key(1)]);
    for mode in [0o644, 0o620, 0o602] {
        std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        assert!(refused(&path, None).contains("chmod it to 600"), "{mode:o}");
    }
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).unwrap();
    TlsLayer::new(&https(&certificate, &path, None), HttpProtocols::default()).unwrap();
    assert!(refused(&folder.0, None).contains("it is no file"));
    assert!(refused(&folder.0.join("missing"), None).contains("cannot read the file"));
    let nowhere = folder.0.join("missing/keys");
    assert!(refused(&nowhere, Some(HOUR)).contains("its folder must be there and writable"));
    // A broken file is nobody's to replace.
    let broken = place(&folder, &[b"broken".to_vec()]);
    std::fs::File::options()
        .append(true)
        .open(&broken)
        .unwrap()
        .set_modified(SystemTime::UNIX_EPOCH)
        .unwrap();
    refused(&broken, Some(HOUR));
    assert_eq!(std::fs::read(&broken).unwrap(), b"broken");
}
