//! Events as streams, for any number of readers.

use gossip_proto::OwnedEvent as Event;
use gossip_proto::adapter::{EntryEvent, Lagged, MemberEvent, STREAM_LEN_MAX, Topic};
use tokio::sync::broadcast::{self, Receiver, Sender, error::RecvError};

/// A bounded stream of events, from the moment of subscribing on. Subscribe first and read the state afterwards: then
/// nothing falls between the two.
///
/// It holds [`Events::LEN_MAX`] events. When it is full the oldest are dropped, and the reader gets [`Lagged`] before the
/// rest; nobody else waits for a slow reader. Each of the four streams has its own room: a storm of entries drops no
/// death.
#[derive(Debug)]
#[must_use = "it holds events until they are read"]
pub struct Events<T>(Receiver<Result<T, Lagged>>);

impl<T: Clone> Events<T> {
    /// How many events wait for a slow reader.
    pub const LEN_MAX: usize = STREAM_LEN_MAX;

    /// The next event; `None` once the node has left, or its runner is gone, and all is read. Cancel-safe.
    pub async fn next(&mut self) -> Option<Result<T, Lagged>> {
        match self.0.recv().await {
            Ok(item) => Some(item),
            Err(RecvError::Lagged(missed)) => Some(Err(Lagged(missed))),
            Err(RecvError::Closed) => None,
        }
    }

    /// A stream of what `sender` sends; one that has ended when there is none.
    pub(crate) fn of(sender: Option<&Sender<Result<T, Lagged>>>) -> Self {
        Self(sender.map_or_else(|| broadcast::channel(1).1, Sender::subscribe))
    }
}

#[derive(Debug)]
pub(crate) struct Channels {
    pub(crate) all: Sender<Result<Event, Lagged>>,
    pub(crate) members: Sender<Result<MemberEvent, Lagged>>,
    pub(crate) entries: Sender<Result<EntryEvent, Lagged>>,
    pub(crate) messages: Sender<Result<Event, Lagged>>,
}

impl Channels {
    pub(crate) fn new() -> Self {
        let len = STREAM_LEN_MAX;
        Self { all: Sender::new(len), members: Sender::new(len), entries: Sender::new(len), messages: Sender::new(len) }
    }

    /// Passes an event on to whoever reads; `send` only fails when nobody does.
    pub(crate) fn tell(&self, event: Result<Event, Lagged>) {
        let _ = match Topic::of(&event) {
            Topic::Member(member) => self.members.send(Ok(member)).is_ok(),
            Topic::Entry(entry) => self.entries.send(Ok(entry)).is_ok(),
            Topic::Message => self.messages.send(event.clone()).is_ok(),
            Topic::All(lagged) => {
                self.members.send(Err(lagged)).is_ok()
                    | self.entries.send(Err(lagged)).is_ok()
                    | self.messages.send(event.clone()).is_ok()
            }
            Topic::None => true,
        };
        let _ = self.all.send(event);
    }
}
