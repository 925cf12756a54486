//! Joins a swarm and prints what it learns: `cargo run --example join -- BIND [CONTACT]`, both as `address:port`.

use std::error::Error;

use gossip_tokio::proto::{Config, Node, NodeId, PutOptions, Seed, Storage};
use tokio::net::UdpSocket;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let socket = UdpSocket::bind(args.first().map_or("127.0.0.1:0", String::as_str)).await?;
    let (addr, mut seed) = (socket.local_addr()?, [0; 32]);
    getrandom::fill(&mut seed)?;
    let id = NodeId(getrandom::u64()?);
    let storage = Storage::with_capacity(1_000, 10_000, 1 << 20);
    let node = Node::new(id, addr.into(), Config::lan("example"), storage, Seed::new(seed))?;
    let (handle, mut runner) = gossip_tokio::new(socket, node);
    let mut events = handle.events();
    tokio::spawn(async move { runner.run().await });

    println!("{id} listens on {addr}");
    if let Some(contact) = args.get(1) {
        let contact: std::net::SocketAddr = contact.parse()?;
        handle.with(|node, now| node.join(now, contact.into()))?;
    }
    handle.with(|node, now| node.put(now, format!("hello/{id}").as_bytes(), b"world", PutOptions::new()))?;
    while let Some(event) = events.next().await {
        println!("{event:?}");
    }
    Ok(())
}
