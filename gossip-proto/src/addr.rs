//! Names: who a node is, and where a datagram goes.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Who a node is: 64 bits that are unique in the swarm and stay the same across restarts.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct NodeId(pub u64);

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

// Fixed bytes on the wire: a varint of a random id is longer than the id.
impl Serialize for NodeId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.to_le_bytes().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for NodeId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <[u8; 8]>::deserialize(deserializer).map(|bytes| Self(u64::from_le_bytes(bytes)))
    }
}

/// Where a datagram goes: at most [`Addr::LEN_MAX`] bytes that only the transport understands.
///
/// A socket address, a MAC address or a radio's short address all fit. The core compares, stores and forwards
/// addresses; it never looks inside.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Addr {
    len: u8,
    bytes: [u8; Self::LEN_MAX],
}

impl Addr {
    /// The longest address, in bytes: an IPv6 socket address with a scope takes 22.
    pub const LEN_MAX: usize = 23;

    /// No address at all.
    pub const NONE: Self = Self { len: 0, bytes: [0; Self::LEN_MAX] };

    /// An address of these bytes; `None` when there are more than [`Addr::LEN_MAX`].
    #[must_use]
    pub const fn new(bytes: &[u8]) -> Option<Self> {
        if bytes.len() > Self::LEN_MAX {
            return None;
        }
        let mut addr = Self::NONE;
        addr.len = bytes.len() as u8;
        let mut at = 0;
        while at < bytes.len() {
            addr.bytes[at] = bytes[at];
            at += 1;
        }
        Some(addr)
    }

    /// The bytes that the transport gave.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or(&[])
    }

    /// Whether this is [`Addr::NONE`].
    #[must_use]
    pub const fn is_none(&self) -> bool {
        self.len == 0
    }

    /// The socket address that [`Addr::from`] took in; `None` when these bytes are something else.
    #[must_use]
    pub fn socket(&self) -> Option<SocketAddr> {
        let bytes = self.as_bytes();
        let port = u16::from_be_bytes([*bytes.first()?, *bytes.get(1)?]);
        let ip = bytes.get(2..)?;
        if let Ok(v4) = <[u8; 4]>::try_from(ip) {
            return Some(SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::from(v4), port)));
        }
        let v6 = <[u8; 16]>::try_from(ip.get(..16)?).ok()?;
        let scope = match ip.get(16..)? {
            [] => 0,
            scope => u32::from_be_bytes(<[u8; 4]>::try_from(scope).ok()?),
        };
        Some(SocketAddr::V6(SocketAddrV6::new(Ipv6Addr::from(v6), port, 0, scope)))
    }

    /// Where a socket that is bound to `local` sends to reach this address: from IPv6, IPv4 is reached under a mapped
    /// address. `None` when it is none of the socket's kind.
    #[must_use]
    pub fn socket_from(&self, local: SocketAddr) -> Option<SocketAddr> {
        match self.socket()? {
            SocketAddr::V4(v4) if local.is_ipv6() => Some((v4.ip().to_ipv6_mapped(), v4.port()).into()),
            to => (to.is_ipv4() == local.is_ipv4()).then_some(to),
        }
    }

    fn gather(port: u16, ip: &[u8], scope: &[u8]) -> Self {
        let mut addr = Self::NONE;
        for (to, from) in addr.bytes.iter_mut().zip(port.to_be_bytes().iter().chain(ip).chain(scope)) {
            *to = *from;
        }
        addr.len = (2 + ip.len() + scope.len()) as u8;
        addr
    }
}

impl From<SocketAddr> for Addr {
    /// Port, address and, for a scoped IPv6 address, the scope: 6, 18 or 22 bytes. An IPv4 address that is mapped into
    /// IPv6 is taken as such: one member has one address, whatever socket hears it.
    fn from(socket: SocketAddr) -> Self {
        match (socket.ip().to_canonical(), socket) {
            (IpAddr::V6(ip), SocketAddr::V6(v6)) if v6.scope_id() != 0 => {
                Self::gather(v6.port(), &ip.octets(), &v6.scope_id().to_be_bytes())
            }
            (IpAddr::V6(ip), _) => Self::gather(socket.port(), &ip.octets(), &[]),
            (IpAddr::V4(ip), _) => Self::gather(socket.port(), &ip.octets(), &[]),
        }
    }
}

impl fmt::Debug for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(socket) = self.socket() {
            return write!(f, "{socket}");
        }
        if self.is_none() {
            return f.write_str("-");
        }
        self.as_bytes().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Serialize for Addr {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.as_bytes())
    }
}

impl<'de> Deserialize<'de> for Addr {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = <&'de [u8]>::deserialize(deserializer)?;
        Self::new(bytes).ok_or_else(|| serde::de::Error::invalid_length(bytes.len(), &"an address of at most 23 bytes"))
    }
}
