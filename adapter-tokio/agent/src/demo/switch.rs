//! The switch between the agents: every agent is known to the others by a port of it, so that it can cut them apart.
//!
//! Knows: whose real address is whose, and who is cut off from whom. Does not know: what a datagram says.
//!
//! An agent sends to the other's port on the switch; the switch knows the sender by its real address, and passes the
//! datagram on from the sender's own port: the receiver sees the address that the sender announces.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::net::UdpSocket;
use tokio::task::JoinSet;
use tokio::time;

/// A running switch; dropping it ends its tasks.
#[derive(Debug)]
pub(super) struct Switch {
    shared: Arc<Shared>,
    _tasks: JoinSet<()>,
}

/// What the switch did with datagrams so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Counts {
    pub(super) forwarded: u64,
    pub(super) forwarded_bytes: u64,
    /// Dropped because a partition lay between the two.
    pub(super) cut: u64,
    /// Dropped because nobody knew the sender, or where the receiver is.
    pub(super) unknown: u64,
}

impl Switch {
    /// A switch with this many ports on loopback.
    pub(super) async fn start(ports: usize) -> io::Result<Self> {
        let mut sockets = Vec::with_capacity(ports);
        for _ in 0..ports {
            sockets.push(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?);
        }
        let table =
            Table { real: vec![None; ports], side: vec![0; ports], early: Vec::new(), counts: Counts::default() };
        let shared = Arc::new(Shared { sockets, table: Mutex::new(table) });
        let mut tasks = JoinSet::new();
        for port in 0..ports {
            let shared = shared.clone();
            tasks.spawn(async move { shared.serve(port).await });
        }
        Ok(Self { shared, _tasks: tasks })
    }

    /// The address under which the others know this agent.
    pub(super) fn advertised(&self, agent: usize) -> io::Result<SocketAddr> {
        self.shared.sockets[agent].local_addr()
    }

    /// Tells where the agent really is. What was sent by it, or to it, before this was known goes out now.
    pub(super) async fn connect(&self, agent: usize, real: SocketAddr) {
        let early = self.shared.lock().connect(agent, real);
        for Early { from, port, bytes } in early {
            self.shared.forward(from, port, &bytes).await;
        }
    }

    /// Cuts these agents off from all others, in both directions.
    pub(super) fn split(&self, agents: &[usize]) {
        let mut table = self.shared.lock();
        for (agent, side) in table.side.iter_mut().enumerate() {
            *side = u8::from(agents.contains(&agent));
        }
    }

    /// Everybody reaches everybody again.
    pub(super) fn heal(&self) {
        self.split(&[]);
    }

    pub(super) fn counts(&self) -> Counts {
        self.shared.lock().counts
    }
}

#[derive(Debug)]
struct Shared {
    sockets: Vec<UdpSocket>,
    table: Mutex<Table>,
}

#[derive(Debug)]
struct Table {
    real: Vec<Option<SocketAddr>>,
    /// Agents on different sides do not reach each other.
    side: Vec<u8>,
    early: Vec<Early>,
    counts: Counts,
}

/// A datagram from or to an agent that is not connected yet.
#[derive(Debug)]
struct Early {
    from: SocketAddr,
    port: usize,
    bytes: Vec<u8>,
}

/// What to do with a datagram.
enum Fate {
    Forward { out: usize, to: SocketAddr },
    Drop,
}

impl Shared {
    /// Passes on what arrives at this port.
    async fn serve(&self, port: usize) {
        let mut buf = vec![0; DATAGRAM_LEN_MAX];
        loop {
            match self.sockets[port].recv_from(&mut buf).await {
                Ok((len, from)) => self.forward(from, port, &buf[..len]).await,
                // Late news that somebody is gone, on systems that tell.
                Err(_) => time::sleep(Duration::from_millis(1)).await,
            }
        }
    }

    async fn forward(&self, from: SocketAddr, port: usize, bytes: &[u8]) {
        let fate = self.lock().judge(from, port, bytes);
        if let Fate::Forward { out, to } = fate {
            // A datagram that cannot be sent is lost, as on any network.
            let _ = self.sockets[out].send_to(bytes, to).await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// Enters the address, and gives what was kept for want of it.
    fn connect(&mut self, agent: usize, real: SocketAddr) -> Vec<Early> {
        self.real[agent] = Some(real);
        std::mem::take(&mut self.early)
    }

    fn judge(&mut self, from: SocketAddr, port: usize, bytes: &[u8]) -> Fate {
        let sender = self.real.iter().position(|&real| real == Some(from));
        let (Some(out), Some(to)) = (sender, self.real[port]) else {
            if self.early.len() < EARLY_MAX && self.real.contains(&None) {
                self.early.push(Early { from, port, bytes: bytes.to_vec() });
            } else {
                self.counts.unknown += 1;
            }
            return Fate::Drop;
        };
        if self.side[out] != self.side[port] {
            self.counts.cut += 1;
            return Fate::Drop;
        }
        self.counts.forwarded += 1;
        self.counts.forwarded_bytes += bytes.len() as u64;
        Fate::Forward { out, to }
    }
}

const DATAGRAM_LEN_MAX: usize = 65_535;
/// Agents send a few datagrams between their first and the moment that the switch knows them.
const EARLY_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    /// Two ends that are connected to a switch.
    async fn pair() -> (Switch, [UdpSocket; 2]) {
        let switch = Switch::start(2).await.unwrap();
        let ends = [
            UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap(),
            UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap(),
        ];
        for (agent, end) in ends.iter().enumerate() {
            switch.connect(agent, end.local_addr().unwrap()).await;
        }
        (switch, ends)
    }

    async fn receive(end: &UdpSocket) -> Option<(Vec<u8>, SocketAddr)> {
        let mut buf = [0; 64];
        let (len, from) = time::timeout(Duration::from_millis(300), end.recv_from(&mut buf)).await.ok()?.unwrap();
        Some((buf[..len].to_vec(), from))
    }

    #[tokio::test]
    async fn the_receiver_sees_the_senders_port() {
        let (switch, [alice, bob]) = pair().await;
        alice.send_to(b"hello", switch.advertised(1).unwrap()).await.unwrap();
        let (said, from) = receive(&bob).await.unwrap();
        assert_eq!((said.as_slice(), from), (&b"hello"[..], switch.advertised(0).unwrap()));
        bob.send_to(b"hello yourself", from).await.unwrap();
        assert_eq!(receive(&alice).await.unwrap().1, switch.advertised(1).unwrap());
        assert_eq!(switch.counts(), Counts { forwarded: 2, forwarded_bytes: 19, ..Counts::default() });
    }

    #[tokio::test]
    async fn a_partition_lets_nothing_through() {
        let (switch, [alice, bob]) = pair().await;
        switch.split(&[1]);
        alice.send_to(b"lost", switch.advertised(1).unwrap()).await.unwrap();
        bob.send_to(b"lost", switch.advertised(0).unwrap()).await.unwrap();
        assert_eq!((receive(&bob).await, receive(&alice).await), (None, None));
        assert_eq!(switch.counts(), Counts { cut: 2, ..Counts::default() });
        switch.heal();
        alice.send_to(b"found", switch.advertised(1).unwrap()).await.unwrap();
        assert_eq!(receive(&bob).await.unwrap().0, b"found");
    }

    #[tokio::test]
    async fn what_came_too_early_is_kept() {
        let switch = Switch::start(2).await.unwrap();
        let (alice, bob) = (
            UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap(),
            UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap(),
        );
        switch.connect(1, bob.local_addr().unwrap()).await;
        alice.send_to(b"early", switch.advertised(1).unwrap()).await.unwrap();
        assert_eq!(receive(&bob).await, None);
        switch.connect(0, alice.local_addr().unwrap()).await;
        assert_eq!(receive(&bob).await.unwrap().0, b"early");
        UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .unwrap()
            .send_to(b"x", switch.advertised(1).unwrap())
            .await
            .unwrap();
        assert_eq!(receive(&bob).await, None);
        assert_eq!(switch.counts().unknown, 1);
    }
}
