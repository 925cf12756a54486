//! Messages as bytes, and back.

use std::vec;
use std::vec::Vec;

use crate::wire::{Envelope, Message, Messages, Writer, close, open};
use crate::{NodeId, SwarmKey};

/// Whatever opens is encoded in no more bytes than it came in, and opens as the same.
pub fn roundtrip(data: &[u8]) {
    let key = SwarmKey::from_name("fuzz");
    let mut datagram = super::forge::raw(key, NodeId(2), data);
    let len = datagram.len();
    let (header, messages) = open(&mut datagram, &Envelope { key, own: NodeId(1) }).expect("a good envelope");
    let messages = well_formed(messages);

    let mut buf = vec![0; len];
    let mut writer = Writer::new(&mut buf, &header).expect("room for what was there before");
    for message in &messages {
        let room = writer.room();
        let used = writer.push(message, usize::MAX).expect("the shortest form is not longer than another");
        assert_eq!(writer.room(), room - used);
        assert_eq!(writer.push(message, used - 1), None, "nothing is longer than its limit");
    }
    let sender = Envelope { key, own: header.id };
    let used = writer.len();
    let mut again = close(&mut buf, used, &sender, Some(NodeId(1))).to_vec();
    assert!(again.len() <= len);
    let (header_again, messages_again) = open(&mut again, &Envelope { key, own: NodeId(1) }).expect("it opens again");
    assert_eq!((header, messages), (header_again, well_formed(messages_again)));
    assert!(open(&mut again, &Envelope { key, own: NodeId(3) }).is_err(), "it is bound to its destination");
}

fn well_formed(messages: Messages<'_>) -> Vec<Message<'_>> {
    messages.map_while(Result::ok).collect()
}
