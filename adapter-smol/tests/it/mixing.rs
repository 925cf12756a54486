//! A swarm of agents on different runtimes: tokio's on a thread of its own, and this adapter's.

use std::net::SocketAddr;
use std::sync::mpsc;

use gossip_smol::proto::{MemberChange, MemberState, Node, PutOptions};

use crate::net::{FOREVER, LOCALHOST, Swarm, meet, run, soon, state, until};

/// A node on a tokio runtime, which is shut down with this.
struct Tokio {
    handle: gossip_tokio::Handle,
    addr: SocketAddr,
    thread: std::thread::JoinHandle<std::io::Result<()>>,
}

impl Tokio {
    fn agent(swarm: &Swarm) -> Self {
        let socket = std::net::UdpSocket::bind(SocketAddr::from((LOCALHOST, 0))).unwrap();
        socket.set_nonblocking(true).unwrap();
        let addr = socket.local_addr().unwrap();
        let (node, (tell, told)) = (swarm.node(addr), mpsc::channel());
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let (handle, mut runner) = gossip_tokio::new(tokio::net::UdpSocket::from_std(socket).unwrap(), node);
                tell.send(handle).unwrap();
                runner.run().await
            })
        });
        Self { handle: told.recv().unwrap(), addr, thread }
    }

    fn live(&self) -> usize {
        self.handle.read(Node::live)
    }

    fn put(&self, key: &str, value: &str) {
        self.handle.with(|node, now| node.put(now, key.as_bytes(), value.as_bytes(), PutOptions::new())).unwrap();
    }

    fn get(&self, key: &str) -> Option<Vec<u8>> {
        self.handle.read(|node| node.get(key.as_bytes()).map(|entry| entry.value().to_vec()))
    }
}

#[test]
fn tokio_agents_and_smol_agents_are_one_swarm() {
    run(1, async {
        let swarm = Swarm::quick();
        let (red, blue) = (Tokio::agent(&swarm), Tokio::agent(&swarm));
        blue.handle.with(|node, now| node.join(now, red.addr.into())).unwrap();
        let (a, b) = (swarm.agent(LOCALHOST), swarm.agent(LOCALHOST));
        a.join(red.addr);
        b.join(blue.addr);
        soon("a is taken in", a.handle.joined()).await.unwrap();
        let smol = [&a.handle, &b.handle];
        until("all know each other", || {
            smol.iter().all(|handle| handle.read(Node::live) == 4)
                && [&red, &blue].iter().all(|agent| agent.live() == 4)
        })
        .await;

        a.put("from/smol", "1");
        red.put("from/tokio", "2");
        until("each has what the other wrote", || {
            blue.get("from/smol").as_deref() == Some(b"1") && b.get("from/tokio").as_deref() == Some(b"2")
        })
        .await;
        let at = a.handle.converged(FOREVER).await.unwrap();
        assert_eq!((at.live, at.agreeing), (4, 4));
        until("a tokio agent sees the same", || red.handle.read(Node::convergence).root == at.root).await;

        // A farewell is understood both ways.
        let (left, mut members) = (b.id(), a.handle.member_events());
        soon("b leaves", b.handle.leave()).await.unwrap();
        until("b has left for red", || red.handle.read(|node| node.member(left).unwrap().state) == MemberState::Left)
            .await;
        let left = blue.handle.read(Node::id);
        // Its wait needs no runtime of tokio's.
        soon("blue leaves", blue.handle.leave()).await.unwrap();
        blue.thread.join().unwrap().unwrap();
        soon("a is told", async {
            loop {
                let event = members.next().await.unwrap().unwrap();
                if event.id == left {
                    return assert_eq!(event.change, MemberChange::Left);
                }
            }
        })
        .await;
        assert_eq!(state(&a.handle, left), Some(MemberState::Left));
        assert_eq!((a.handle.read(Node::live), red.live()), (2, 2));
        soon("red leaves", red.handle.leave()).await.unwrap();
        red.thread.join().unwrap().unwrap();
        meet(&[&a.handle]).await;
    });
}
