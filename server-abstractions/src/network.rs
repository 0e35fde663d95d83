use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// A network of IP addresses, written like `10.0.0.0/8` or `fd00::/8`.
///
/// ```
/// use server_abstractions::IpNetwork;
/// # fn main() -> Result<(), server_abstractions::IpNetworkError> {
/// let network: IpNetwork = "10.1.0.0/16".parse()?;
/// assert!(network.contains([10, 1, 2, 3].into()));
/// assert!(!network.contains([10, 2, 0, 0].into()));
/// # Ok(()) }
/// ```
///
/// What stands behind the prefix counts for nothing: `10.1.2.3/16` is the same network. An IPv4 address that is mapped to
/// IPv6 (`::ffff:10.1.2.3`), as a socket for both shows it, lies in the networks of IPv4 and of IPv6.
#[doc(alias = "IPNetwork")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct IpNetwork {
    address: IpAddr,
    prefix_length: u8,
}

impl IpNetwork {
    /// The network of the addresses that have the first `prefix_length` bits of `address`.
    ///
    /// # Errors
    /// The prefix is longer than the address: 32 bits of IPv4, 128 of IPv6.
    pub fn new(address: IpAddr, prefix_length: u8) -> Result<Self, IpNetworkError> {
        if prefix_length > width(address) {
            let text = format!("{address}/{prefix_length}");
            return Err(IpNetworkError { text, reason: "the prefix is longer than the address" });
        }
        Ok(Self { address: masked(address, prefix_length), prefix_length })
    }

    /// The first address.
    #[doc(alias = "BaseAddress")]
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// How many bits all addresses have in common.
    pub fn prefix_length(&self) -> u8 {
        self.prefix_length
    }

    /// Whether an address lies in the network.
    pub fn contains(&self, address: IpAddr) -> bool {
        let holds = |address: IpAddr| {
            address.is_ipv4() == self.address.is_ipv4() && masked(address, self.prefix_length) == self.address
        };
        let canonical = address.to_canonical();
        holds(address) || canonical != address && holds(canonical)
    }
}

fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// The address with zeros behind the prefix, which is no longer than it.
fn masked(address: IpAddr, prefix_length: u8) -> IpAddr {
    let behind = u32::from(width(address).saturating_sub(prefix_length));
    match address {
        IpAddr::V4(address) => {
            IpAddr::V4((address.to_bits() & u32::MAX.checked_shl(behind).unwrap_or(0)).into())
        }
        IpAddr::V6(address) => {
            IpAddr::V6((address.to_bits() & u128::MAX.checked_shl(behind).unwrap_or(0)).into())
        }
    }
}

impl FromStr for IpNetwork {
    type Err = IpNetworkError;

    fn from_str(text: &str) -> Result<Self, IpNetworkError> {
        let fail = |reason| IpNetworkError { text: text.to_owned(), reason };
        let (address, length) =
            text.split_once('/').ok_or_else(|| fail("it has no prefix; write it like 10.0.0.0/8"))?;
        let address = address.parse().map_err(|_| fail("before the / stands no IP address"))?;
        let is_number = !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit());
        let length = if is_number { length.parse::<u8>().ok() } else { None };
        let length = length.ok_or_else(|| fail("behind the / stands no length of a prefix"))?;
        Self::new(address, length).map_err(|error| fail(error.reason))
    }
}

impl fmt::Display for IpNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix_length)
    }
}

/// A text that is no [`IpNetwork`]; names the text and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IpNetworkError {
    text: String,
    reason: &'static str,
}

impl fmt::Display for IpNetworkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invalid network '{}': {}", self.text, self.reason)
    }
}

impl std::error::Error for IpNetworkError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_has_the_addresses_of_its_prefix() {
        for (network, inside, outside) in [
            ("127.0.0.0/8", "127.255.0.1", "128.0.0.0"),
            ("10.1.2.3/16", "10.1.0.0", "10.2.0.0"),
            ("0.0.0.0/0", "255.1.2.3", "::1"),
            ("10.0.0.1/32", "10.0.0.1", "10.0.0.2"),
            ("fd00::/8", "fdff::1", "fe00::"),
            ("::/0", "::ffff:10.0.0.1", "10.0.0.1"),
            ("2a02:26f0:2d:183::1/64", "2a02:26f0:2d:183::f", "2a02:26f0:2d:184::1"),
            ("::1/128", "::1", "::2"),
            ("10.0.0.0/8", "::ffff:10.0.0.1", "::ffff:11.0.0.1"),
        ] {
            let parsed: IpNetwork = network.parse().unwrap();
            assert!(parsed.contains(inside.parse().unwrap()), "{network} {inside}");
            assert!(!parsed.contains(outside.parse().unwrap()), "{network} {outside}");
            assert_eq!(parsed.to_string().parse::<IpNetwork>().unwrap(), parsed);
        }
    }

    #[test]
    fn what_is_no_network_is_refused_with_its_text() {
        for text in
            ["", "10.0.0.0", "10.0.0.0/", "10.0.0.0/33", "::/129", "a/8", "10.0.0.0/+8", "10.0.0.0/8/8"]
        {
            let error = text.parse::<IpNetwork>().unwrap_err().to_string();
            assert!(error.starts_with(&format!("invalid network '{text}': ")), "{error}");
        }
    }
}
