#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod events;
mod handle;
mod runner;
#[cfg(test)]
mod tests;

pub use events::Events;
pub use gossip_proto as proto;
pub use gossip_proto::OwnedEvent as Event;
pub use gossip_proto::adapter::{Closed, EntryEvent, Lagged, MemberEvent, SocketStats, WaitError};
pub use handle::Handle;
pub use runner::Runner;

use std::net::UdpSocket;

use async_io::Async;
use gossip_proto::Node;

/// Joins a bound socket and a node: the [`Handle`] is for the application, the [`Runner`] for a task of its own, on any
/// executor. `Async` is async-io's, which smol re-exports.
///
/// The node gets the wall clock at once, and whatever is asked of the handle before the runner runs is kept. The
/// address that the node announces is the one that it was made with: nothing here looks at the socket's.
///
/// ```
/// use std::net::UdpSocket;
/// use std::time::Duration;
/// use gossip_smol::proto::{Addr, Config, Node, NodeId, PutOptions, Seed, Storage};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// fn agent(id: u8) -> Result<(gossip_smol::Handle, Addr), Box<dyn std::error::Error>> {
///     let socket = smol::Async::<UdpSocket>::bind(([127, 0, 0, 1], 0))?;
///     let addr = Addr::from(socket.get_ref().local_addr()?);
///     let (storage, seed) = (Storage::with_capacity(16, 100, 1 << 16), Seed::new([id; 32]));
///     let node = Node::new(NodeId(id.into()), addr, Config::lan("doc"), storage, seed)?;
///     let (handle, mut runner) = gossip_smol::new(socket, node);
///     smol::spawn(async move { runner.run().await }).detach();
///     Ok((handle, addr))
/// }
///
/// smol::block_on(async {
///     let ((alice, contact), (bob, _)) = (agent(1)?, agent(2)?);
///     bob.with(|node, now| node.join(now, contact))?;
///     bob.joined().await?;
///     bob.with(|node, now| node.put(now, b"color", b"blue", PutOptions::new()))?;
///     bob.converged(Duration::from_secs(10)).await?;
///     alice.read(|node| assert_eq!(node.get(b"color").unwrap().value(), b"blue"));
///     bob.leave().await?;
///     Ok(())
/// })
/// # }
/// ```
#[must_use = "nothing is sent or received unless the runner runs"]
#[allow(clippy::disallowed_methods, reason = "the core has no clock; this is where it gets the zero of its time")]
pub fn new(socket: Async<UdpSocket>, node: Node<'static>) -> (Handle, Runner) {
    let handle = Handle::new(node, std::time::Instant::now());
    let runner = Runner::new(socket, handle.clone());
    (handle, runner)
}
