//! Leaving is not dying, and what waits for a runner that is gone is told so.

use std::time::Duration;

use gossip_smol::proto::{MemberChange, MemberState, Node};
use gossip_smol::{Closed, Event, WaitError};
use smol::Timer;

use crate::net::{FOREVER, LOCALHOST, Swarm, meet, run, soon, spawn, state};

#[test]
fn the_others_see_a_farewell_and_no_death() {
    run(1, async {
        let swarm = Swarm::quick();
        let (a, b) = swarm.pair().await;
        let c = swarm.agent(LOCALHOST);
        c.join(a.addr);
        meet(&[&a.handle, &b.handle, &c.handle]).await;
        let id = a.id();
        let mut news = a.handle.events();
        let mut watches = [b.handle.member_events(), c.handle.member_events()];

        soon("a has left", a.handle.leave()).await.unwrap();
        soon("its runner has ended", a.task).await.unwrap();
        assert_eq!(a.handle.leave().await, Ok(()), "who has left has left");
        assert_eq!(a.handle.joined().await, Err(Closed));
        let mut last = None;
        while let Some(event) = soon("the stream ends", news.next()).await {
            last = Some(event);
        }
        assert_eq!(last, Some(Ok(Event::Left)));

        for members in &mut watches {
            let told = soon("told that a is gone", async {
                loop {
                    let event = members.next().await.unwrap().unwrap();
                    if event.id == id && !matches!(event.change, MemberChange::Joined | MemberChange::Updated) {
                        return event.change;
                    }
                }
            });
            assert_eq!(told.await, MemberChange::Left);
        }
        assert_eq!(state(&b.handle, id), Some(MemberState::Left));
        assert_eq!(b.handle.read(Node::live), 2);
    });
}

#[test]
fn a_node_that_is_alone_leaves_too() {
    run(1, async {
        let a = Swarm::quick().agent(LOCALHOST);
        soon("a has left", a.handle.leave()).await.unwrap();
        soon("its runner has ended", a.task).await.unwrap();
    });
}

#[test]
fn a_runner_that_has_ended_ends_again_at_once() {
    run(1, async {
        let (handle, mut runner, _) = Swarm::quick().still(LOCALHOST);
        handle.with(|node, now| node.leave(now));
        soon("the runner ends", runner.run()).await.unwrap();
        soon("and again", runner.run()).await.unwrap();
        drop(runner);
        assert_eq!(handle.leave().await, Ok(()));
    });
}

#[test]
fn dropping_the_runner_wakes_who_waits() {
    run(1, async {
        let swarm = Swarm::patient();
        let (a, b) = swarm.pair().await;
        let lonely = swarm.agent(LOCALHOST);
        b.crash().await;
        a.put("key", "value");

        let joined = spawn({
            let handle = lonely.handle.clone();
            async move { handle.joined().await }
        });
        let converged = spawn({
            let handle = a.handle.clone();
            async move { handle.converged(FOREVER * 2).await }
        });
        let (mut all, mut members, mut entries) =
            (a.handle.events(), a.handle.member_events(), a.handle.entry_events());
        Timer::after(Duration::from_millis(20)).await;
        assert!(!joined.is_finished() && !converged.is_finished());
        let (a, lonely) = (a.crash().await, lonely.crash().await);
        assert_eq!(soon("joined ends", joined).await, Err(Closed));
        assert_eq!(soon("converged ends", converged).await, Err(WaitError::Closed));
        while soon("all events end", all.next()).await.is_some() {}
        while soon("member events end", members.next()).await.is_some() {}
        while soon("entry events end", entries.next()).await.is_some() {}

        // And whoever comes later does not wait at all.
        assert_eq!(lonely.joined().await, Err(Closed));
        assert_eq!(a.converged(FOREVER).await, Err(WaitError::Closed));
        assert_eq!(a.leave().await, Err(Closed));
        assert_eq!(a.events().next().await, None);
        assert_eq!(a.read(Node::live), 2, "the node can still be looked at");
    });
}

#[test]
fn a_leave_that_nobody_carries_out_is_closed() {
    run(1, async {
        let (handle, runner, _) = Swarm::quick().still(LOCALHOST);
        let leaving = spawn({
            let handle = handle.clone();
            async move { handle.leave().await }
        });
        Timer::after(Duration::from_millis(10)).await;
        assert!(!leaving.is_finished());
        drop(runner);
        assert_eq!(soon("leave ends", leaving).await, Err(Closed));
    });
}
