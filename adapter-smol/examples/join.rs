//! Joins a swarm, of tokio agents or of smol ones, and prints what it learns: `cargo run --example join-smol -- BIND
//! [CONTACT [SWARM]]`, both as `address:port`.

use std::error::Error;
use std::net::{SocketAddr, UdpSocket};

use gossip_smol::proto::{Config, Node, NodeId, PutOptions, Seed, Storage};
use smol::Async;

fn main() -> Result<(), Box<dyn Error>> {
    smol::block_on(async {
        let args: Vec<String> = std::env::args().skip(1).collect();
        let bind: SocketAddr = args.first().map_or("127.0.0.1:0", String::as_str).parse()?;
        let socket = Async::<UdpSocket>::bind(bind)?;
        let (addr, mut seed) = (socket.get_ref().local_addr()?, [0; 32]);
        getrandom::fill(&mut seed)?;
        let id = NodeId(getrandom::u64()?);
        let storage = Storage::with_capacity(1_000, 10_000, 1 << 20);
        let node = Node::new(
            id,
            addr.into(),
            Config::lan(args.get(2).map_or("example", String::as_str)),
            storage,
            Seed::new(seed),
        )?;
        let (handle, mut runner) = gossip_smol::new(socket, node);
        let mut events = handle.events();
        smol::spawn(async move { runner.run().await }).detach();

        println!("{id} listens on {addr}");
        if let Some(contact) = args.get(1) {
            let contact: SocketAddr = contact.parse()?;
            handle.with(|node, now| node.join(now, contact.into()))?;
        }
        handle.with(|node, now| node.put(now, format!("hello/{id}").as_bytes(), b"world", PutOptions::new()))?;
        while let Some(event) = events.next().await {
            println!("{event:?}");
        }
        Ok(())
    })
}
