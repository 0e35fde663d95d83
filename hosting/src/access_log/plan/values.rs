//! Values as the formats have them.

use std::net::IpAddr;

use http::HeaderMap;
use http::header::COOKIE;

use super::super::line::Beginning;
use super::super::step::Header;
use super::super::text::{self, Clock, LOWER};
use super::super::{AccessLogField as Field, AccessLogFormat, common, json, w3c};
use super::{Plan, REDACTED};

impl Plan {
    pub(super) fn time(&self, text: &mut Vec<u8>, clock: &Clock, field: Field) {
        if self.format == AccessLogFormat::Json {
            text.push(b'"');
            clock.timestamp(text);
            text.push(b'"');
        } else if field == Field::Date {
            clock.date(text);
        } else {
            clock.time(text);
        }
    }

    #[inline]
    pub(super) fn or_absent<T>(
        &self,
        text: &mut Vec<u8>,
        value: Option<T>,
        write: impl FnOnce(&mut Vec<u8>, T),
    ) {
        match value {
            Some(value) => write(text, value),
            None if self.format == AccessLogFormat::Json => text.extend_from_slice(b"null"),
            None => text.push(b'-'),
        }
    }

    /// What needs no escapes, in quotes where the format has such.
    pub(super) fn quoted<T>(
        &self,
        text: &mut Vec<u8>,
        value: Option<T>,
        write: impl FnOnce(&mut Vec<u8>, T),
    ) {
        let quotes = self.format == AccessLogFormat::Json;
        self.or_absent(text, value, |text, value| {
            if quotes {
                text.push(b'"');
            }
            write(text, value);
            if quotes {
                text.push(b'"');
            }
        });
    }

    pub(super) fn address(&self, text: &mut Vec<u8>, address: Option<IpAddr>) {
        self.quoted(text, address, text::address);
    }

    #[inline(never)]
    pub(super) fn trace(&self, text: &mut Vec<u8>, trace: Option<[u8; 16]>) {
        self.quoted(text, trace, |text, trace| {
            trace.into_iter().for_each(|byte| text::hexadecimal(text, byte, LOWER));
        });
    }

    #[inline]
    pub(super) fn value(&self, text: &mut Vec<u8>, value: Option<&[u8]>) {
        self.or_absent(text, value, |text, value| self.given(text, value));
    }

    pub(super) fn given(&self, text: &mut Vec<u8>, value: &[u8]) {
        match self.format {
            AccessLogFormat::W3c => w3c::value(text, value, self.limit),
            AccessLogFormat::Json => json::value(text, value, self.limit),
            AccessLogFormat::Common | AccessLogFormat::Combined => common::value(text, value, self.limit),
        }
    }

    pub(super) fn user(&self, text: &mut Vec<u8>, user: Option<&[u8]>) {
        match self.format {
            AccessLogFormat::Common | AccessLogFormat::Combined => {
                self.or_absent(text, user, |text, user| common::user(text, user, self.limit));
            }
            AccessLogFormat::W3c | AccessLogFormat::Json => self.value(text, user),
        }
    }

    pub(super) fn target(&self, text: &mut Vec<u8>, target: Option<&[u8]>) {
        match self.format {
            AccessLogFormat::W3c => {
                self.or_absent(text, target, |text, target| w3c::target(text, target, self.limit));
            }
            _ => self.value(text, target),
        }
    }

    /// The request line, as far as it is known.
    #[inline(never)]
    pub(super) fn request_line(&self, text: &mut Vec<u8>, beginning: &Beginning<'_>) {
        let (Some(method), Some(target)) = (beginning.method, beginning.target) else {
            text.push(b'-');
            return;
        };
        self.value(text, Some(method));
        text.push(b' ');
        self.value(text, Some(target));
        if let Some(version) = beginning.version {
            text.push(b' ');
            text.extend_from_slice(version.as_bytes());
        }
    }

    /// All lines of a header field, or what stands for it.
    pub(super) fn header(
        &self,
        text: &mut Vec<u8>,
        header: &Header,
        headers: Option<&HeaderMap>,
        authority: Option<&str>,
    ) {
        let mut values = headers.map(|headers| headers.get_all(&header.name).iter());
        let mut next = || values.as_mut().and_then(Iterator::next);
        let Some(first) = next() else {
            return self.value(text, authority.filter(|_| header.is_host).map(str::as_bytes));
        };
        if header.is_redacted {
            return self.value(text, Some(REDACTED.as_bytes()));
        }
        let second = next();
        if second.is_none() && !header.has_secret_query {
            return self.value(text, Some(first.as_bytes()));
        }
        let separator: &[u8] = if header.name == COOKIE { b"; " } else { b", " };
        let mut joined = first.as_bytes().to_vec();
        for value in second.into_iter().chain(std::iter::from_fn(next)) {
            // More than that is not told.
            if joined.len() > self.limit {
                break;
            }
            joined.extend_from_slice(separator);
            joined.extend_from_slice(value.as_bytes());
        }
        self.value(text, Some(&if header.has_secret_query { without_query(joined) } else { joined }));
    }
}

fn without_query(mut value: Vec<u8>) -> Vec<u8> {
    if let Some(at) = value.iter().position(|&byte| byte == b'?') {
        value.truncate(at + 1);
        value.extend_from_slice(REDACTED.as_bytes());
    }
    value
}
