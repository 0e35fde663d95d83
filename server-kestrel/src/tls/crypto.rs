//! The crypto library that was compiled in: as a provider for rustls, and itself for what rustls does not hand on.

use rustls::crypto::CryptoProvider;

#[cfg(feature = "aws-lc-rs")]
pub(super) use aws_lc_rs::{aead, digest, hkdf};
#[cfg(all(feature = "ring", not(feature = "aws-lc-rs")))]
pub(super) use ring::{aead, digest, hkdf};

/// The crypto provider; the process-wide default is left to the program.
pub(super) fn provider() -> CryptoProvider {
    #[cfg(feature = "aws-lc-rs")]
    return rustls::crypto::aws_lc_rs::default_provider();
    #[cfg(all(feature = "ring", not(feature = "aws-lc-rs")))]
    return rustls::crypto::ring::default_provider();
    #[cfg(not(any(feature = "aws-lc-rs", feature = "ring")))]
    {
        compile_error!("server-kestrel needs one of the features `aws-lc-rs` (the default) and `ring`");
        unreachable!()
    }
}
