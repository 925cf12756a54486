//! The agents of the demo and the switch between them, and what can be asked of all at once.
//!
//! Knows: who should be running. Does not know: the steps.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::agent::Agent;
use super::screen::Screen;
use super::switch::Switch;
use crate::api::{Info, State};
use crate::error::{Code, Failure, Result};

#[derive(Debug)]
pub(super) struct Swarm {
    pub(super) screen: Screen,
    pub(super) switch: Switch,
    /// By index; none where the agent has not been started, was killed or has left.
    pub(super) agents: Vec<Option<Agent>>,
    /// When the current step must have ended.
    pub(super) deadline: Instant,
}

/// Why something has not come about.
#[derive(Clone, Debug)]
pub(super) enum Trouble {
    /// It may come about yet.
    NotYet(String),
    /// It will not.
    Failed(String),
}

impl Trouble {
    pub(super) fn text(self) -> String {
        match self {
            Self::NotYet(text) | Self::Failed(text) => text,
        }
    }
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure.message)
    }
}

/// Bytes and datagrams that each agent has sent.
pub(super) type Traffic = Vec<(u64, u64)>;

impl Swarm {
    pub(super) async fn new(screen: Screen) -> Result<Self> {
        let switch = Switch::start(NAMES.len()).await.map_err(|why| {
            let message = format!("no port on 127.0.0.1 for the demo's switch: {why}");
            Failure::new(Code::BindFailed, message, "the demo needs UDP on loopback")
        })?;
        Ok(Self { screen, switch, agents: NAMES.map(|_| None).into(), deadline: Instant::now() })
    }

    /// Starts all agents at once.
    pub(super) async fn start(&mut self) -> Result<(), Trouble> {
        // A name of its own, so that nobody else on this machine is in it.
        let name = format!("demo-{:08x}", RandomState::new().hash_one(0) as u32);
        let mut tasks = JoinSet::new();
        let contact = self.advertised(0)?;
        for (index, agent) in NAMES.into_iter().enumerate() {
            let (name, advertised) = (name.clone(), self.advertised(index)?);
            tasks.spawn(async move { (index, Agent::start(agent, &name, advertised, contact).await) });
        }
        while let Some(started) = tasks.join_next().await {
            let (index, agent) = started.map_err(|why| Trouble::Failed(why.to_string()))?;
            let agent = agent?;
            let real = agent.ready.bind.parse();
            let real = real.map_err(|why| Trouble::Failed(format!("{:?}: {why}", agent.ready.bind)))?;
            self.switch.connect(index, real).await;
            self.agents[index] = Some(agent);
        }
        Ok(())
    }

    fn advertised(&self, index: usize) -> Result<SocketAddr, Trouble> {
        self.switch.advertised(index).map_err(|why| Trouble::Failed(why.to_string()))
    }

    /// The agents that run.
    pub(super) fn running(&self) -> impl Iterator<Item = &Agent> {
        self.agents.iter().flatten()
    }

    /// The agent with this index, or that it does not run.
    pub(super) fn agent(&self, index: usize) -> Result<&Agent, Trouble> {
        self.agents[index].as_ref().ok_or_else(|| Trouble::Failed(format!("{} does not run", NAMES[index])))
    }

    /// Waits until these agents see exactly each other alive, hold the same, and know it.
    pub(super) async fn converged(&self, group: &[usize]) -> Result<Duration, Trouble> {
        let start = Instant::now();
        self.until(async || {
            let mut roots = Vec::new();
            for &index in group {
                let Info { convergence, .. } = self.agent(index)?.client.info().await?;
                let name = NAMES[index];
                if convergence.live != group.len() {
                    let sees = format!("{name} sees {} of {} alive", convergence.live, group.len());
                    return Err(Trouble::NotYet(sees));
                }
                if !convergence.converged {
                    let agrees = format!("{name} agrees with {} of {}", convergence.agreeing, convergence.live);
                    return Err(Trouble::NotYet(agrees));
                }
                roots.push(convergence.root);
            }
            let same = roots.windows(2).all(|pair| pair[0] == pair[1]);
            let differ = || Trouble::NotYet(format!("they hold different states: {}", roots.join(", ")));
            if same { Ok(start.elapsed()) } else { Err(differ()) }
        })
        .await
    }

    /// In which state `observer` sees `subject`, if it knows it.
    pub(super) async fn state(&self, observer: usize, subject: usize) -> Result<Option<State>, Trouble> {
        let members = self.agent(observer)?.client.members().await?;
        let subject = members.iter().find(|member| member.name.as_deref() == Some(NAMES[subject]));
        Ok(subject.map(|member| member.state))
    }

    /// Waits until each of `observers` sees `subject` in this state, and says so; returns when each did.
    pub(super) async fn all_see(
        &self,
        observers: &[usize],
        subject: usize,
        state: State,
    ) -> Result<Vec<(&'static str, Instant)>, Trouble> {
        let mut seen = Vec::new();
        let mut waiting = observers.to_vec();
        self.until(async || {
            let mut place = 0;
            while let Some(&observer) = waiting.get(place) {
                if self.state(observer, subject).await? == Some(state) {
                    seen.push((NAMES[observer], Instant::now()));
                    waiting.remove(place);
                } else {
                    place += 1;
                }
            }
            let names: Vec<_> = waiting.iter().map(|&index| NAMES[index]).collect();
            let not_yet = || Trouble::NotYet(format!("{} not {state:?} to {}", NAMES[subject], names.join(" and ")));
            if names.is_empty() { Ok(()) } else { Err(not_yet()) }
        })
        .await?;
        Ok(seen)
    }

    /// Asks again and again until there is an answer, or the step's time is up: then what was missing last.
    pub(super) async fn until<T>(&self, mut ask: impl AsyncFnMut() -> Result<T, Trouble>) -> Result<T, Trouble> {
        let start = Instant::now();
        loop {
            match ask().await {
                Err(Trouble::NotYet(missing)) if Instant::now() >= self.deadline => {
                    let waited = start.elapsed().as_secs_f64();
                    return Err(Trouble::Failed(format!("{missing}, still after {waited:.1} s")));
                }
                Err(Trouble::NotYet(_)) => sleep(POLL).await,
                answer => return answer,
            }
        }
    }

    /// The indexes of the agents that run.
    pub(super) fn all(&self) -> Vec<usize> {
        (0..self.agents.len()).filter(|&index| self.agents[index].is_some()).collect()
    }

    pub(super) async fn traffic(&self) -> Traffic {
        let mut traffic = vec![(0, 0); self.agents.len()];
        for (sent, agent) in traffic.iter_mut().zip(&self.agents) {
            let Some(agent) = agent else { continue };
            if let Ok(info) = agent.client.info().await {
                let stat = |name| info.stats.get(name).copied().unwrap_or(0);
                *sent = (stat("bytes_out"), stat("datagrams_out"));
            }
        }
        traffic
    }

    /// Bytes and datagrams that the agents that still run have sent since.
    pub(super) async fn traffic_since(&self, before: &Traffic) -> (u64, u64) {
        let now = self.traffic().await;
        let since = now
            .iter()
            .zip(before)
            .map(|(now, before)| (now.0.saturating_sub(before.0), now.1.saturating_sub(before.1)));
        since.fold((0, 0), |sum, sent| (sum.0 + sent.0, sum.1 + sent.1))
    }

    /// Adds to a failure what agents said that have ended and should not have. The next steps go on without them.
    pub(super) fn bury(&mut self, mut why: String) -> String {
        for place in &mut self.agents {
            if let Some(words) = place.as_mut().and_then(Agent::last_words) {
                why = format!("{why}\n{words}");
                *place = None;
            }
        }
        why
    }

    /// Kills the agents that are left, and waits until they are gone.
    pub(super) async fn end(mut self) {
        for agent in self.agents.iter_mut().flatten() {
            // It may have ended by itself.
            let _ = agent.kill().await;
        }
    }
}

pub(super) const NAMES: [&str; 5] = ["ada", "bob", "cyd", "dan", "eve"];
const POLL: Duration = Duration::from_millis(20);
