//! What one agent writes the others read, whoever and however many write.

use std::time::Duration;

use gossip_tokio::proto::{EntryChange, Kind};
use gossip_tokio::{EntryEvent, Event, Events, Lagged, WaitError};

use crate::net::{FOREVER, Swarm, get, put, soon, until};

#[tokio::test]
async fn put_here_get_there() {
    let (a, b) = Swarm::quick().pair().await;
    let mut entries = b.handle.entry_events();
    a.put("config/color", "blue");
    let told = soon("b is told", entries.next()).await.unwrap().unwrap();
    assert_eq!(
        told,
        EntryEvent {
            key: (*b"config/color").into(),
            kind: Kind::Register,
            part: [].into(),
            change: EntryChange::Put,
            conflict: false,
        }
    );
    assert_eq!(b.get("config/color").as_deref(), Some(&b"blue"[..]));

    assert!(b.handle.with(|node, now| node.delete(now, b"config/color")).unwrap());
    until("a has lost it", || a.get("config/color").is_none()).await;
}

#[tokio::test]
async fn a_swarm_converges() {
    let (a, b) = Swarm::quick().pair().await;
    for key in 0..100 {
        a.put(&format!("a/{key}"), "1");
        b.put(&format!("b/{key}"), "2");
    }
    let at = a.handle.converged(FOREVER).await.unwrap();
    assert_eq!((at.live, at.agreeing), (2, 2));
    assert_eq!(a.handle.read(|node| node.scan(b"").count()), 200);
    assert_eq!(b.handle.converged(FOREVER).await.unwrap().root, at.root);
    // A wait for what is true needs no turn of the runner.
    let handle = b.crash().await;
    assert_eq!(handle.converged(Duration::ZERO).await, Err(WaitError::Closed));
    assert_eq!(a.handle.converged(Duration::ZERO).await.map(|at| at.live), Ok(2));
}

#[tokio::test]
async fn a_swarm_that_does_not_converge_in_time_says_how_far_it_came() {
    let (a, b) = Swarm::patient().pair().await;
    a.handle.converged(FOREVER).await.unwrap();
    b.crash().await;
    a.put("key", "value");
    let Err(WaitError::Timeout(at)) = a.handle.converged(Duration::from_millis(50)).await else {
        panic!("converged with a crashed member");
    };
    assert_eq!((at.live, at.agreeing), (2, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_handles_at_once() {
    let (a, b) = Swarm::quick().pair().await;
    let writers = (0..100).map(|writer| {
        let handle = if writer % 2 == 0 { a.handle.clone() } else { b.handle.clone() };
        tokio::spawn(async move {
            for key in 0..10 {
                let key = format!("{writer}/{key}");
                put(&handle, &key, "value");
                assert_eq!(get(&handle, &key).as_deref(), Some(&b"value"[..]));
                tokio::task::yield_now().await;
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        soon("a writer is done", writer).await.unwrap();
    }
    for handle in [&a.handle, &b.handle] {
        handle.converged(FOREVER).await.unwrap();
        assert_eq!(handle.read(|node| node.scan(b"").count()), 1000);
    }
}

#[tokio::test]
async fn a_slow_reader_is_told_how_much_it_missed_and_stops_nobody() {
    let (a, b) = Swarm::quick().pair().await;
    let (mut slow, mut deaths, mut quick) = (b.handle.entry_events(), b.handle.member_events(), b.handle.events());
    let written = Events::<EntryEvent>::LEN_MAX + 500;
    for key in 0..written {
        a.put(&format!("key/{key}"), "value");
    }
    let mut entries = 0;
    while entries < written {
        let event = soon("b is told of all", quick.next()).await.unwrap();
        entries += usize::from(matches!(event.expect("who keeps up misses nothing"), Event::Entry { .. }));
    }
    // The stream has dropped what it had no room for, and no more.
    assert_eq!(slow.next().await, Some(Err(Lagged(500))));
    for _ in 0..Events::<EntryEvent>::LEN_MAX {
        assert_eq!(slow.next().await.unwrap().unwrap().change, EntryChange::Put);
    }
    // The storm of entries has not touched the other stream.
    a.handle.leave().await.unwrap();
    assert!(soon("b is told", deaths.next()).await.unwrap().is_ok());
}
