//! `cargo host dev-certs https`: its exit codes, its files as OpenSSL reads them, and the databases of browsers.
//!
//! The store of the system stays as it is: the tool finds no program in its `PATH` that could change it.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use crate::program::{Folder, Launch, curl, output_of};

/// A user without anything.
pub(crate) struct User {
    pub(crate) home: Folder,
}

impl User {
    pub(crate) fn new() -> Self {
        Self { home: Folder::new() }
    }

    fn file(&self, name: &str) -> String {
        self.home.path().join(name).display().to_string()
    }

    fn certificate(&self) -> PathBuf {
        self.home.path().join(".local/share/server-kestrel/dev-certs/localhost.pem")
    }

    /// The exit code, the standard output and the standard error.
    async fn run(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        let launch = Launch::of("cargo-host").env("HOME", self.home.path()).env("XDG_DATA_HOME", "");
        let launch = launch.env("PATH", self.home.path().join("bin"));
        let end = launch.args(["host", "dev-certs", "https"]).args(arguments).spawn().end().await;
        (end.code, end.stdout.join("\n"), end.stderr)
    }

    #[track_caller]
    pub(crate) fn ends_with(&self, code: i32, arguments: &str) -> impl Future<Output = String> {
        let arguments: Vec<_> = arguments.split_whitespace().map(str::to_owned).collect();
        async move {
            let words: Vec<_> = arguments.iter().map(String::as_str).collect();
            let (ended, output, error) = self.run(&words).await;
            assert_eq!(ended, Some(code), "{words:?}: {output}{error}");
            assert_eq!(code == 0, error.is_empty(), "{words:?}: {error}");
            output + &error
        }
    }

    /// Gives the user a `certutil`, and the empty database of a browser.
    pub(crate) async fn browser(&self, folder: &str) -> String {
        let bin = self.home.path().join("bin");
        fs::create_dir_all(&bin).expect("a folder");
        let path = std::env::var_os("PATH").expect("a PATH");
        let certutil = std::env::split_paths(&path).map(|folder| folder.join("certutil"));
        let certutil = certutil.into_iter().find(|path| path.is_file());
        let certutil = certutil.expect("certutil is missing: install it, or run ./test");
        let _ = symlink(certutil, bin.join("certutil"));
        fs::create_dir_all(self.home.path().join(folder)).expect("a folder");
        let database = format!("sql:{}", self.file(folder));
        output_of("certutil", ["-N", "-d", &database, "--empty-password"]).await;
        database
    }
}

#[tokio::test]
async fn a_certificate_is_made_found_and_removed() {
    let user = User::new();
    let missing = user.ends_with(6, "--check").await;
    assert!(missing.contains("cargo host dev-certs https"), "{missing}");
    assert!(user.ends_with(0, "").await.contains("made a certificate"));
    let made = fs::read(user.certificate()).expect("a file");
    assert!(user.ends_with(0, "--check").await.contains("valid until"));
    assert_eq!(user.ends_with(0, "-q").await, "");
    assert_eq!(fs::read(user.certificate()).expect("a file"), made, "the valid one stays");
    assert!(user.ends_with(0, "--clean").await.contains("removed"));
    assert!(!user.certificate().exists());
    user.ends_with(0, "--clean").await;
    user.ends_with(6, "-c").await;
}

#[tokio::test]
async fn a_program_uses_the_certificate_of_the_tool() {
    let user = User::new();
    user.ends_with(0, "").await;
    let made = fs::read(user.certificate()).expect("a file");
    let launch = Launch::of("hello").env("ASPNETCORE_ENVIRONMENT", "Development");
    let launch = launch.env("HOME", user.home.path()).env("XDG_DATA_HOME", "");
    let program = launch.args(["--urls", "https://127.0.0.1:0"]).start().await;
    let trusted = user.certificate().with_extension("crt").display().to_string();
    curl(["--cacert", &trusted, &program.url("/")]).await;
    assert_eq!(fs::read(user.certificate()).expect("a file"), made);
}

#[tokio::test]
async fn what_cannot_be_used_is_told_and_replaced() {
    let user = User::new();
    user.ends_with(0, "").await;
    let certificate = user.certificate().with_extension("crt");
    fs::copy(certificate, user.certificate()).expect("a file");
    let error = user.ends_with(9, "--check").await;
    assert!(error.contains("localhost.pem") && error.contains("there is no PRIVATE KEY"), "{error}");
    assert!(user.ends_with(0, "").await.contains("made a certificate"));
    user.ends_with(0, "--check").await;
}

#[tokio::test]
async fn wrong_options_do_nothing() {
    let user = User::new();
    for arguments in ["--check --clean", "--check -ep a", "-i a -p b", "-ep a -np", "--nope"] {
        let error = user.ends_with(255, arguments).await;
        assert!(error.contains("see 'cargo host dev-certs --help'"), "{error}");
    }
    user.ends_with(10, "-ep a --format Der").await;
    assert!(!user.certificate().exists());
}

#[tokio::test]
async fn pkcs12_is_encrypted_as_today() {
    let user = User::new();
    let file = user.file("new/folder/app.pfx");
    user.ends_with(0, &format!("-ep {file} -p secret")).await;
    let text =
        output_of("openssl", ["pkcs12", "-in", &file, "-passin", "pass:secret", "-nodes", "-info"]).await;
    assert!(text.contains("BEGIN PRIVATE KEY") && text.contains("BEGIN CERTIFICATE"), "{text}");
    assert_eq!(fs::metadata(&file).expect("a file").permissions().mode() & 0o777, 0o600);
    // Without a password it is the certificate alone.
    user.ends_with(0, &format!("--export-path {file}")).await;
    let subject = output_of("openssl", ["x509", "-inform", "der", "-in", &file, "-noout", "-subject"]).await;
    assert!(subject.contains("localhost"), "{subject}");
}

#[tokio::test]
async fn pem_is_a_pair_of_files() {
    let user = User::new();
    let (file, key) = (user.file("app.pem"), user.file("app.key"));
    user.ends_with(0, &format!("-ep {file} --format Pem")).await;
    assert!(!fs::exists(&key).expect("a folder"), "the certificate alone");

    user.ends_with(0, &format!("-ep {file} --format Pem --password secret")).await;
    assert!(fs::read_to_string(&key).expect("a file").starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----"));
    let structure = output_of("openssl", ["asn1parse", "-in", &key]).await;
    for part in ["PBES2", "PBKDF2", ":0186A0", "hmacWithSHA256", "aes-256-cbc"] {
        assert!(structure.contains(part), "{part}: {structure}");
    }
    let public = output_of("openssl", ["pkey", "-in", &key, "-passin", "pass:secret", "-pubout"]).await;
    assert_eq!(output_of("openssl", ["x509", "-in", &file, "-noout", "-pubkey"]).await, public);

    user.ends_with(0, &format!("-ep {file} --format Pem --no-password")).await;
    assert_eq!(output_of("openssl", ["pkey", "-in", &key, "-pubout"]).await, public);
    assert_eq!(fs::metadata(&key).expect("a file").permissions().mode() & 0o777, 0o600);
    let error = user.ends_with(3, &format!("-ep {key} --format Pem -np")).await;
    assert!(error.contains("another ending"), "{error}");
    user.ends_with(3, "-ep /dev/null/app.pfx").await;
}

#[tokio::test]
async fn an_exported_certificate_can_be_imported() {
    let (user, other) = (User::new(), User::new());
    let file = user.file("app.pfx");
    user.ends_with(0, &format!("-ep {file} -p secret")).await;
    other.ends_with(0, "").await;
    other.ends_with(12, "--clean -i nowhere -p secret").await;
    other.ends_with(13, &format!("--clean -i {file} -p wrong")).await;
    assert_ne!(
        fs::read(other.certificate()).ok(),
        fs::read(user.certificate()).ok(),
        "its own is still there"
    );
    other.ends_with(0, &format!("--clean -i {file} -p secret")).await;
    assert_eq!(fs::read(other.certificate()).ok(), fs::read(user.certificate()).ok());
}

#[tokio::test]
async fn a_certificate_of_another_kind_is_not_imported() {
    let user = User::new();
    let (certificate, key, file) = (user.file("c"), user.file("k"), user.file("p"));
    let make =
        ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-out", &certificate];
    let marker = "1.3.6.1.4.1.311.84.1.1=DER:02";
    for (extra, code) in [("basicConstraints=CA:FALSE", 14), (marker, 0)] {
        output_of("openssl", make.iter().chain(&["-keyout", &key, "-addext", extra])).await;
        let pack = ["pkcs12", "-export", "-in", &certificate, "-inkey", &key, "-out", &file];
        output_of("openssl", pack.iter().chain(&["-passout", "pass:x"])).await;
        user.ends_with(code, &format!("--clean -i {file} -p x")).await;
    }
    // As the original's tools make it: RSA.
    user.ends_with(0, "--check").await;
}

#[tokio::test]
async fn browsers_trust_it_and_what_could_not_be_done_is_said() {
    let user = User::new();
    let chromium = user.browser(".pki/nssdb").await;
    let firefox = user.browser(".mozilla/firefox/a.default").await;
    user.ends_with(0, "").await;
    let check = user.ends_with(7, "--check --trust").await;
    assert!(check.contains("not trusted by Chromium") && check.contains("not trusted by Firefox"), "{check}");

    for _ in 0..2 {
        // The system is not ours to change.
        let text = user.ends_with(4, "--trust").await;
        assert!(text.contains("trusted by Chromium") && text.contains("trusted by Firefox"), "{text}");
        assert!(text.contains("not trusted by the system") && text.contains("by hand: "), "{text}");
    }
    output_of("certutil", ["-V", "-u", "V", "-n", "server-kestrel-localhost", "-d", &chromium]).await;
    let list = output_of("certutil", ["-L", "-d", &firefox]).await;
    assert!(list.contains("C,,"), "{list}");
    let check = user.ends_with(7, "--check --trust").await;
    assert_eq!(check.matches("\ntrusted by").count(), 2, "{check}");
    assert!(check.contains("not trusted by the system") || check.contains("not known"), "{check}");

    user.ends_with(0, "--clean").await;
    for database in [chromium, firefox] {
        let list = output_of("certutil", ["-L", "-d", &database]).await;
        assert!(!list.contains("server-kestrel"), "{list}");
    }
}

#[tokio::test]
async fn without_certutil_the_tool_says_where_it_comes_from() {
    let user = User::new();
    user.browser(".pki/nssdb").await;
    fs::remove_file(user.home.path().join("bin/certutil")).expect("a link");
    let text = user.ends_with(4, "--trust").await;
    assert!(text.contains("libnss3-tools") && text.contains("nss-tools"), "{text}");
}
