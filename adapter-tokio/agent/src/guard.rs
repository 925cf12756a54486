//! Who may use the control port: the holder of the token, and no web page that only happens to run on this machine.
//!
//! A browser sends what a foreign page asks of it to loopback too. Three things give such a request away: a `Host` that is
//! a name (DNS rebinding), an `Origin` or `Sec-Fetch-Site` of another site, and a body that is not declared as JSON (which
//! a page cannot do without asking first, and nobody answers that question here).

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use subtle::ConstantTimeEq;

use crate::error::{Code, Failure, Result};

/// What a request must fulfil.
#[derive(Clone, Debug)]
pub(crate) struct Guard {
    /// The address that is listened on.
    pub(crate) bound: SocketAddr,
    pub(crate) token: Option<String>,
}

/// Refuses what may be forged or lacks the token, before any route sees it.
pub(crate) async fn check(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    match guard.admit(request.method(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(failure) => failure.into_response(),
    }
}

impl Guard {
    /// Makes the rules for an address that is yet to be bound.
    ///
    /// # Errors
    /// Others than this machine could use it, and there is no token.
    pub(crate) fn new(bound: SocketAddr, token: Option<String>) -> Result<Self> {
        let token = token.filter(|token| !token.is_empty());
        if let Some(wrong) = token.as_ref().and_then(|token| token.chars().find(|c| !c.is_ascii_graphic())) {
            let message = format!("the token holds {wrong:?}, which an HTTP header cannot carry");
            return Err(Failure::new(Code::Usage, message, "use visible ASCII characters without spaces"));
        }
        if token.is_none() && !bound.ip().to_canonical().is_loopback() {
            let message = format!("others could control this agent at {bound}, and there is no token");
            let hint = "set --token or GOSSIP_TOKEN, or bind --control to 127.0.0.1 or [::1]";
            return Err(Failure::new(Code::TokenRequired, message, hint));
        }
        Ok(Self { bound, token })
    }

    pub(crate) fn admit(&self, method: &Method, headers: &HeaderMap) -> Result<()> {
        self.host(headers)?;
        same_origin(headers)?;
        self.token(headers)?;
        if !matches!(*method, Method::GET | Method::HEAD) {
            json(headers)?;
        }
        Ok(())
    }

    /// The host must be the address that was bound or loopback, never a name: a name may be anybody's.
    fn host(&self, headers: &HeaderMap) -> Result<()> {
        let host = only(headers, header::HOST).and_then(|host| host_of(&host));
        let known = match host {
            Some(Host::Localhost) => true,
            Some(Host::Ip(ip)) => {
                ip.is_loopback() || ip == self.bound.ip().to_canonical() || self.bound.ip().is_unspecified()
            }
            None => false,
        };
        if known {
            return Ok(());
        }
        let hint = format!(
            "send `Host: {}`: names other than localhost are refused, since a web page could choose them",
            self.bound
        );
        Err(Failure::new(
            Code::Forbidden,
            "the Host header names neither this agent's control address nor loopback",
            hint,
        ))
    }

    fn token(&self, headers: &HeaderMap) -> Result<()> {
        let Some(token) = &self.token else { return Ok(()) };
        let given = only(headers, header::AUTHORIZATION);
        let given = given.as_deref().and_then(|given| given.split_once(' '));
        let (message, hint) = match given {
            Some((scheme, given)) if scheme.eq_ignore_ascii_case("bearer") => {
                if bool::from(given.as_bytes().ct_eq(token.as_bytes())) {
                    return Ok(());
                }
                ("the token is not this agent's", "use the --token or GOSSIP_TOKEN that the agent was started with")
            }
            _ => {
                ("this agent asks for a token", "set --token or GOSSIP_TOKEN; over HTTP, `Authorization: Bearer TOKEN`")
            }
        };
        Err(Failure::new(Code::Unauthorized, message, hint))
    }
}

/// Pages of other sites, and of no site, are refused.
fn same_origin(headers: &HeaderMap) -> Result<()> {
    let hint = "use the command line or a program that is no web page";
    if headers.contains_key(header::ORIGIN) {
        let own = only(headers, header::HOST).map(|host| format!("http://{host}"));
        if own.is_none() || only(headers, header::ORIGIN) != own {
            return Err(Failure::new(Code::Forbidden, "the request comes from a page of another origin", hint));
        }
    }
    if headers.contains_key("sec-fetch-site") {
        let site = only(headers, header::HeaderName::from_static("sec-fetch-site"));
        if !matches!(site.as_deref(), Some("none" | "same-origin")) {
            return Err(Failure::new(Code::Forbidden, "the request comes from a page of another site", hint));
        }
    }
    Ok(())
}

/// What changes something must be declared as JSON, which a form is not.
fn json(headers: &HeaderMap) -> Result<()> {
    let kind = only(headers, header::CONTENT_TYPE);
    let essence = kind.as_deref().and_then(|kind| kind.split(';').next()).map(str::trim);
    if essence.is_some_and(|essence| essence.eq_ignore_ascii_case("application/json")) {
        return Ok(());
    }
    let hint = "send `Content-Type: application/json`";
    Err(Failure::new(Code::Forbidden, "a request that changes something must be declared as JSON", hint))
}

enum Host {
    Localhost,
    Ip(IpAddr),
}

/// What a `Host` header names, whatever the port; `None` when it is a name or no host at all.
fn host_of(host: &str) -> Option<Host> {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if !name.is_empty() && !port.ends_with(']') => port.parse::<u16>().ok().map(|_| name)?,
        _ => host,
    };
    if name.eq_ignore_ascii_case("localhost") {
        return Some(Host::Localhost);
    }
    let ip: IpAddr = match name.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
        // A scope is this machine's own business.
        Some(v6) => IpAddr::V6(v6.split('%').next()?.parse().ok()?),
        None => IpAddr::V4(name.parse().ok()?),
    };
    Some(Host::Ip(ip.to_canonical()))
}

/// The value of a header that is there exactly once.
fn only(headers: &HeaderMap, name: header::HeaderName) -> Option<String> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?.to_owned();
    values.next().is_none().then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GET: Method = Method::GET;
    const POST: Method = Method::POST;

    fn guard(bound: &str, token: Option<&str>) -> Guard {
        Guard::new(bound.parse().unwrap(), token.map(Into::into)).unwrap()
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse::<header::HeaderName>().unwrap(), value.parse().unwrap())).fold(
            HeaderMap::new(),
            |mut headers, (name, value)| {
                headers.append(name, value);
                headers
            },
        )
    }

    fn refusal(guard: &Guard, method: &Method, pairs: &[(&'static str, &str)]) -> Option<Code> {
        guard.admit(method, &headers(pairs)).err().map(|failure| failure.code)
    }

    #[test]
    fn a_port_that_others_reach_needs_a_token() {
        for bound in ["0.0.0.0:1", "[::]:1", "192.0.2.1:1"] {
            assert_eq!(Guard::new(bound.parse().unwrap(), None).unwrap_err().code, Code::TokenRequired);
            assert_eq!(Guard::new(bound.parse().unwrap(), Some(String::new())).unwrap_err().code, Code::TokenRequired);
            guard(bound, Some("t"));
        }
        for bound in ["127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
            guard(bound, None);
        }
        assert_eq!(Guard::new("[::1]:1".parse().unwrap(), Some("a b".into())).unwrap_err().code, Code::Usage);
    }

    #[test]
    fn the_host_is_loopback_or_the_bound_address() {
        let local = guard("127.0.0.1:7273", None);
        for host in ["127.0.0.1:7273", "127.0.0.1", "localhost", "LOCALHOST:80", "[::1]:7273", "[::1]", "127.8.0.1"] {
            assert_eq!(refusal(&local, &GET, &[("host", host)]), None, "{host}");
        }
        for host in [
            "evil.example",
            "evil.example:7273",
            "192.0.2.1",
            "localhost.evil.example",
            "",
            ":1",
            "1",
            "::1",
            "[::1",
            "127.0.0.1:x",
            "127.0.0.1@evil.example",
        ] {
            assert_eq!(refusal(&local, &GET, &[("host", host)]), Some(Code::Forbidden), "{host}");
        }
        assert_eq!(refusal(&local, &GET, &[]), Some(Code::Forbidden));
        assert_eq!(refusal(&local, &GET, &[("host", "localhost"), ("host", "evil.example")]), Some(Code::Forbidden));
        let there = guard("192.0.2.1:7273", Some("t"));
        assert_eq!(refusal(&there, &GET, &[("host", "192.0.2.1:7273")]), Some(Code::Unauthorized));
        assert_eq!(refusal(&there, &GET, &[("host", "192.0.2.2:7273")]), Some(Code::Forbidden));
        let all = guard("[::]:7273", Some("t"));
        assert_eq!(refusal(&all, &GET, &[("host", "192.0.2.2:7273")]), Some(Code::Unauthorized));
        assert_eq!(refusal(&all, &GET, &[("host", "evil.example")]), Some(Code::Forbidden));
    }

    #[test]
    fn pages_of_other_sites_are_refused() {
        let (guard, host) = (guard("127.0.0.1:7273", None), ("host", "127.0.0.1:7273"));
        assert_eq!(refusal(&guard, &GET, &[host, ("origin", "http://127.0.0.1:7273")]), None);
        for origin in
            ["null", "http://evil.example", "http://127.0.0.1", "https://127.0.0.1:7273", "http://127.0.0.1:8080"]
        {
            assert_eq!(refusal(&guard, &GET, &[host, ("origin", origin)]), Some(Code::Forbidden), "{origin}");
        }
        for site in ["none", "same-origin"] {
            assert_eq!(refusal(&guard, &GET, &[host, ("sec-fetch-site", site)]), None);
        }
        for site in ["same-site", "cross-site", "", "what"] {
            assert_eq!(refusal(&guard, &GET, &[host, ("sec-fetch-site", site)]), Some(Code::Forbidden), "{site}");
        }
    }

    #[test]
    fn what_changes_something_is_declared_as_json() {
        let (guard, host) = (guard("127.0.0.1:7273", None), ("host", "localhost"));
        for kind in ["application/json", "Application/JSON; charset=utf-8"] {
            assert_eq!(refusal(&guard, &POST, &[host, ("content-type", kind)]), None);
        }
        for kind in
            ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", "text/plain; application/json"]
        {
            assert_eq!(refusal(&guard, &POST, &[host, ("content-type", kind)]), Some(Code::Forbidden), "{kind}");
        }
        assert_eq!(refusal(&guard, &POST, &[host]), Some(Code::Forbidden));
        assert_eq!(refusal(&guard, &Method::DELETE, &[host]), Some(Code::Forbidden));
    }

    #[test]
    fn the_token_is_the_one_that_was_set() {
        let (guard, host) = (guard("127.0.0.1:7273", Some("secret")), ("host", "localhost"));
        for given in ["Bearer secret", "bearer secret"] {
            assert_eq!(refusal(&guard, &GET, &[host, ("authorization", given)]), None);
        }
        for given in ["Bearer secre", "Bearer secrets", "Bearer ", "Bearer  secret", "Basic secret", "secret", "Bearer"]
        {
            assert_eq!(refusal(&guard, &GET, &[host, ("authorization", given)]), Some(Code::Unauthorized), "{given}");
        }
        assert_eq!(refusal(&guard, &GET, &[host]), Some(Code::Unauthorized));
    }
}
