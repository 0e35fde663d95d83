//! The certificates, read anew from time to time.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;
use server_abstractions::SubjectAlternativeName;
use server_kestrel::ServerCertificate;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::requests::shortened;

/// How old what is shown may be.
const FRESH: Duration = Duration::from_secs(10);

/// How long the files may take.
const READING: Duration = Duration::from_secs(5);

/// As many names of a certificate are shown.
const SHOWN_NAMES: usize = 20;

/// What was read last, by one for all.
#[derive(Debug, Default)]
pub(super) struct Certificates(tokio::sync::Mutex<Read>);

#[derive(Debug, Default)]
struct Read {
    rows: Arc<Vec<CertificateRow>>,
    /// When it was tried last.
    tried: Option<Instant>,
    /// One that takes long.
    reading: Option<JoinHandle<Vec<CertificateRow>>>,
}

/// A certificate.
#[derive(Debug, Serialize)]
pub(super) struct CertificateRow {
    /// The endpoint, and the server name that it is for.
    what: String,
    subject: String,
    issuer: String,
    names: Vec<String>,
    /// In seconds since 1970.
    not_before: Option<i64>,
    not_after: Option<i64>,
    error: Option<String>,
}

impl Certificates {
    /// Reads them if that was long ago, on a thread that may block. Files that take too long leave the last state, and are not
    /// read by a second thread meanwhile.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the last state.
    pub(super) async fn rows(
        &self,
        wanted: impl FnOnce() -> Vec<(String, ServerCertificate)>,
    ) -> Arc<Vec<CertificateRow>> {
        let mut read = self.0.lock().await;
        if read.tried.is_some_and(|tried| tried.elapsed() < FRESH) {
            return Arc::clone(&read.rows);
        }
        let read = &mut *read;
        let reading = read.reading.get_or_insert_with(|| {
            let wanted = wanted();
            tokio::task::spawn_blocking(move || wanted.into_iter().map(row).collect())
        });
        let rows = tokio::time::timeout(READING, &mut *reading).await;
        read.tried = Some(Instant::now());
        if let Ok(rows) = rows {
            read.reading = None;
            read.rows = rows.map(Arc::new).unwrap_or_default();
        }
        Arc::clone(&read.rows)
    }
}

fn row((what, certificate): (String, ServerCertificate)) -> CertificateRow {
    let empty = CertificateRow {
        what: shortened(&what),
        subject: String::new(),
        issuer: String::new(),
        names: Vec::new(),
        not_before: None,
        not_after: None,
        error: None,
    };
    match certificate.read() {
        Ok(Some(read)) => CertificateRow {
            subject: shortened(read.subject()),
            issuer: shortened(read.issuer()),
            names: read.subject_alternative_names().iter().take(SHOWN_NAMES).map(name).collect(),
            not_before: Some(seconds(read.not_before())),
            not_after: Some(seconds(read.not_after())),
            ..empty
        },
        Ok(None) => CertificateRow { error: Some("a TLS configuration of the code".to_owned()), ..empty },
        Err(error) => CertificateRow { error: Some(shortened(&error.to_string())), ..empty },
    }
}

fn name(name: &SubjectAlternativeName) -> String {
    shortened(&match name {
        SubjectAlternativeName::Dns(name) | SubjectAlternativeName::Email(name) => name.clone(),
        SubjectAlternativeName::Uri(name) => name.clone(),
        SubjectAlternativeName::Ip(address) => address.to_string(),
        _ => String::new(),
    })
}

fn seconds(time: SystemTime) -> i64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_secs()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_secs()).map_or(i64::MIN, |seconds| -seconds),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_reads_for_all_and_not_often() {
        let (certificates, readings) = (Certificates::default(), Cell::new(0));
        let wanted = || {
            readings.set(readings.get() + 1);
            Vec::new()
        };
        tokio::join!(certificates.rows(wanted), certificates.rows(wanted), certificates.rows(wanted));
        tokio::time::advance(FRESH - Duration::from_millis(1)).await;
        certificates.rows(wanted).await;
        assert_eq!(readings.get(), 1);
        tokio::time::advance(Duration::from_millis(1)).await;
        tokio::join!(certificates.rows(wanted), certificates.rows(wanted));
        assert_eq!(readings.get(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn files_that_take_long_are_read_by_one_thread() {
        let certificates = Certificates::default();
        certificates.0.lock().await.reading = Some(tokio::spawn(std::future::pending()));
        let second = || -> Vec<(String, ServerCertificate)> { panic!("one is enough") };
        assert!(certificates.rows(second).await.is_empty(), "nothing is known yet");
        tokio::time::advance(FRESH).await;
        assert!(certificates.rows(second).await.is_empty());
    }
}
