//! The loop between a socket and a node. It moves datagrams and time, and decides nothing.

use core::cell::RefCell;
use core::mem::MaybeUninit;
use core::net::SocketAddr;

use embassy_futures::select::select3;
use embassy_futures::yield_now;
use embassy_net::udp::{RecvError, UdpMetadata, UdpSocket};
use embassy_net::{IpAddress, IpListenEndpoint, StaticConfigV4};
use embassy_sync::signal::Signal;
use embassy_time::{Instant, Timer};
use gossip_proto::adapter::{Life, SocketStats, TURN_MAX};
use gossip_proto::{Addr, Lifecycle, Node};

use crate::handle::{Handle, Locked, Shared, Wakers, now};
use crate::network::{Network, Unreachable};

/// Room for what a handle and its runner share, and for a datagram of `MTU` bytes in each direction; it sits in a `static`. The node sends no more than
/// that, and longer ones that arrive are dropped.
pub struct Resources<const MTU: usize> {
    shared: MaybeUninit<Shared>,
    received: [u8; MTU],
    encoded: [u8; MTU],
}

impl<const MTU: usize> Resources<MTU> {
    /// Empty room.
    #[must_use]
    pub const fn new() -> Self {
        Self { shared: MaybeUninit::uninit(), received: [0; MTU], encoded: [0; MTU] }
    }
}

impl<const MTU: usize> Default for Resources<MTU> {
    fn default() -> Self {
        Self::new()
    }
}

/// The other side of a [`Handle`]: sends, receives and keeps time. Dropping it ends every wait.
pub struct Runner {
    handle: Handle,
    network: Network,
    socket: UdpSocket<'static>,
    endpoint: IpListenEndpoint,
    config: Option<StaticConfigV4>,
    received: &'static mut [u8],
    encoded: &'static mut [u8],
    /// The datagram at the front of `encoded` that has not gone yet: where to, and its length.
    waiting: Option<(Addr, usize)>,
}

impl Runner {
    pub(crate) fn start<const MTU: usize>(
        resources: &'static mut Resources<MTU>,
        network: Network,
        socket: UdpSocket<'static>,
        node: &'static mut Node<'static>,
    ) -> (Handle, Self) {
        let Resources { shared, received, encoded } = resources;
        let (stats, told) = (SocketStats::default(), Wakers::new());
        let locked = RefCell::new(Locked { node, life: Life::Running, stats, told });
        let handle = Handle(shared.write(Shared { locked, changed: Signal::new() }));
        let len = encoded.len().min(handle.read(|node| node.config().datagram_len_max.into()));
        let (endpoint, config) = (socket.endpoint(), network.config());
        let encoded = &mut encoded[..len];
        (handle, Self { handle, network, socket, endpoint, config, received, encoded, waiting: None })
    }

    /// Runs the node until it has left. Everything else that happens to socket and interface is counted, and goes on.
    ///
    /// Dropping the future loses nothing: all state is here or in the node, and the next call goes on from there.
    pub async fn run(&mut self) {
        loop {
            self.keep_time();
            let mut more = self.send().await;
            self.handle.0.locked.borrow_mut().told.wake();
            if !more && self.handle.read(Node::lifecycle) == Lifecycle::Left {
                return self.close(Life::Left);
            }
            if !more {
                self.wait().await;
                more = self.take().await;
            }
            if more {
                yield_now().await;
            }
        }
    }

    /// Does what is due by the clock, and follows a change of address.
    fn keep_time(&mut self) {
        let config = self.network.config();
        if core::mem::replace(&mut self.config, config.clone()).is_some_and(|before| config != Some(before)) {
            self.rebind();
        }
        self.handle.0.locked.borrow_mut().node.handle_timeout(now());
    }

    /// Sends what there is to send, at most [`TURN_MAX`] datagrams; says whether there may be more.
    async fn send(&mut self) -> bool {
        for _ in 0..TURN_MAX {
            let Some((to, len)) = self.encode() else { return false };
            let sent = match to.socket() {
                Some(SocketAddr::V4(to)) => self.network.send_to(&self.socket, &self.encoded[..len], to).await,
                _ => Err(Unreachable::NoRoute),
            };
            self.waiting = None;
            if sent == Err(Unreachable::Full) {
                self.rebind();
            }
            #[cfg(feature = "defmt")]
            if let Err(why) = sent {
                defmt::debug!("datagram to {} is lost: {}", to, why);
            }
            self.count(|stats| if sent.is_ok() { stats.count_sent() } else { stats.send_errors += 1 });
        }
        true
    }

    /// The datagram that waits, or else the node's next one.
    fn encode(&mut self) -> Option<(Addr, usize)> {
        if self.waiting.is_none() {
            let node = &mut *self.handle.0.locked.borrow_mut().node;
            self.waiting =
                node.poll_transmit(now(), self.encoded).map(|transmit| (transmit.to, transmit.payload.len()));
        }
        self.waiting
    }

    /// Sleeps until there is something to do.
    async fn wait(&mut self) {
        let deadline =
            self.handle.read(Node::poll_timeout).map_or(Instant::MAX, |at| Instant::from_micros(at.as_micros()));
        select3(self.socket.wait_recv_ready(), self.handle.0.changed.wait(), Timer::at(deadline)).await;
    }

    /// Takes what has arrived, at most [`TAKE_MAX`] datagrams, and sends after each; says whether there may be more.
    async fn take(&mut self) -> bool {
        for _ in 0..TAKE_MAX {
            if !self.socket.may_recv() {
                return false;
            }
            match self.socket.recv_from(self.received).await {
                Ok((len, from)) => {
                    self.count(SocketStats::count_received);
                    let node = &mut *self.handle.0.locked.borrow_mut().node;
                    // What is refused, the node counts.
                    let _ = node.handle_datagram(now(), inbound(&from), &mut self.received[..len]);
                }
                Err(RecvError::Truncated) => self.count(|stats| stats.receive_errors += 1),
            }
            self.send().await;
        }
        true
    }

    /// Empties the socket: what it holds can never go, and nothing else before it.
    fn rebind(&mut self) {
        self.socket.close();
        let bound = self.socket.bind(self.endpoint);
        debug_assert!(bound.is_ok());
        self.count(|stats| stats.rebound += 1);
    }

    fn count(&self, count: impl FnOnce(&mut SocketStats)) {
        count(&mut self.handle.0.locked.borrow_mut().stats);
    }

    /// Ends all waits. Only the first call counts.
    fn close(&mut self, life: Life) {
        let locked = &mut *self.handle.0.locked.borrow_mut();
        locked.life.end(life);
        locked.told.wake();
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        self.close(Life::Closed);
    }
}

/// Whence a datagram came.
fn inbound(from: &UdpMetadata) -> Addr {
    match from.endpoint.addr {
        IpAddress::Ipv4(ip) => SocketAddr::from((ip, from.endpoint.port)).into(),
        #[allow(unreachable_patterns, reason = "there are others when somebody else turns on their features")]
        _ => Addr::NONE,
    }
}

/// Datagrams that a turn takes: a guess; fewer than it sends, since a flood is to starve neither timers nor other tasks.
const TAKE_MAX: usize = 8;
