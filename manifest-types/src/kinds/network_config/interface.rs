//! What interfaces are known by: the kernel's name, and the address of the hardware.

use std::{fmt, str::FromStr};

use crate::text::{read_as_text, schema_as, write_as_text};

/// The kernel's bound (`IFNAMSIZ`, 16 with the NUL at its end).
const LONGEST: usize = 15;

/// The name of a network interface: `eth0`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InterfaceName(String);

/// A hardware address: `52:54:00:12:34:56`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac(pub [u8; 6]);

/// A text that names no interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be the name of an interface: 1 to {LONGEST} letters, digits and - _ . @, neither `.` nor `..`")]
pub struct InterfaceNameError;

/// A text that is no hardware address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a hardware address such as \"52:54:00:12:34:56\"")]
pub struct MacError;

impl InterfaceName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for InterfaceName {
    type Err = InterfaceNameError;

    fn from_str(text: &str) -> Result<Self, InterfaceNameError> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'@');
        let is_name = (1..=LONGEST).contains(&text.len()) && text.bytes().all(is_plain);
        // A name of digits alone could be an index, and these two are directories.
        let is_other = text == "." || text == ".." || text.bytes().all(|byte| byte.is_ascii_digit());
        if is_name && !is_other { Ok(Self(text.to_owned())) } else { Err(InterfaceNameError) }
    }
}

impl fmt::Display for InterfaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Mac {
    type Err = MacError;

    fn from_str(text: &str) -> Result<Self, MacError> {
        let mut bytes = [0; 6];
        let mut parts = text.split(':');
        for byte in &mut bytes {
            let part =
                parts.next().filter(|part| part.len() == 2 && !part.starts_with('+')).ok_or(MacError)?;
            *byte = u8::from_str_radix(part, 16).map_err(|_| MacError)?;
        }
        // Nobody has the first one, and everybody hears the second kind.
        let is_one = bytes != [0; 6] && bytes[0] & 1 == 0;
        if parts.next().is_none() && is_one { Ok(Self(bytes)) } else { Err(MacError) }
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

write_as_text!(InterfaceName);
read_as_text!(InterfaceName, "the name of an interface such as \"eth0\"");
schema_as!(InterfaceName, {
    "description": "The name of a network interface.",
    "type": "string",
    "pattern": "^[-_.@A-Za-z0-9]{1,15}$",
    "examples": ["eth0"]
});

write_as_text!(Mac);
read_as_text!(Mac, "a hardware address such as \"52:54:00:12:34:56\"");
schema_as!(Mac, {
    "description": "A hardware address.",
    "type": "string",
    "pattern": "^[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}$",
    "examples": ["52:54:00:12:34:56"]
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_that_the_kernel_and_every_backend_takes() {
        for good in ["eth0", "br-lan", "enp0s31f6", "eth0.7", "a23456789012345"] {
            assert_eq!(good.parse::<InterfaceName>().unwrap().to_string(), good);
        }
        for bad in
            ["", ".", "..", "a234567890123456", "a/b", "a b", "a\0", "a\n[Match]", "ä", "7", "eth0:1", "%d"]
        {
            assert_eq!(bad.parse::<InterfaceName>(), Err(InterfaceNameError), "{bad}");
        }
    }

    #[test]
    fn a_hardware_address_is_one_interfaces() {
        let mac: Mac = "52:54:00:AB:cd:ef".parse().unwrap();
        assert_eq!(mac.to_string(), "52:54:00:ab:cd:ef");
        for bad in [
            "",
            "52:54:00:ab:cd",
            "52:54:00:ab:cd:ef:00",
            "00:00:00:00:00:00",
            "ff:ff:ff:ff:ff:ff",
            "5:54:00:ab:cd:ef",
            "+2:54:00:ab:cd:ef",
        ] {
            assert_eq!(bad.parse::<Mac>(), Err(MacError), "{bad}");
        }
    }
}
