//! Events as streams, for any number of readers.

use async_broadcast::{InactiveReceiver, Receiver, RecvError, Sender};
use gossip_proto::OwnedEvent as Event;
use gossip_proto::adapter::{EntryEvent, Lagged, MemberEvent, STREAM_LEN_MAX, Topic};

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
        match self.0.recv_direct().await {
            Ok(item) => Some(item),
            Err(RecvError::Overflowed(missed)) => Some(Err(Lagged(missed))),
            Err(RecvError::Closed) => None,
        }
    }
}

/// The sending end of a stream, and what keeps it open while nobody reads.
#[derive(Debug)]
pub(crate) struct Channel<T>(Sender<Result<T, Lagged>>, InactiveReceiver<Result<T, Lagged>>);

impl<T: Clone> Channel<T> {
    fn new() -> Self {
        let (mut sender, receiver) = async_broadcast::broadcast(Events::<T>::LEN_MAX);
        sender.set_overflow(true);
        Self(sender, receiver.deactivate())
    }

    pub(crate) fn events(&self) -> Events<T> {
        Events(self.1.activate_cloned())
    }

    /// Fails only when nobody reads.
    fn send(&self, item: Result<T, Lagged>) {
        let _ = self.0.try_broadcast(item);
    }
}

#[derive(Debug)]
pub(crate) struct Channels {
    pub(crate) all: Channel<Event>,
    pub(crate) members: Channel<MemberEvent>,
    pub(crate) entries: Channel<EntryEvent>,
    pub(crate) messages: Channel<Event>,
}

impl Channels {
    pub(crate) fn new() -> Self {
        Self { all: Channel::new(), members: Channel::new(), entries: Channel::new(), messages: Channel::new() }
    }

    /// Ends the streams; what is in them can still be read.
    pub(crate) fn close(&self) {
        let _ = (self.all.0.close(), self.members.0.close(), self.entries.0.close(), self.messages.0.close());
    }

    /// Passes an event on to whoever reads.
    pub(crate) fn tell(&self, event: Result<Event, Lagged>) {
        match Topic::of(&event) {
            Topic::Member(member) => self.members.send(Ok(member)),
            Topic::Entry(entry) => self.entries.send(Ok(entry)),
            Topic::Message => self.messages.send(event.clone()),
            Topic::All(lagged) => {
                self.members.send(Err(lagged));
                self.entries.send(Err(lagged));
                self.messages.send(Err(lagged));
            }
            Topic::None => {}
        }
        self.all.send(event);
    }
}
