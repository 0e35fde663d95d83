//! The certificate for `https` addresses in the Development environment.

use dev_certs::Store;
use server_kestrel::{HttpsOptions, KestrelOptions};
use tracing::Level;

use crate::Error;

/// Whether something listens with TLS and nobody has said with which certificate.
pub(crate) fn is_needed(options: &KestrelOptions, has_https_urls: bool) -> bool {
    let has_default = options.https_defaults.as_ref().is_some_and(|defaults| !defaults.needs_certificate());
    let mut endpoints = options.endpoints.iter().filter_map(|endpoint| endpoint.https.as_ref());
    let is_needed = has_https_urls || endpoints.any(HttpsOptions::needs_certificate);
    is_needed && !has_default
}

/// The certificate of the user, made if there is none that is valid. That one was made is told in `messages`.
pub(crate) fn find_or_create(messages: &mut Vec<(Level, String)>) -> Result<HttpsOptions, Error> {
    let store = Store::of_user().ok_or_else(|| {
        Error::new("there is no place for a development certificate: neither XDG_DATA_HOME nor HOME is set; configure Kestrel:Certificates:Default:Path and :KeyPath")
    })?;
    let (_, is_new) = store.find_or_make().map_err(|error| {
        let message = format!("cannot make a development certificate in {}", store.folder().display());
        Error::new(message).with_source(error)
    })?;
    if is_new {
        let message = format!(
            "made a development certificate; clients warn of it until they trust {}: cargo host dev-certs https --trust",
            store.certificate_file().display()
        );
        messages.push((Level::INFO, message));
    }
    let pem = store.pair_file();
    Ok(HttpsOptions::pem_files(&pem, &pem))
}
