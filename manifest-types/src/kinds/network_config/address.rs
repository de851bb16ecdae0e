//! Addresses with the length of their network's prefix, and networks.

use core::net::IpAddr;
use std::{fmt, str::FromStr};

use ipnet::IpNet;

use crate::text::{read_as_text, schema_as, write_as_text};

/// An address and how much of it is its network's: `192.0.2.10/24`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address(pub IpNet);

/// A network: `10.0.0.0/8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subnet(pub IpNet);

/// A text that is no address with a prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// It is written in another way.
    #[error("must be an address with the length of its prefix, such as \"192.0.2.10/24\"")]
    Form,
    /// It is no address of a host.
    #[error(
        "must be the address of a host: not that of everybody, of nobody, of many, or of the host itself"
    )]
    NotHost,
    /// It is the network itself, or all that are in it.
    #[error("must be the address of a host, not that of its whole network")]
    Network,
}

/// A text that is no network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SubnetError {
    /// It is written in another way.
    #[error("must be a network such as \"10.0.0.0/8\"")]
    Form,
    /// Bits are set that are the hosts'.
    #[error("must have no bits set beyond its prefix; its network is {0}")]
    HostBits(IpNet),
}

impl Address {
    /// The address alone.
    pub fn ip(self) -> IpAddr {
        self.0.addr()
    }

    /// The network that it is in.
    pub fn subnet(self) -> Subnet {
        Subnet(self.0.trunc())
    }
}

impl Subnet {
    /// Whether everything is in it.
    pub fn is_default(self) -> bool {
        self.0.prefix_len() == 0
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let net: IpNet = text.parse().map_err(|_| AddressError::Form)?;
        let ip = net.addr();
        let is_everybodys = matches!(ip, IpAddr::V4(ip) if ip.is_broadcast());
        if ip.is_unspecified()
            || ip.is_multicast()
            || ip.is_loopback()
            || is_everybodys
            || net.prefix_len() == 0
        {
            return Err(AddressError::NotHost);
        }
        // Point to point, and where there is no room for more, every address is a host's.
        let is_whole = match net {
            IpNet::V4(net) => net.prefix_len() < 31 && (ip == net.network() || ip == net.broadcast()),
            IpNet::V6(net) => net.prefix_len() < 127 && ip == net.network(),
        };
        if is_whole { Err(AddressError::Network) } else { Ok(Self(net)) }
    }
}

impl FromStr for Subnet {
    type Err = SubnetError;

    fn from_str(text: &str) -> Result<Self, SubnetError> {
        let net: IpNet = text.parse().map_err(|_| SubnetError::Form)?;
        if net == net.trunc() { Ok(Self(net)) } else { Err(SubnetError::HostBits(net.trunc())) }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

write_as_text!(Address);
read_as_text!(Address, "an address with the length of its prefix such as \"192.0.2.10/24\"");
schema_as!(Address, {
    "description": "An address with the length of its network's prefix.",
    "type": "string",
    "pattern": "^[0-9A-Fa-f:.]+/[0-9]{1,3}$",
    "examples": ["192.0.2.10/24", "2001:db8::10/64"]
});

write_as_text!(Subnet);
read_as_text!(Subnet, "a network such as \"10.0.0.0/8\"");
schema_as!(Subnet, {
    "description": "A network: its address, its host bits zero, and the length of its prefix.",
    "type": "string",
    "pattern": "^[0-9A-Fa-f:.]+/[0-9]{1,3}$",
    "examples": ["10.0.0.0/8", "2001:db8::/32"]
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_hosts() {
        for good in ["192.0.2.10/24", "192.0.2.0/31", "192.0.2.7/32", "2001:db8::10/64", "fe80::1/64"] {
            assert_eq!(good.parse::<Address>().unwrap().to_string(), good);
        }
        for (bad, error) in [
            ("192.0.2.10", AddressError::Form),
            ("192.0.2.10/33", AddressError::Form),
            ("192.0.2.300/24", AddressError::Form),
            ("192.0.2.10/24 ", AddressError::Form),
            ("127.0.0.1/8", AddressError::NotHost),
            ("0.0.0.0/24", AddressError::NotHost),
            ("224.0.0.1/24", AddressError::NotHost),
            ("::1/128", AddressError::NotHost),
            ("192.0.2.10/0", AddressError::NotHost),
            ("192.0.2.0/24", AddressError::Network),
            ("192.0.2.255/24", AddressError::Network),
            ("2001:db8::/64", AddressError::Network),
        ] {
            assert_eq!(bad.parse::<Address>(), Err(error), "{bad}");
        }
    }

    #[test]
    fn a_network_has_no_hosts_bits() {
        assert_eq!("10.0.0.0/8".parse::<Subnet>().unwrap().to_string(), "10.0.0.0/8");
        assert!("::/0".parse::<Subnet>().unwrap().is_default());
        let error = "10.0.0.1/8".parse::<Subnet>().unwrap_err();
        assert_eq!(error.to_string(), "must have no bits set beyond its prefix; its network is 10.0.0.0/8");
        assert_eq!("10.0.0.0".parse::<Subnet>(), Err(SubnetError::Form));
    }
}
