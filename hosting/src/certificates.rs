//! The certificates of the server, and a warning before they expire.

use std::time::{Duration, SystemTime};

use server_kestrel::{HttpsOptions, KestrelOptions, ServerCertificate};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::{CancellationToken, HostedService};

/// How long before its end a certificate is warned of.
const EARLY: Duration = Duration::from_secs(14 * 24 * 3600);

/// How often certificates are looked at that stay as they are.
const PERIOD: Duration = Duration::from_secs(24 * 3600);

/// How long files may take.
const READING: Duration = Duration::from_secs(30);

/// The certificates of the endpoints, by what they are for.
pub(crate) fn of_options(options: &KestrelOptions) -> Vec<(String, ServerCertificate)> {
    let mut found = Vec::new();
    let mut add = |what: &str, https: &HttpsOptions| {
        found.extend(https.certificate.clone().map(|certificate| (what.to_owned(), certificate)));
        for (name, sni) in &https.sni {
            found.extend(sni.certificate.clone().map(|certificate| (format!("{what}, {name}"), certificate)));
        }
    };
    if let Some(defaults) = &options.https_defaults {
        add("default", defaults);
    }
    for endpoint in &options.endpoints {
        if let Some(https) = &endpoint.https {
            add(&endpoint.name.clone().unwrap_or_else(|| endpoint.to_string()), https);
        }
    }
    found
}

/// Warns of certificates that are about to expire: at the start, when the options change, and daily.
pub(crate) fn watching(mut options: watch::Receiver<KestrelOptions>) -> impl HostedService {
    crate::background("certificates", async move |stopping: CancellationToken| {
        let watched = async {
            loop {
                let certificates = of_options(&options.borrow_and_update());
                let looking = tokio::task::spawn_blocking(move || warn_of(certificates));
                if timeout(READING, looking).await.is_err() {
                    tracing::warn!(
                        "certificates could not be read within {READING:?}, so that nobody knows when they expire"
                    );
                }
                // Nobody changes the options of a server that follows none.
                if let Ok(Err(_)) = timeout(PERIOD, options.changed()).await {
                    tokio::time::sleep(PERIOD).await;
                }
            }
        };
        stopping.run_until_cancelled::<_>(watched).await;
        Ok(())
    })
}

/// Each certificate once, with all that it is for. What cannot be read is for the server to tell.
fn warn_of(certificates: Vec<(String, ServerCertificate)>) {
    let mut each: Vec<(String, ServerCertificate)> = Vec::new();
    for (what, certificate) in certificates {
        match each.iter_mut().find(|(_, other)| *other == certificate) {
            Some((names, _)) => *names = format!("{names}; {what}"),
            None => each.push((what, certificate)),
        }
    }
    let now = SystemTime::now();
    for (endpoints, certificate) in each {
        let Ok(Some(read)) = certificate.read() else { continue };
        let not_after = httpdate::fmt_http_date(read.not_after().max(SystemTime::UNIX_EPOCH));
        let subject = read.subject();
        if read.not_after() <= now {
            tracing::warn!(
                endpoints,
                ?certificate,
                subject,
                not_after,
                "a certificate has expired; renew it"
            );
        } else if read.not_after() < now + EARLY {
            tracing::warn!(
                endpoints,
                ?certificate,
                subject,
                not_after,
                "a certificate expires in less than 14 days; renew it"
            );
        }
    }
}
