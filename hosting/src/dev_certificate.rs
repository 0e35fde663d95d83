//! The certificate for `https` addresses in the Development environment.

use dev_certs::Store;
use server_kestrel::HttpsOptions;
use tracing::Level;

use crate::Error;

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
