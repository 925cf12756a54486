//! What goes wrong: a code for programs, a message and a hint for people, an exit code for scripts, a status for HTTP.

use std::fmt;
use std::process::ExitCode;

use axum::http::StatusCode;
use serde::{Deserialize, Serialize};

/// An error as all commands and the control port tell it: `{"code","message","hint"}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Failure {
    pub(crate) code: Code,
    pub(crate) message: String,
    pub(crate) hint: String,
}

pub(crate) type Result<T, E = Failure> = std::result::Result<T, E>;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $exit:literal, $status:ident;)*) => {
        /// Which error. Its name in snake case is part of the schema.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub(crate) enum Code {
            $($(#[$doc])* $name,)*
        }

        impl Code {
            /// Every code, in the order of the documentation.
            #[cfg(test)]
            pub(crate) const ALL: &[Self] = &[$(Self::$name),*];

            /// The exit code of a command that ends with this error.
            pub(crate) const fn exit(self) -> u8 {
                match self { $(Self::$name => $exit,)* }
            }

            /// The status of a response that carries this error.
            pub(crate) const fn status(self) -> StatusCode {
                match self { $(Self::$name => StatusCode::$status,)* }
            }
        }
    };
}

codes! {
    /// The command line or the request is not understood.
    Usage = 2, BAD_REQUEST;
    /// What should be JSON is not.
    BadJson = 2, BAD_REQUEST;
    /// A key that is no path: empty, or with a `~` that is no escape.
    BadKey = 2, BAD_REQUEST;
    /// Only an object can be merged into the document.
    NotAnObject = 2, BAD_REQUEST;
    /// The control port would be open to others, and has no token.
    TokenRequired = 2, BAD_REQUEST;
    /// A choice that is out of its range, or tables that cannot be that small.
    BadConfig = 2, BAD_REQUEST;
    /// The directory of `--data` cannot be used.
    BadData = 9, INTERNAL_SERVER_ERROR;
    /// A name that has no address, or an address that cannot be used.
    BadAddress = 2, BAD_REQUEST;
    /// No such entry.
    NotFound = 3, NOT_FOUND;
    /// Nobody answers at the control address.
    Unreachable = 4, BAD_GATEWAY;
    /// The agent went away in the middle of an answer.
    AgentGone = 4, BAD_GATEWAY;
    /// Something answers at the control address, and it is no agent.
    NotAnAgent = 4, BAD_GATEWAY;
    /// The key is longer than the limit.
    KeyTooLong = 5, UNPROCESSABLE_ENTITY;
    /// Key and value together are longer than the limit.
    ValueTooLong = 5, UNPROCESSABLE_ENTITY;
    /// All places for entries are taken.
    EntriesFull = 5, INSUFFICIENT_STORAGE;
    /// All bytes for entries are taken.
    BytesFull = 5, INSUFFICIENT_STORAGE;
    /// The tags are longer than the limit.
    TagsTooLong = 5, UNPROCESSABLE_ENTITY;
    /// The entry exists with another kind.
    KindMismatch = 5, CONFLICT;
    /// The entry has one value, and no siblings to resolve.
    NothingToResolve = 5, CONFLICT;
    /// The agent does not hold this topic, or not all of it.
    Unwanted = 5, CONFLICT;
    /// The key's hash is that of another key.
    Collision = 5, CONFLICT;
    /// The agent is leaving.
    Leaving = 5, CONFLICT;
    /// More contacts than a node keeps.
    TooManyContacts = 5, UNPROCESSABLE_ENTITY;
    /// The request's body is longer than the limit.
    BodyTooLong = 5, PAYLOAD_TOO_LARGE;
    /// Too many streams and waits at once.
    TooManyWatchers = 5, SERVICE_UNAVAILABLE;
    /// The swarm does not agree, or did not in time.
    NotConverged = 6, OK;
    /// It is written, and fewer members than asked for are known to hold it.
    NotHeld = 6, GATEWAY_TIMEOUT;
    /// The agent did not answer in time.
    Timeout = 6, GATEWAY_TIMEOUT;
    /// The token is missing or wrong.
    Unauthorized = 7, UNAUTHORIZED;
    /// The request may have been forged by a web page.
    Forbidden = 7, FORBIDDEN;
    /// The address could not be bound.
    BindFailed = 8, INTERNAL_SERVER_ERROR;
    /// Anything that has no code of its own, first of all a defect.
    #[serde(other)]
    Other = 1, INTERNAL_SERVER_ERROR;
}

impl Failure {
    pub(crate) fn new(code: Code, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: hint.into() }
    }

    /// What is to be sent is longer than an agent takes.
    pub(crate) fn body_too_long(max: usize) -> Self {
        let hint = "split it: several merges of parts come to the same document";
        Self::new(Code::BodyTooLong, format!("the request is longer than {max} bytes"), hint)
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.code.exit())
    }

    /// Puts more before the message.
    pub(crate) fn context(mut self, before: impl fmt::Display) -> Self {
        self.message = format!("{before}: {}", self.message);
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.message)?;
        if self.hint.is_empty() { Ok(()) } else { write!(f, "\nhint: {}", self.hint) }
    }
}

impl std::error::Error for Failure {}

impl From<gossip_proto::PublishError> for Failure {
    fn from(error: gossip_proto::PublishError) -> Self {
        use gossip_proto::PublishError;
        let (code, hint) = match error {
            PublishError::TopicLen { .. } => (Code::KeyTooLong, "choose a shorter topic"),
            PublishError::Len { .. } => {
                (Code::ValueTooLong, "a message is one datagram: write an entry, and publish its key")
            }
            PublishError::Ttl { .. } => (Code::Usage, "what is to live longer is an entry: `gossip set`"),
            PublishError::Full { .. } => {
                (Code::EntriesFull, "publish more slowly, or start the agents with larger --entries and --bytes")
            }
            PublishError::NoTime => (Code::Other, "set the machine's clock"),
            PublishError::Left => (Code::Leaving, "talk to another agent"),
        };
        Self::new(code, error.to_string(), hint)
    }
}

impl From<gossip_proto::PutError> for Failure {
    fn from(error: gossip_proto::PutError) -> Self {
        use gossip_proto::PutError;
        let (code, hint) = match error {
            PutError::KeyLen { .. } => (Code::KeyTooLong, "choose a shorter key"),
            PutError::ValueLen { .. } => (
                Code::ValueTooLong,
                "split the value, for instance with `gossip merge`, which stores each leaf by itself",
            ),
            PutError::EntriesFull { .. } => (
                Code::EntriesFull,
                "start the agents with a larger --entries; a deleted entry keeps its place for a while",
            ),
            PutError::BytesFull { .. } => {
                (Code::BytesFull, "delete entries or shorten values, or start the agents with a larger --bytes")
            }
            PutError::Kind => (Code::KindMismatch, "leave out --kind, or delete the entry first"),
            PutError::Collision => (Code::Collision, "choose another key"),
            PutError::Unwanted => (Code::Unwanted, "subscribe to the topic, or ask an agent that has"),
            PutError::Ttl { max: 0 } => {
                (Code::Usage, "leave out --ttl; registers, siblings and elements of sets may have one")
            }
            PutError::Ttl { .. } => (Code::Usage, "choose a shorter lifetime, or none"),
            PutError::NoTime => (Code::Usage, "leave out the lifetime, or join a swarm that knows the time"),
            PutError::Left => (Code::Leaving, "talk to another agent"),
        };
        Self::new(code, error.to_string(), hint)
    }
}

impl From<gossip_proto::TagsError> for Failure {
    fn from(error: gossip_proto::TagsError) -> Self {
        use gossip_proto::TagsError;
        let (code, hint) = match error {
            TagsError::TooLong { .. } => (Code::TagsTooLong, "use fewer or shorter tags; --name is one of them"),
            TagsError::Full => (Code::BytesFull, "use a larger --entries or --bytes"),
            TagsError::Left => (Code::Leaving, "start a new agent"),
        };
        Self::new(code, error.to_string(), hint)
    }
}

impl From<gossip_proto::InterestError> for Failure {
    fn from(error: gossip_proto::InterestError) -> Self {
        use gossip_proto::InterestError;
        let (code, hint) = match error {
            InterestError::TooManyTopics { .. } => (Code::TagsTooLong, "subscribe to fewer, or to all"),
            InterestError::TagsTooLong { .. } => (Code::TagsTooLong, "use fewer topics, or fewer or shorter tags"),
            InterestError::Left => (Code::Leaving, "talk to another agent"),
        };
        Self::new(code, error.to_string(), hint)
    }
}

impl From<gossip_proto::RestoreError> for Failure {
    fn from(error: gossip_proto::RestoreError) -> Self {
        use gossip_proto::RestoreError;
        let larger = "start the agent with larger tables: --entries, --bytes, --value-len-max";
        let (code, hint) = match error {
            RestoreError::Damaged => (Code::BadData, "export it anew"),
            RestoreError::ValueLen { .. } => (Code::ValueTooLong, larger),
            RestoreError::EntriesFull { .. } => (Code::EntriesFull, larger),
            RestoreError::BytesFull { .. } => (Code::BytesFull, larger),
        };
        Self::new(code, error.to_string(), hint)
    }
}

impl From<gossip_proto::ConfigError> for Failure {
    fn from(error: gossip_proto::ConfigError) -> Self {
        Self::new(Code::BadConfig, error.to_string(), "see `gossip agent --help`")
    }
}

impl axum::response::IntoResponse for Failure {
    fn into_response(self) -> axum::response::Response {
        // `NotConverged` is an answer over HTTP, and an error of the command alone.
        (self.code.status(), axum::Json(self)).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_documented_with_its_exit_code() {
        let readme = include_str!("../README.md");
        for code in Code::ALL {
            let name = serde_json::to_string(code).unwrap().replace('"', "`");
            let row = format!("| {} | ", code.exit());
            assert!(readme.lines().any(|line| line.starts_with(&row) && line.contains(&name)), "{name}");
        }
    }

    #[test]
    fn codes_of_newer_agents_are_understood() {
        let failure: Failure = serde_json::from_str(r#"{"code":"new","message":"m","hint":"h","more":1}"#).unwrap();
        assert_eq!(failure, Failure::new(Code::Other, "m", "h"));
    }
}
