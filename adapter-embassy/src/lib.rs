#![doc = include_str!("../README.md")]
#![no_std]
#![forbid(unsafe_code)]

mod handle;
mod neighbors;
mod network;
mod runner;

pub use gossip_proto as proto;
pub use gossip_proto::adapter::{Closed, SocketStats, WaitError};
pub use handle::Handle;
pub use neighbors::{Neighbors, Resolving};
pub use network::{Network, Unreachable};
pub use runner::{Resources, Runner};

use embassy_net::udp::UdpSocket;
use gossip_proto::Node;

/// Joins a bound socket and a node: the [`Handle`] is for the application, the [`Runner`] for a task of its own.
///
/// `network` is the stack of the socket with [`Neighbors`] ([`Neighbors::on`]), or the stack alone where there are no
/// hardware addresses. The node is in its `static` already, since each move of one takes its size on the stack. All of them stay on one executor; none can leave it.
#[must_use = "nothing is sent or received unless the runner runs"]
#[inline]
pub fn new<const MTU: usize>(
    resources: &'static mut Resources<MTU>,
    network: impl Into<Network>,
    socket: UdpSocket<'static>,
    node: &'static mut Node<'static>,
) -> (Handle, Runner) {
    Runner::start(resources, network.into(), socket, node)
}
