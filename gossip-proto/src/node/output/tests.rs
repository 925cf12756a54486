//! What is written, and taken back.

use std::vec;

use super::{Destination, Filling};
use crate::wire::{Context, EntryItem, Header, Message, VersionId, Writer};
use crate::{Addr, Config, Node, NodeId, Seed, Storage};

/// A mark of copies that is taken back would turn what follows from news into copies.
#[test]
fn siblings_that_do_not_fit_leave_no_mark_behind() {
    let addr = Addr::new(b"a").unwrap();
    let storage = Storage::with_capacity(4, 4, 4_096);
    let mut node = Node::new(NodeId(1), addr, Config::lan("x"), storage, Seed::new([1; 32])).unwrap();
    for writer in 1..3 {
        let version = VersionId { stamp: writer, writer, context: Context::new() };
        let item = EntryItem { kind: 1, key: b"k", version, ttl: 0, value: Some(&[7; 200]) };
        node.store.merge(&item).unwrap();
    }
    let slot = node.store.find(b"k").unwrap();
    assert_eq!(node.store.versions(slot), 2);
    let mut buf = vec![0; 400];
    let writer = Writer::new(&mut buf, &Header { id: NodeId(1), incarnation: 0, root: 0, load: 0 }).unwrap();
    let to = Destination { addr, id: None, slot: None, round: false, via: None, bare: false };
    let mut filling = Filling::new(writer, &to);
    filling.push(&Message::Ping(1), false, usize::MAX).unwrap();
    let before = filling.writer.len();
    assert_eq!(node.push_entry(&mut filling, slot, true, usize::MAX), None, "one fits, two do not");
    assert_eq!(filling.writer.len(), before);
    // The same message takes as much as it did: no mark goes before it.
    assert_eq!(filling.push(&Message::Ping(2), false, usize::MAX), Some(5));
}
