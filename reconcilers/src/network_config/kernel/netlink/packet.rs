//! Messages of netlink's family `route`, and their attributes, as bytes. Pure.

use std::{convert::Infallible, net::IpAddr};

use netlink_packet_core::{
    NLA_F_NESTED, NLA_TYPE_MASK, NetlinkDeserializable, NetlinkHeader, NetlinkSerializable, NlaBuffer,
    NlasIterator,
};

/// One message: a header of fixed size, and attributes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Packet {
    pub(super) kind: u16,
    body: Vec<u8>,
}

impl NetlinkSerializable for Packet {
    fn message_type(&self) -> u16 {
        self.kind
    }

    fn buffer_len(&self) -> usize {
        self.body.len()
    }

    fn serialize(&self, buffer: &mut [u8]) {
        buffer.copy_from_slice(&self.body);
    }
}

impl NetlinkDeserializable for Packet {
    type Error = Infallible;

    fn deserialize(header: &NetlinkHeader, payload: &[u8]) -> Result<Self, Infallible> {
        Ok(Self { kind: header.message_type, body: payload.to_vec() })
    }
}

impl Packet {
    /// A message with this header and no attributes yet.
    pub(super) fn new(kind: u16, header: &[u8]) -> Self {
        Self { kind, body: header.to_vec() }
    }

    /// The same with one more attribute.
    pub(super) fn with(mut self, kind: u16, value: &[u8]) -> Self {
        put(&mut self.body, kind, value);
        self
    }

    pub(super) fn with_u32(self, kind: u16, value: u32) -> Self {
        self.with(kind, &value.to_ne_bytes())
    }

    /// A text with its NUL.
    pub(super) fn with_text(self, kind: u16, text: &str) -> Self {
        self.with(kind, &text_of(text))
    }

    pub(super) fn with_ip(self, kind: u16, ip: IpAddr) -> Self {
        self.with(kind, &octets(ip))
    }

    /// An attribute that consists of attributes.
    pub(super) fn with_nested(self, kind: u16, inner: &[(u16, Vec<u8>)]) -> Self {
        self.with(kind | NLA_F_NESTED, &nested(inner))
    }

    /// A byte of the header.
    pub(super) fn byte(&self, at: usize) -> u8 {
        self.body.get(at).copied().unwrap_or(0)
    }

    /// Four bytes of the header.
    pub(super) fn word(&self, at: usize) -> u32 {
        number(self.body.get(at..at + 4).unwrap_or_default()).unwrap_or(0)
    }

    /// The attributes behind a header of so many bytes. What cannot be read is not there.
    pub(super) fn attributes(&self, header: usize) -> Attributes<'_> {
        Attributes(self.body.get(header..).unwrap_or_default())
    }
}

/// Attributes, one after the other.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attributes<'p>(&'p [u8]);

impl<'p> Attributes<'p> {
    /// The value of the first one of this kind.
    pub(super) fn get(self, kind: u16) -> Option<&'p [u8]> {
        let mut all = NlasIterator::new(self.0).filter_map(Result::ok);
        let found: NlaBuffer<&'p [u8]> = all.find(|one| one.kind() & NLA_TYPE_MASK == kind)?;
        let length = found.value_length();
        found.into_inner().get(4..4 + length)
    }

    pub(super) fn number(self, kind: u16) -> Option<u32> {
        number(self.get(kind)?)
    }

    pub(super) fn text(self, kind: u16) -> Option<String> {
        let bytes = self.get(kind)?;
        let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
        String::from_utf8(bytes[..end].to_vec()).ok()
    }

    pub(super) fn ip(self, kind: u16) -> Option<IpAddr> {
        let bytes = self.get(kind)?;
        let v4 = || <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from);
        let v6 = || <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from);
        v4().or_else(v6)
    }

    pub(super) fn nested(self, kind: u16) -> Attributes<'p> {
        Attributes(self.get(kind).unwrap_or_default())
    }
}

fn number(bytes: &[u8]) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(..4)?.try_into().ok()?))
}

pub(super) fn octets(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    }
}

pub(super) fn text_of(text: &str) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    bytes.push(0);
    bytes
}

pub(super) fn nested(inner: &[(u16, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    inner.iter().for_each(|(kind, value)| put(&mut bytes, *kind, value));
    bytes
}

/// Appends an attribute: its length, its kind, its value, and what fills it up to four bytes.
fn put(bytes: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let length = u16::try_from(value.len() + 4).unwrap_or(u16::MAX);
    bytes.extend(length.to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let packet = Packet::new(16, &[2, 0, 0, 0, 7, 0, 0, 0])
            .with_text(3, "eth0")
            .with_u32(4, 1400)
            .with_ip(1, "192.0.2.1".parse().unwrap())
            .with_nested(18, &[(1, text_of("vlan")), (2, nested(&[(1, 7_u16.to_ne_bytes().to_vec())]))]);
        assert_eq!(packet.buffer_len() % 4, 0);
        assert_eq!((packet.byte(0), packet.word(4)), (2, u32::from_ne_bytes([7, 0, 0, 0])));
        let attributes = packet.attributes(8);
        assert_eq!(attributes.text(3).as_deref(), Some("eth0"));
        assert_eq!(attributes.number(4), Some(1400));
        assert_eq!(attributes.ip(1), Some("192.0.2.1".parse().unwrap()));
        let info = attributes.nested(18);
        assert_eq!(info.text(1).as_deref(), Some("vlan"));
        assert_eq!(info.nested(2).get(1), Some(&7_u16.to_ne_bytes()[..]));
        assert_eq!(attributes.get(99), None);
    }

    #[test]
    fn what_is_broken_is_not_there() {
        for body in [&[][..], &[1, 2, 3], &[255, 255, 3, 0, 1], &[0, 0, 3, 0, 1, 1, 1, 1]] {
            let packet = Packet::new(16, body);
            assert_eq!(packet.attributes(0).get(3), None);
            assert_eq!(packet.attributes(100).get(3), None);
            assert_eq!(packet.word(100), 0);
        }
    }
}
