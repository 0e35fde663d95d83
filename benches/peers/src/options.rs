use std::net::SocketAddr;
use std::path::PathBuf;

use lexopt::{Arg, ValueExt};

use crate::BoxError;

/// The command line that all programs share: `--listen ADDRESS:PORT [--tls CERTIFICATE KEY] [--file PATH]` and flags.
pub struct Options {
    pub listen: SocketAddr,
    /// The files of `--tls`.
    pub tls: Option<Tls>,
    /// What is served at `/file`.
    pub file: Option<PathBuf>,
    /// Serve HTTP/2 without TLS.
    pub h2c: bool,
    /// Serve each core with a runtime of its own.
    pub per_core: bool,
    /// Gather the answers to pipelined requests in one write.
    pub pipeline_flush: bool,
}

/// Two files in the PEM format.
pub struct Tls {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl Options {
    /// Reads the arguments of a program that supports `--listen`, `--file` (if only to ignore it) and the options named, without their dashes.
    ///
    /// # Errors
    ///
    /// When an option is unknown, not supported by the program, or lacks its value.
    pub fn parse(supported: &[&str]) -> Result<Self, BoxError> {
        let mut parser = lexopt::Parser::from_env();
        let mut listen = None;
        let (mut tls, mut file) = (None, None);
        let (mut h2c, mut per_core, mut pipeline_flush) = (false, false, false);
        while let Some(argument) = parser.next()? {
            let Arg::Long(name) = argument else { return Err(argument.unexpected().into()) };
            match name {
                "listen" => listen = Some(parser.value()?.parse()?),
                "tls" | "h2c" | "per-core" | "pipeline-flush" if !supported.contains(&name) => {
                    return Err(format!("this program has no support for --{name}").into());
                }
                "tls" => tls = Some(Tls { certificate: parser.value()?.into(), key: parser.value()?.into() }),
                "file" => file = Some(parser.value()?.into()),
                "h2c" => h2c = true,
                "per-core" => per_core = true,
                "pipeline-flush" => pipeline_flush = true,
                _ => return Err(argument.unexpected().into()),
            }
        }
        let listen = listen.ok_or("--listen ADDRESS:PORT is missing")?;
        if h2c && tls.is_some() {
            return Err("--h2c is for connections without --tls".into());
        }
        Ok(Self { listen, tls, file, h2c, per_core, pipeline_flush })
    }
}
