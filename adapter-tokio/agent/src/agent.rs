//! `gossip agent`: a node, its runner and its control port, from the first line of the log to the farewell.

use std::fmt::Display;
use std::future::IntoFuture;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use gossip_proto::{Addr, Config, Instant, Kind, Lifecycle, Node, NodeId, PutError, PutOptions, Seed, Spread, Storage};
use gossip_tokio::{Event, Events, Handle};
use siphasher::sip::SipHasher13;
use tokio::net::{TcpListener, UdpSocket, lookup_host};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time;

use crate::api::{self, BODY_LEN_MAX, CONNECTIONS_MAX, WATCHERS_MAX};
use crate::cli::{AgentOptions, Mode};
use crate::control::{Control, Limited};
use crate::data::{Data, Keeper};
use crate::document::DEPTH_MAX;
use crate::error::{Code, Failure, Result};
use crate::guard::Guard;
use crate::hooks::Hook;
use crate::view::{self, About};

/// Runs an agent until it has left.
pub(crate) async fn run(options: &AgentOptions) -> Result<()> {
    let hooks =
        Hook::pairs(&options.on).map_err(|why| Failure::new(Code::Usage, why, "write --on died 'notify-me'"))?;
    let (bind, control) = (resolve("--bind", &options.bind).await?, resolve("--control", &options.control).await?);
    let guard = Guard::new(control, options.token.clone())?;
    let contacts = contacts(&options.join, bind).await?;
    let socket = UdpSocket::bind(bind).await.map_err(|error| bind_failed("--bind", bind, &error))?;
    let listener = TcpListener::bind(control).await.map_err(|error| bind_failed("--control", control, &error))?;
    let bind = socket.local_addr().map_err(|error| bind_failed("--bind", bind, &error))?;
    let control = listener.local_addr().map_err(|error| bind_failed("--control", control, &error))?;
    let advertise = advertised(options, bind, contacts.first().map(|(addr, _)| *addr)).await?;

    let data = options.data.as_deref().map(|dir| Data::open(dir, &options.swarm)).transpose()?;
    let (mut node, limits) = node(options, advertise, data.as_ref().and_then(Data::id))?;
    let id = node.id();
    let restored = data.as_ref().map(|data| data.restore(&mut node)).transpose()?;
    let topics = (!options.topics.is_empty()).then(|| options.topics.clone());
    if let Some(topics) = &topics {
        node.subscribe(Instant::ZERO, topics.iter().map(String::as_bytes))?;
    }
    let (handle, mut runner) = gossip_tokio::new(socket, node);
    set_tags(&handle, options)?;
    let events = handle.events();
    let swarm = options.swarm.clone();
    let about = About { swarm, name: options.name.clone(), bind, control, limits };
    let log = Log(handle.clone());
    let (keeper, writer) = match data {
        Some(data) => {
            let (keeper, writer) = Keeper::start(data, &handle, log.clone());
            (keeper, Some(writer))
        }
        None => Default::default(),
    };
    let router = Control::new(handle.clone(), about, keeper, topics).router(Guard { bound: control, ..guard });
    let (stop, stopped) = oneshot::channel::<()>();
    let server = axum::serve(Limited::new(listener), router).with_graceful_shutdown(async { _ = stopped.await });
    let mut server = tokio::spawn(server.into_future());
    let mut runner = tokio::spawn(async move { runner.run().await });

    let mut hooks: JoinSet<()> =
        hooks.into_iter().map(|hook| hook.run(handle.clone(), log.clone(), handle.events())).collect();
    let ready = api::Ready {
        id: id.to_string(),
        name: options.name.clone(),
        swarm: options.swarm.clone(),
        bind: bind.to_string(),
        advertise: advertise.to_string(),
        control: control.to_string(),
    };
    let name = options.name.as_deref().unwrap_or("-");
    log.info(format_args!(
        "ready: agent {id} ({name}) of swarm `{}`, gossip at {bind}, control at http://{control}",
        options.swarm
    ));
    if let (Some(count), Some(dir)) = (restored, &options.data) {
        log.info(format_args!("{count} entries from {}", dir.display()));
    }
    if advertise != bind {
        log.info(format_args!("others are told to use {advertise}"));
    }
    for (addr, given) in &contacts {
        let joined = handle.with(|node, now| node.join(now, Addr::from(*addr)));
        joined.map_err(|error| {
            let hint = format!("give at most {} contacts; any one of a swarm will do", Node::CONTACTS_MAX);
            Failure::new(Code::TooManyContacts, format!("--join {given}: {error}"), hint)
        })?;
    }
    if options.ready_json {
        crate::output::line(&serde_json::to_string(&ready).unwrap_or_default())?;
    }
    tokio::spawn(tell(log.clone(), events));
    tokio::spawn(warn_of_silence(log.clone(), contacts));

    let abandoned = if options.end_with_stdin { Some(stdin_ends()) } else { None };
    let asked = async {
        match abandoned {
            Some(abandoned) => tokio::select! {
                signal = signalled() => signal,
                _ = abandoned => "standard input has ended",
            },
            None => signalled().await,
        }
    };
    let ended = tokio::select! {
        ended = &mut runner => Some(ended),
        signal = asked => {
            log.info(format_args!("{signal}: saying farewell"));
            tokio::select! {
                left = time::timeout(LEAVE_TIMEOUT, handle.leave()) => {
                    if left.is_err() {
                        log.warn(format_args!("the farewell could not be sent; others will find this agent dead"));
                    }
                    None
                }
                signal = signalled() => {
                    log.warn(format_args!("{signal}: ending without farewell"));
                    return Ok(());
                }
            }
        }
    };
    let _ = stop.send(());
    if let Some(writer) = writer {
        let written = tokio::task::spawn_blocking(|| writer.join());
        if time::timeout(WRITER_TIMEOUT, written).await.is_err() {
            log.warn(format_args!("what was heard last may not be on disk"));
        }
    }
    // The last events are those of the farewell.
    let told = async { while hooks.join_next().await.is_some() {} };
    if time::timeout(HOOKS_TIMEOUT, told).await.is_err() {
        log.warn(format_args!("commands of --on that still ran were ended"));
    }
    if time::timeout(ANSWERS_TIMEOUT, &mut server).await.is_err() {
        server.abort();
    }
    match ended {
        Some(Ok(Err(error))) => {
            Err(Failure::new(Code::Other, format!("the gossip socket failed: {error}"), "start the agent again"))
        }
        _ => {
            log.info(format_args!("left"));
            Ok(())
        }
    }
}

/// The node, and the limits that it told.
fn node(options: &AgentOptions, advertise: SocketAddr, saved: Option<NodeId>) -> Result<(Node<'static>, api::Limits)> {
    let lan = Config::lan(&options.swarm);
    let value_len_max = options.value_len_max.map_or(VALUE_LEN_MAX.min(options.bytes / 8), |max| max as usize);
    let config = Config {
        gossip_interval: options.interval,
        gossip_interval_max: lan.gossip_interval_max.max(options.interval),
        fanout: options.fanout,
        probe_interval: options.probe_interval,
        probe_timeout: lan.probe_timeout.min(options.probe_interval / 2),
        spread: match options.mode {
            Mode::Push => Spread::Push,
            Mode::Pull => Spread::Pull,
            Mode::PushPull => Spread::PushPull,
        },
        bytes_per_second: options.bytes_per_second,
        value_len_max: value_len_max as u32,
        ..lan
    };
    config.validate()?;
    let mut random = [0; 40];
    getrandom::fill(&mut random).map_err(|error| {
        Failure::new(Code::Other, format!("no entropy: {error}"), "the agent needs some for its ids")
    })?;
    let (seed, id) = random.split_at(32);
    let named = options.name.as_deref().map(id_of);
    if let (Some(saved), Some(named)) = (saved, named.filter(|named| saved.is_some_and(|saved| saved != *named))) {
        let message = format!("--data belongs to the agent {saved}, and this name's id is {named}");
        return Err(Failure::new(Code::BadData, message, "give each agent a directory of its own"));
    }
    let random = NodeId(u64::from_le_bytes(id.try_into().unwrap_or_default()));
    let id = named.or(saved).unwrap_or(random);
    let mut secret = [0; 32];
    secret.copy_from_slice(seed);
    let storage = Storage::with_capacity(options.members, options.entries, options.bytes);
    let mut node = Node::new(id, Addr::from(advertise), config, storage, Seed::new(secret))?;
    // No sibling of this length fits; the refusal names the limit, and changes nothing.
    let refused = node.put(Instant::ZERO, b"-", &[0; 1 << 16], PutOptions::new().kind(Kind::Siblings));
    let content_len_max = if let Err(PutError::ValueLen { max }) = refused { max } else { usize::MAX };
    let room = node.bytes_used().1;
    if room < content_len_max {
        let message =
            format!("--bytes {} leaves room for {room}, and one entry may take {content_len_max}", options.bytes);
        return Err(Failure::new(Code::BadConfig, message, "give at least 64 KiB: --bytes 65536"));
    }
    let limits = api::Limits {
        key_len_max: Node::KEY_LEN_MAX,
        content_len_max,
        depth_max: DEPTH_MAX,
        tags_len_max: Node::TAGS_LEN_MAX,
        contacts_max: Node::CONTACTS_MAX,
        body_len_max: BODY_LEN_MAX,
        watchers_max: WATCHERS_MAX,
        connections_max: CONNECTIONS_MAX,
        value_len_max: node.config().value_len_max as usize,
    };
    Ok((node, limits))
}

/// The longest value that an agent takes unless told otherwise.
const VALUE_LEN_MAX: usize = 1 << 20;

/// The id of an agent of this name, the same in each of its lives: SipHash-1-3 under a fixed key.
fn id_of(name: &str) -> NodeId {
    NodeId(SipHasher13::new_with_key(b"gossip agent id.").hash(name.as_bytes()))
}

fn set_tags(handle: &Handle, options: &AgentOptions) -> Result<()> {
    let name = options.name.as_deref().map(|name| ("name", name));
    let mut tags: Vec<_> = name.into_iter().collect();
    for (name, value) in &options.tags {
        if tags.iter().any(|(held, _)| held == name) {
            let message = format!("the tag `{name}` is given twice");
            return Err(Failure::new(Code::Usage, message, "a tag has one value; --name is the tag `name`"));
        }
        tags.push((name, value));
    }
    if tags.is_empty() { Ok(()) } else { Ok(handle.with(|node, now| node.set_tags(now, tags))?) }
}

/// The first address of a name and port.
async fn resolve(option: &str, given: &str) -> Result<SocketAddr> {
    Ok(resolve_all(option, given).await?[0])
}

/// All addresses of a name and port; at least one.
async fn resolve_all(option: &str, given: &str) -> Result<Vec<SocketAddr>> {
    let hint = "write ADDRESS:PORT, for instance 127.0.0.1:7272, [::1]:7272 or host.example:7272";
    let failure = |why: String| Failure::new(Code::BadAddress, format!("{option} {given}: {why}"), hint);
    let found: Vec<_> = lookup_host(given).await.map_err(|error| failure(error.to_string()))?.collect();
    if found.is_empty() { Err(failure("the name has no address".into())) } else { Ok(found) }
}

/// One address for each contact, of the family that the socket can reach, with what was given.
async fn contacts(given: &[String], bind: SocketAddr) -> Result<Vec<(SocketAddr, String)>> {
    let mut contacts = Vec::new();
    for given in given {
        let found = resolve_all("--join", given).await?;
        let Some(addr) = found.iter().find(|addr| addr.is_ipv4() || bind.is_ipv6()) else {
            let hint = "bind an IPv6 address, for instance --bind [::]:7272";
            let message = format!("--join {given}: {} cannot be reached from {bind}", found[0]);
            return Err(Failure::new(Code::BadAddress, message, hint));
        };
        contacts.push((*addr, given.clone()));
    }
    Ok(contacts)
}

/// What others are told to use: what was said, or what was bound or, if that is no address, the one that this machine
/// has towards the first contact. Connecting a UDP socket sends nothing.
async fn advertised(options: &AgentOptions, bind: SocketAddr, contact: Option<SocketAddr>) -> Result<SocketAddr> {
    let hint = "say with --advertise ADDR how others reach this agent, or --bind a certain address";
    if let Some(given) = &options.advertise {
        let addr = resolve("--advertise", given).await?;
        if addr.ip().is_unspecified() {
            return Err(Failure::new(Code::BadAddress, format!("--advertise {given}: nobody can send there"), hint));
        }
        return Ok(SocketAddr::new(addr.ip(), if addr.port() == 0 { bind.port() } else { addr.port() }));
    }
    if !bind.ip().is_unspecified() {
        return Ok(bind);
    }
    let failure = |why: String| Failure::new(Code::BadAddress, format!("--bind {bind}: {why}"), hint);
    let contact =
        contact.ok_or_else(|| failure("without --join there is no telling which address others can use".into()))?;
    let any: IpAddr = if contact.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let towards = async {
        let socket = UdpSocket::bind((any, 0)).await?;
        socket.connect(contact).await?;
        socket.local_addr()
    };
    let local = towards.await.map_err(|error| failure(format!("there is no way to {contact}: {error}")))?;
    Ok(SocketAddr::new(local.ip(), bind.port()))
}

fn bind_failed(option: &str, addr: SocketAddr, error: &std::io::Error) -> Failure {
    let hint = match error.kind() {
        std::io::ErrorKind::AddrInUse => "another agent may run there: choose another port, or 0 for any",
        std::io::ErrorKind::AddrNotAvailable => "this machine has no such address: choose one of its own",
        std::io::ErrorKind::PermissionDenied => "choose a port from 1024 up",
        _ => "choose another address",
    };
    Failure::new(Code::BindFailed, format!("{option} {addr} cannot be bound: {error}"), hint)
}

/// Logs what happens to members.
async fn tell(log: Log, mut events: Events<Event>) {
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Joined) => log.info(format_args!("joined the swarm")),
            Ok(Event::Isolated) => log.warn(format_args!("nobody is heard any more")),
            Ok(Event::Reconnected) => log.info(format_args!("somebody is heard again")),
            Ok(Event::QuorumLost) => log.warn(format_args!("half or less of the members live")),
            Ok(Event::Shed) => {
                log.warn(format_args!("no room for all entries: some were dropped, see --entries, --bytes"));
            }
            Ok(Event::HorizonPassed) => {
                log.warn(format_args!("a member is away for too long: what was deleted since may return with it"));
            }
            Ok(Event::ClockDiffers { ahead, by }) => {
                let which = if ahead { "this clock is ahead of others" } else { "another clock is ahead of this one" };
                log.warn(format_args!("{which} by {by:?}"));
            }
            Ok(Event::QuorumRegained) => log.info(format_args!("more than half of the members live again")),
            Ok(event @ Event::Member { .. }) => {
                if let Some(api::Event::Member { id, name, addr, change }) = view::event(&log.0, &event) {
                    let (name, addr) = (name.unwrap_or_else(|| "-".into()), addr.unwrap_or_else(|| "-".into()));
                    log.info(format_args!("member {id} ({name}) at {addr}: {}", word(change)));
                }
            }
            Ok(_) => {}
            Err(lagged) => log.warn(format_args!("{lagged}")),
        }
    }
}

/// Warns once of each contact that has not answered, and of an id that somebody else uses too.
async fn warn_of_silence(log: Log, contacts: Vec<(SocketAddr, String)>) {
    time::sleep(SILENCE).await;
    for (addr, given) in contacts {
        let (own, heard) = log.0.read(|node| {
            let answers = |member: gossip_proto::Member<'_>| member.addr == Addr::from(addr) && member.heard.is_some();
            (node.addr() == Addr::from(addr), node.members().any(answers))
        });
        let joined = log.0.read(|node| node.lifecycle() == Lifecycle::Member);
        let so = if joined { "the swarm was joined by another" } else { "still trying" };
        if !own && !heard {
            log.warn(format_args!("contact {given} ({addr}) has not answered for {SILENCE:?}; {so}"));
        }
    }
    let mut refused = 0;
    while log.0.read(|node| node.lifecycle() != Lifecycle::Left) {
        let now_refused = log.0.read(|node| node.stats().refused_own_id);
        if now_refused > refused {
            log.warn(format_args!("somebody else uses this agent's id: names must be unique in a swarm"));
        }
        refused = now_refused;
        time::sleep(OWN_ID_INTERVAL).await;
    }
}

fn word(change: api::MemberChange) -> &'static str {
    match change {
        api::MemberChange::Joined => "joined",
        api::MemberChange::Suspected => "suspected",
        api::MemberChange::Refuted => "alive after all",
        api::MemberChange::Died => "dead",
        api::MemberChange::Left => "left",
        api::MemberChange::Returned => "returned",
        api::MemberChange::Updated => "new address or tags",
        api::MemberChange::Evicted => "gave way to another in a full table",
    }
}

/// Tells when standard input has ended. A thread of its own: nothing waits for it when the agent ends.
fn stdin_ends() -> oneshot::Receiver<()> {
    let (ended, abandoned) = oneshot::channel();
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        let _ = ended.send(());
    });
    abandoned
}

/// Waits for a signal to end, and gives its name.
async fn signalled() -> &'static str {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            return tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = tokio::signal::ctrl_c() => "SIGINT",
            };
        }
    }
    let _ = tokio::signal::ctrl_c().await;
    "interrupt"
}

/// Lines on standard error, with the time since the start.
#[derive(Clone, Debug)]
pub(crate) struct Log(Handle);

impl Log {
    fn info(&self, message: impl Display) {
        self.line("info", message);
    }

    pub(crate) fn warn(&self, message: impl Display) {
        self.line("warning", message);
    }

    fn line(&self, level: &str, message: impl Display) {
        use std::io::Write;
        let seconds = Duration::from_micros(self.0.now().as_micros()).as_secs_f64();
        // Who closes our standard error does not want to know.
        let _ = writeln!(std::io::stderr(), "[{seconds:10.3}] {level}: {message}");
    }
}

/// A contact on this continent that runs answers well within this.
const SILENCE: Duration = Duration::from_secs(5);
/// How often to look whether somebody uses our id.
const OWN_ID_INTERVAL: Duration = Duration::from_secs(60);
/// Farewells are three rounds, well under a second apart; more when the byte budget is used up.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the last entries may take to be written when the agent ends.
const WRITER_TIMEOUT: Duration = Duration::from_secs(5);
/// How long commands of `--on` may still run when the agent ends.
const HOOKS_TIMEOUT: Duration = Duration::from_secs(5);
/// How long answers that are under way may take when the agent ends.
const ANSWERS_TIMEOUT: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_names_stay_what_they_are() {
        assert_eq!(id_of("a").to_string(), "fe45d2984d712ef4");
        assert_eq!(id_of("b").to_string(), "0d38c44e8dc66881");
    }
}
