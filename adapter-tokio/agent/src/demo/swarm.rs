//! The agents of the demo and the switch between them, and what can be asked of all at once.
//!
//! Knows: who should be running. Does not know: the steps.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
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
    pub(super) async fn start(&mut self) -> Result<(), String> {
        // A name of its own, so that nobody else on this machine is in it.
        let name = format!("demo-{:08x}", RandomState::new().hash_one(0) as u32);
        let mut tasks = JoinSet::new();
        let contact = self.advertised(0)?;
        for (index, agent) in NAMES.into_iter().enumerate() {
            let (name, advertised) = (name.clone(), self.advertised(index)?);
            tasks.spawn(async move { (index, Agent::start(agent, &name, advertised, contact).await) });
        }
        while let Some(started) = tasks.join_next().await {
            let (index, agent) = started.map_err(|why| why.to_string())?;
            let agent = agent.map_err(|failure| failure.message)?;
            let real = agent.ready.bind.parse().map_err(|why| format!("{:?}: {why}", agent.ready.bind))?;
            self.switch.connect(index, real).await;
            self.agents[index] = Some(agent);
        }
        Ok(())
    }

    fn advertised(&self, index: usize) -> Result<std::net::SocketAddr, String> {
        self.switch.advertised(index).map_err(|why| why.to_string())
    }

    /// The agents that run.
    pub(super) fn running(&self) -> impl Iterator<Item = &Agent> {
        self.agents.iter().flatten()
    }

    /// The agent with this index, or that it does not run.
    pub(super) fn agent(&self, index: usize) -> Result<&Agent, String> {
        self.agents[index].as_ref().ok_or_else(|| format!("{} does not run", NAMES[index]))
    }

    /// Waits until these agents see exactly each other alive, hold the same, and know it.
    pub(super) async fn converged(&self, group: &[usize]) -> Result<Duration, String> {
        let start = Instant::now();
        self.until(async || {
            let mut roots = Vec::new();
            for &index in group {
                let Info { convergence, .. } = self.agent(index)?.client.info().await?;
                let name = NAMES[index];
                if convergence.live != group.len() {
                    return Err(format!("{name} sees {} of {} alive", convergence.live, group.len()));
                }
                if !convergence.converged {
                    return Err(format!("{name} agrees with {} of {}", convergence.agreeing, convergence.live));
                }
                roots.push(convergence.root);
            }
            let same = roots.windows(2).all(|pair| pair[0] == pair[1]);
            if same { Ok(start.elapsed()) } else { Err(format!("they hold different states: {roots:?}")) }
        })
        .await
    }

    /// Waits until `observer` sees `subject` in this state.
    pub(super) async fn sees(&self, observer: usize, subject: usize, state: State) -> Result<(), String> {
        let (who, whom) = (NAMES[observer], NAMES[subject]);
        self.until(async || {
            let members = self.agent(observer)?.client.members().await?;
            match members.iter().find(|member| member.name.as_deref() == Some(whom)) {
                Some(member) if member.state == state => Ok(()),
                Some(member) => Err(format!("{who} sees {whom} {:?}, not {state:?}", member.state)),
                None => Err(format!("{who} does not know {whom}")),
            }
        })
        .await
    }

    /// Asks again and again until there is an answer, or the step's time is up: then what was missing last.
    pub(super) async fn until<T>(&self, mut ask: impl AsyncFnMut() -> Result<T, String>) -> Result<T, String> {
        let start = Instant::now();
        loop {
            match ask().await {
                Err(missing) if Instant::now() >= self.deadline => {
                    return Err(format!("{missing}, still after {:.1} s", start.elapsed().as_secs_f64()));
                }
                Err(_) => sleep(POLL).await,
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

    /// Adds to a failure what agents said that have ended and should not have.
    pub(super) fn last_words(&mut self, why: String) -> String {
        let words = self.agents.iter_mut().flatten().filter_map(Agent::last_words);
        words.fold(why, |why, words| format!("{why}\n{words}"))
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
