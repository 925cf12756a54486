//! Talks to an agent's control port: one request on one connection.

use std::net::SocketAddr;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::api::{BODY_LEN_MAX, Wait};
use crate::error::{Code, Failure, Result};

/// An agent, by its control address. Clones are cheap; nothing is connected until something is asked.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    control: String,
    token: Option<String>,
}

impl Client {
    pub(crate) fn new(control: impl Into<String>, token: Option<String>) -> Self {
        Self { control: control.into(), token: token.filter(|token| !token.is_empty()) }
    }

    /// Reads. `query` is pairs of names and values, not yet escaped.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str, query: &[(&str, &str)]) -> Result<T> {
        self.get_within(path, query, ANSWER_TIMEOUT).await
    }

    /// Reads what may take as long as `wait` and some.
    pub(crate) async fn get_within<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, &str)],
        wait: Duration,
    ) -> Result<T> {
        self.within(wait, async { answer(self.send("GET", &target(path, query), Bytes::new()).await?).await }).await
    }

    /// Changes something.
    pub(crate) async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T> {
        self.post_within(path, body, None).await
    }

    /// Changes something, and waits for others to hold it.
    pub(crate) async fn post_within<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
        wait: Option<Wait>,
    ) -> Result<T> {
        let within = ANSWER_TIMEOUT + Duration::from_millis(wait.map_or(0, |wait| wait.timeout_ms));
        let body = serde_json::to_vec(body).map_err(|error| Failure::new(Code::Other, error.to_string(), ""))?;
        if body.len() > BODY_LEN_MAX {
            return Err(Failure::body_too_long(BODY_LEN_MAX));
        }
        self.within(within, async { answer(self.send("POST", path, body.into()).await?).await }).await
    }

    /// Opens a stream of lines.
    pub(crate) async fn lines(&self, path: &str, query: &[(&str, &str)]) -> Result<Lines> {
        let target = target(path, query);
        let response = self.within(ANSWER_TIMEOUT, self.send("GET", &target, Bytes::new())).await?;
        if response.status() != StatusCode::OK {
            return Err(answer::<()>(response).await.err().unwrap_or_else(|| not_an_agent("an empty answer")));
        }
        Ok(Lines { body: response.into_body(), buffer: Vec::new(), taken: 0 })
    }

    async fn within<T>(&self, wait: Duration, answer: impl Future<Output = Result<T>>) -> Result<T> {
        timeout(wait, answer).await.unwrap_or_else(|_| {
            let message = format!("the agent at {} did not answer within {wait:?}", self.control);
            Err(Failure::new(Code::Timeout, message, "look at its log, and whether it is stopped or overloaded"))
        })
    }

    async fn send(&self, method: &str, target: &str, body: Bytes) -> Result<Response<Incoming>> {
        let (stream, addr) = self.connect().await?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| self.gone(&error))?;
        tokio::spawn(connection);
        // The address, not the name that it was found by: an agent refuses names it does not know.
        let mut request = Request::builder().method(method).uri(target).header(HOST, addr.to_string());
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        if method == "POST" {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let request = request.body(Full::new(body)).map_err(|error| {
            Failure::new(Code::Usage, format!("no request can be made of this: {error}"), "look at --token and the key")
        })?;
        sender.send_request(request).await.map_err(|error| self.gone(&error))
    }

    async fn connect(&self) -> Result<(TcpStream, SocketAddr)> {
        let refused = |why: String| {
            let hint = "is the agent running there? Start one with `gossip agent`, or name another with --control";
            Failure::new(Code::Unreachable, format!("no agent answers at {}: {why}", self.control), hint)
        };
        let addr = self.control.strip_prefix("http://").unwrap_or(&self.control).trim_end_matches('/');
        let stream = timeout(CONNECT_TIMEOUT, TcpStream::connect(addr))
            .await
            .map_err(|_| refused(format!("no connection within {CONNECT_TIMEOUT:?}")))?
            .map_err(|error| refused(error.to_string()))?;
        let addr = stream.peer_addr().map_err(|error| refused(error.to_string()))?;
        let _ = stream.set_nodelay(true);
        Ok((stream, addr))
    }

    fn gone(&self, error: &hyper::Error) -> Failure {
        if error.is_parse() {
            return not_an_agent(&error.to_string());
        }
        let message = format!("the agent at {} ended the connection: {error}", self.control);
        Failure::new(Code::AgentGone, message, "it may have ended; look at its log")
    }
}

/// A body as lines, each a JSON object.
#[derive(Debug)]
pub(crate) struct Lines {
    body: Incoming,
    buffer: Vec<u8>,
    taken: usize,
}

impl Lines {
    /// The next line, without its end; `None` when the agent has ended the stream.
    pub(crate) async fn next(&mut self) -> Result<Option<String>> {
        loop {
            let rest = &self.buffer[self.taken..];
            if let Some(len) = rest.iter().position(|byte| *byte == b'\n') {
                let line = String::from_utf8_lossy(&rest[..len]).into_owned();
                self.taken += len + 1;
                return Ok(Some(line));
            }
            self.buffer.drain(..self.taken);
            self.taken = 0;
            match self.body.frame().await {
                Some(Ok(frame)) => self.buffer.extend_from_slice(frame.data_ref().map_or(&[], |data| data)),
                Some(Err(error)) => {
                    let message = format!("the agent broke off: {error}");
                    return Err(Failure::new(
                        Code::AgentGone,
                        message,
                        "it was killed or has crashed; look at its log",
                    ));
                }
                None => return Ok(None),
            }
        }
    }
}

/// What a response says: the answer, or an error of ours.
async fn answer<T: DeserializeOwned>(response: Response<Incoming>) -> Result<T> {
    let status = response.status();
    let body = response.into_body().collect().await.map_err(|error| {
        Failure::new(Code::AgentGone, format!("the agent broke off: {error}"), "it may have ended; look at its log")
    })?;
    let body = body.to_bytes();
    if status != StatusCode::OK {
        let failure = serde_json::from_slice(&body);
        return Err(failure.unwrap_or_else(|_| not_an_agent(&format!("it answers with status {status}"))));
    }
    serde_json::from_slice(&body).map_err(|error| not_an_agent(&format!("its answer is not understood: {error}")))
}

fn not_an_agent(why: &str) -> Failure {
    let hint = "is it another program, or an agent of another version?";
    Failure::new(Code::NotAnAgent, format!("what listens there is no agent that we understand: {why}"), hint)
}

fn target(path: &str, query: &[(&str, &str)]) -> String {
    let mut target = path.to_owned();
    for (nth, (name, value)) in query.iter().enumerate() {
        target.push(if nth == 0 { '?' } else { '&' });
        escape(&mut target, name);
        target.push('=');
        escape(&mut target, value);
    }
    target
}

/// Percent-encodes all but the unreserved characters of RFC 3986.
fn escape(target: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            target.push(byte.into());
        } else {
            target.push_str(&format!("%{byte:02X}"));
        }
    }
}

/// Loopback answers at once; another machine may take a lost packet or two.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Nothing but a wait takes longer unless the agent is stopped.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_escaped() {
        assert_eq!(target("/v1/get", &[]), "/v1/get");
        assert_eq!(target("/v1/get", &[("key", "a/b é&="), ("x", "")]), "/v1/get?key=a%2Fb%20%C3%A9%26%3D&x=");
    }
}
