//! The options as they are used.

use http::HeaderName;
use http::header::{FORWARDED, HOST};

use super::{ForwardedFields, ForwardedHeadersOptions, ForwardedSource};
use crate::OptionsError;
use crate::fields::Lengths;
use crate::host::HostPatterns;
use crate::peer::KnownPeers;
use crate::stranger::Stranger;

/// Options that were found to be good.
#[derive(Debug)]
pub(crate) struct Settled {
    pub(super) fields: ForwardedFields,
    pub(super) source: ForwardedSource,
    pub(super) limit: u32,
    pub(super) known: KnownPeers,
    pub(super) stranger: Stranger,
    pub(super) hosts: HostPatterns,
    pub(super) symmetry: bool,
    pub(super) remove_untrusted: bool,
    /// Those that are read: For, Proto, Host, Prefix.
    pub(super) names: Names,
    pub(super) originals: Names,
    /// The names for which a request is looked into.
    pub(super) interest: Vec<HeaderName>,
    /// Their lengths.
    pub(super) lengths: Lengths,
}

/// A name for each fact.
#[derive(Debug)]
pub(super) struct Names {
    pub(super) node: HeaderName,
    pub(super) proto: HeaderName,
    pub(super) host: HeaderName,
    pub(super) prefix: HeaderName,
}

impl Names {
    pub(super) fn iter(&self) -> impl Iterator<Item = &HeaderName> {
        [&self.node, &self.proto, &self.host, &self.prefix].into_iter()
    }
}

impl Settled {
    pub(crate) fn new(options: &ForwardedHeadersOptions) -> Result<Self, OptionsError> {
        let names = Names {
            node: options.forwarded_for_header_name.clone(),
            proto: options.forwarded_proto_header_name.clone(),
            host: options.forwarded_host_header_name.clone(),
            prefix: options.forwarded_prefix_header_name.clone(),
        };
        let originals = Names {
            node: options.original_for_header_name.clone(),
            proto: options.original_proto_header_name.clone(),
            host: options.original_host_header_name.clone(),
            prefix: options.original_prefix_header_name.clone(),
        };
        check_names(&names, &originals)?;
        let (fields, source) = (options.fields, options.source);
        if source == ForwardedSource::Forwarded && fields.contains(ForwardedFields::PREFIX) {
            return Err(OptionsError::new(
                "ForwardedHeadersOptions.fields has PREFIX, which the field Forwarded of RFC 7239 does not know; leave it out, or take another source",
            ));
        }
        let allowed = &options.allowed_hosts;
        let hosts = if allowed.is_empty() {
            HostPatterns::any()
        } else {
            HostPatterns::new("ForwardedHeadersOptions.allowed_hosts", allowed)?
        };
        let mut settled = Self {
            fields,
            source,
            limit: options.forward_limit.unwrap_or(u32::MAX),
            known: KnownPeers::new(
                &options.known_proxies,
                &options.known_networks,
                options.trust_unix_sockets,
            )
            .or_everyone(),
            stranger: Stranger::new("forwarded fields", "ForwardedHeadersOptions"),
            hosts,
            symmetry: options.require_header_symmetry,
            remove_untrusted: options.remove_untrusted,
            names,
            originals,
            interest: Vec::new(),
            lengths: Lengths::default(),
        };
        settled.interest = settled.names_of_interest().into_iter().cloned().collect();
        settled.lengths = Lengths::of(&settled.interest);
        Ok(settled)
    }

    pub(crate) fn lengths(&self) -> Lengths {
        self.lengths
    }

    pub(super) fn reads_x_forwarded(&self) -> bool {
        self.source != ForwardedSource::Forwarded
    }

    pub(super) fn reads_forwarded(&self) -> bool {
        self.source != ForwardedSource::XForwarded && self.fields != ForwardedFields::NONE
    }

    fn names_of_interest(&self) -> Vec<&HeaderName> {
        if self.remove_untrusted {
            return self.names.iter().chain(self.originals.iter()).chain([&FORWARDED]).collect();
        }
        let flags =
            [ForwardedFields::FOR, ForwardedFields::PROTO, ForwardedFields::HOST, ForwardedFields::PREFIX];
        let read = flags.iter().zip(self.names.iter());
        let read = read.filter(|(flag, _)| self.reads_x_forwarded() && self.fields.contains(**flag));
        read.map(|(_, name)| name).chain(self.reads_forwarded().then_some(&FORWARDED)).collect()
    }
}

/// Every name stands for one thing, and none for what HTTP itself needs.
fn check_names(names: &Names, originals: &Names) -> Result<(), OptionsError> {
    let all: Vec<_> = names.iter().chain(originals.iter()).collect();
    for (index, name) in all.iter().enumerate() {
        if **name == FORWARDED || **name == HOST {
            return Err(OptionsError::new(format!(
                "ForwardedHeadersOptions: the header name {name} stands for something else; choose another one"
            )));
        }
        if all[..index].contains(name) {
            return Err(OptionsError::new(format!(
                "ForwardedHeadersOptions: the header name {name} is used twice; every one needs a name of its own"
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_that_contradict_each_other_are_refused() {
        let defaults = ForwardedHeadersOptions::default;
        let twice = ForwardedHeadersOptions {
            original_for_header_name: HeaderName::from_static("x-forwarded-proto"),
            ..defaults()
        };
        let prefix = ForwardedHeadersOptions {
            fields: ForwardedFields::ALL,
            source: ForwardedSource::Forwarded,
            ..defaults()
        };
        let host = ForwardedHeadersOptions { forwarded_host_header_name: HOST, ..defaults() };
        let allowed = ForwardedHeadersOptions { allowed_hosts: vec!["a:80".to_owned()], ..defaults() };
        for (options, reason) in [
            (twice, "x-forwarded-proto is used twice"),
            (prefix, "has PREFIX"),
            (host, "host stands for something else"),
            (allowed, "it has a port"),
        ] {
            let error = Settled::new(&options).unwrap_err().to_string();
            assert!(error.starts_with("ForwardedHeadersOptions") && error.contains(reason), "{error}");
        }
        assert!(Settled::new(&defaults()).is_ok());
        // A name that is blank is no `HeaderName` in the first place.
        assert!(HeaderName::from_bytes(b"").is_err() && HeaderName::from_bytes(b" ").is_err());
    }
}
