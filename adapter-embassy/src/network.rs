//! Where a datagram goes out: the decisions that embassy-net takes too late, when a datagram that cannot go blocks its
//! socket for all others.

use core::fmt;
use core::net::{Ipv4Addr, SocketAddrV4};

use embassy_net::udp::{SendError, UdpSocket};
use embassy_net::{IpAddress, IpEndpoint, Stack, StaticConfigV4};
use embassy_time::{Duration, with_timeout};

use crate::neighbors::{Resolution, Shared, known, prepare};

/// Why a datagram did not go out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Unreachable {
    /// The link is down, or this host has no address.
    Down,
    /// The destination is in no attached network, and there is no gateway.
    NoRoute,
    /// The next hop does not answer to its address.
    Silent,
    /// The socket cannot take a datagram of this length, or is not bound.
    Socket,
    /// The socket's queue stayed full.
    Full,
}

impl fmt::Display for Unreachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Down => "the interface is down or has no address",
            Self::NoRoute => "no route",
            Self::Silent => "the next hop does not answer",
            Self::Socket => "too long for the socket, or the socket is not bound",
            Self::Full => "the socket's queue stayed full",
        })
    }
}

impl core::error::Error for Unreachable {}

/// A stack, and its neighbours if it has hardware addresses.
#[derive(Clone, Copy)]
pub struct Network {
    stack: Stack<'static>,
    neighbors: Option<&'static Shared>,
}

impl From<Stack<'static>> for Network {
    /// A stack alone: for a medium without hardware addresses. On Ethernet a silent peer then blocks all others.
    fn from(stack: Stack<'static>) -> Self {
        Self { stack, neighbors: None }
    }
}

impl Network {
    pub(crate) fn new(stack: Stack<'static>, neighbors: &'static Shared) -> Self {
        Self { stack, neighbors: Some(neighbors) }
    }

    /// Sends a datagram, or says at once why that cannot be. Nobody waits for a silent neighbour: the first datagram to one
    /// waits [`Network::RESOLVE_MAX`], others to it not at all.
    ///
    /// Good for any socket of the stack, as long as all its datagrams go out through here. Cancel-safe: a datagram is in
    /// the socket's queue, or it is not.
    ///
    /// # Errors
    /// Why the datagram does not go out.
    pub async fn send_to(&self, socket: &UdpSocket<'_>, datagram: &[u8], to: SocketAddrV4) -> Result<(), Unreachable> {
        let config = self.config().ok_or(Unreachable::Down)?;
        let hop = next_hop(&config, *to.ip()).ok_or(Unreachable::NoRoute)?;
        let local = hop.is_broadcast() || hop.is_multicast() || config.address.broadcast() == Some(hop);
        if let (Some(neighbors), false) = (self.neighbors, local) {
            match prepare(neighbors, config.address, hop) {
                Resolution::Known => {}
                Resolution::Silent => return Err(Unreachable::Silent),
                Resolution::Asked => {
                    let _ = with_timeout(Self::RESOLVE_MAX, known(neighbors, hop)).await;
                    if prepare(neighbors, config.address, hop) != Resolution::Known {
                        return Err(Unreachable::Silent);
                    }
                }
            }
        }
        let to = IpEndpoint::new(IpAddress::Ipv4(*to.ip()), to.port());
        match with_timeout(FULL_MAX, socket.send_to(datagram, to)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(SendError::NoRoute)) => Err(Unreachable::NoRoute),
            Ok(Err(_)) => Err(Unreachable::Socket),
            Err(_) => Err(Unreachable::Full),
        }
    }

    /// What the stack is configured to; none when the link is down.
    pub(crate) fn config(&self) -> Option<StaticConfigV4> {
        self.stack.config_v4().filter(|_| self.stack.is_link_up())
    }

    /// How long the first datagram to a neighbour waits for an answer to the question for it. On Ethernet an answer takes
    /// under a millisecond; where it takes longer than this, that datagram is lost and the next one goes.
    pub const RESOLVE_MAX: Duration = Duration::from_millis(20);
}

fn next_hop(config: &StaticConfigV4, to: Ipv4Addr) -> Option<Ipv4Addr> {
    if to.is_unspecified() || to == config.address.address() {
        return None;
    }
    if config.address.contains_addr(&to) || to.is_broadcast() || to.is_multicast() { Some(to) } else { config.gateway }
}

/// A queue that is full for so long is blocked, not busy.
const FULL_MAX: Duration = Duration::from_millis(500);
