//! Certificates in stores, and the exported development certificate.

use std::path::Path;

use server_kestrel::{FindCertificate, StoredCertificate};

use super::*;

/// The default certificate with these keys.
fn default(keys: &str) -> Result<Option<ServerCertificate>, String> {
    let text = format!(r#"{{ "Kestrel": {{ "Certificates": {{ "Default": {{ {keys} }} }} }} }}"#);
    options(&text).map(|options| options.https_defaults.and_then(|https| https.certificate))
}

#[test]
fn a_certificate_in_a_store_is_known_by_subject_or_thumbprint() {
    let subject = |text: &str| FindCertificate::Subject(text.to_owned());
    let thumbprint = "ab".repeat(20);
    let of_user = dev_certs::user_folder().map(|folder| folder.join("certificates/My"));
    let machine = Path::new("/etc/server-kestrel/certificates/WebHosting").to_owned();
    for (keys, folder, find, allow_invalid, password) in [
        (r#""Subject": "a.test""#.to_owned(), of_user, subject("a.test"), false, None),
        (
            r#""Subject": "CN=a", "Store": "WebHosting", "Location": "localMachine""#.to_owned(),
            Some(machine),
            subject("CN=a"),
            false,
            None,
        ),
        (
            format!(
                r#""Thumbprint": "{thumbprint}", "StoreFolder": "certs", "AllowInvalid": true, "Password": "p""#
            ),
            Some("/app/certs".into()),
            FindCertificate::Thumbprint(thumbprint),
            true,
            Some("p".to_owned()),
        ),
    ] {
        // Without a home there is no folder of the user.
        let Some(folder) = folder else { continue };
        let expected =
            StoredCertificate { folder, find, allow_invalid, password, configured_at: Default::default() };
        assert_eq!(default(&keys), Ok(Some(ServerCertificate::Store(expected))), "{keys}");
    }
}

#[test]
fn keys_that_do_not_fit_are_refused_with_their_place() {
    for (keys, key, reason) in [
        (r#""Subject": "a", "Path": "b""#, "Path", "not both"),
        (r#""KeyPath": "a", "Thumbprint": "b""#, "KeyPath", "not both"),
        (r#""AllowInvalid": false, "Path": "b""#, "Path", "not both"),
        (r#""Store": "My""#, "Subject", "needs a Subject or a Thumbprint"),
        (r#""Subject": "a", "Thumbprint": "b""#, "Thumbprint", "not both"),
        (r#""Subject": " ""#, "Subject", "must not be empty"),
        (r#""Thumbprint": "abc""#, "Thumbprint", "40 (SHA-1) or 64 (SHA-256)"),
        (r#""Subject": "a", "Store": "../x""#, "Store", "it must be a name"),
        (r#""Subject": "a", "Store": "My", "StoreFolder": "x""#, "StoreFolder", "not both"),
        (r#""Subject": "a", "Location": "Nowhere""#, "Location", "LocalMachine"),
        (r#""Name": "x", "Password": "y""#, "Name", "not both"),
    ] {
        let error = default(keys).unwrap_err();
        let place = format!("Kestrel:Certificates:Default:{key}");
        assert!(error.contains(&place) && error.contains(reason), "{keys}: {error}");
    }
}

#[test]
fn a_password_of_the_development_certificate_needs_its_export() {
    let text = r#"{ "Kestrel": { "Certificates": { "Development": { "Password": "p" } } } }"#;
    let configuration = Configuration::builder().json_text("appsettings.json", text).build().unwrap();
    let environment =
        HostEnvironment { application_name: "no-such-application".to_owned(), ..HostEnvironment::default() };
    let mut options = KestrelOptions::default();
    let error = apply(&configuration, &environment, &mut options).unwrap_err().to_string();
    assert!(error.contains("Kestrel:Certificates:Development:"), "{error}");
    if dev_certs::user_folder().is_some() {
        assert!(error.contains("https/no-such-application.pfx") && error.contains("cargo host dev-certs"));
    }
    // The code's own certificate comes first.
    options.https_defaults = Some(HttpsOptions::pem_files("a", "b"));
    assert_eq!(apply(&configuration, &environment, &mut options).map_err(|error| error.to_string()), Ok(()));
}
