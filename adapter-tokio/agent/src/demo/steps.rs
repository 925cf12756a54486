//! What is shown, step by step. Each step says what it sees, and fails with what is missing.
//!
//! Knows: what must hold. Does not know: how agents are reached.

use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::agent::Agent;
use super::screen::seconds;
use super::swarm::{NAMES, Swarm, Trouble};
use crate::api::{Entry, State};
use crate::cli::Kind;
use crate::error::Failure;

/// What a step is called, and how long it may take.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) number: usize,
    pub(super) name: &'static str,
    pub(super) what: &'static str,
    pub(super) limit: Duration,
}

impl Plan {
    const fn new(number: usize, name: &'static str, limit_s: u64, what: &'static str) -> Self {
        Self { number, name, what, limit: Duration::from_secs(limit_s) }
    }
}

/// What a step found when it held.
#[derive(Clone, Debug, Default)]
pub(super) struct Found {
    pub(super) converged: Option<Duration>,
    pub(super) text: String,
    pub(super) figures: Map<String, Value>,
}

impl Found {
    fn new(converged: Duration, text: String) -> Self {
        Self { converged: Some(converged), text, figures: Map::new() }
    }

    fn figure(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.figures.insert(name.into(), value.into());
        self
    }
}

type Held = Result<Found, Trouble>;

/// All start at once, and know the address of one.
pub(super) async fn join(swarm: &mut Swarm) -> Held {
    swarm.start().await?;
    for agent in swarm.running() {
        let pid = agent.pid().map_or_else(String::new, |pid| format!("process {pid:<8}"));
        swarm.screen.say(format!("{} is up: {pid} control {}", agent.name, agent.ready.control));
    }
    let converged = swarm.converged(&swarm.all()).await?;
    swarm.screen.say(format!("all {} know all, {} after the last was up", NAMES.len(), seconds(converged)));
    Ok(Found::new(converged, format!("all {} know all", NAMES.len())))
}

/// 20 tasks write through the agents' control ports, and nothing is lost.
pub(super) async fn writers(swarm: &mut Swarm) -> Held {
    let mut tasks = JoinSet::new();
    let agents = swarm.all();
    for writer in 0..WRITERS_COUNT {
        let client = swarm.agent(agents[writer % agents.len()])?.client.clone();
        tasks.spawn(async move {
            for round in 1..=ROUNDS {
                let value = json!({ "writer": writer, "round": round });
                client.set(&own_key(writer), value.clone(), None).await?;
                client.set(&format!("shared/{}", (writer + round) % SHARED), value, None).await?;
                sleep(THINK).await;
            }
            Ok::<_, Failure>(())
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.map_err(|why| Trouble::Failed(why.to_string()))??;
    }
    let writes = 2 * WRITERS_COUNT * ROUNDS;
    swarm.screen.say(format!("{writes} writes are done"));
    let converged = swarm.converged(&agents).await?;
    let shared = swarm.agent(agents[0])?.client.list("shared/").await?;
    for &index in &agents {
        let client = &swarm.agent(index)?.client;
        for writer in 0..WRITERS_COUNT {
            let last = json!({ "writer": writer, "round": ROUNDS });
            let held = client.document(&own_key(writer)).await?;
            if held != last {
                return Err(Trouble::Failed(format!("{} holds {held} of writer {writer}, not {last}", NAMES[index])));
            }
        }
        if client.list("shared/").await? != shared || shared.len() != SHARED {
            return Err(Trouble::Failed(format!(
                "{} holds other values of the shared keys than {}",
                NAMES[index], NAMES[agents[0]]
            )));
        }
    }
    swarm.screen.say(format!(
        "every agent holds the last value of all {WRITERS_COUNT} writers, and the same {SHARED} shared ones"
    ));
    Ok(Found::new(converged, format!("{writes} writes, the same everywhere, none lost")).figure("writes", writes))
}

/// Different leaves of one document, at the same time on different agents: all survive.
pub(super) async fn merge(swarm: &mut Swarm) -> Held {
    let agents = swarm.all();
    let merges = [
        json!({ "robot": { "name": "scout", "arm": { "speed": 3 } } }),
        json!({ "robot": { "arm": { "torque": 7 } } }),
        json!({ "robot": { "map": { "dock": [4, 2] }, "draft": true } }),
    ];
    let mut tasks = JoinSet::new();
    for (nth, document) in merges.into_iter().enumerate() {
        let agent = swarm.agent(agents[nth % agents.len()])?;
        swarm.screen.say(format!("{} merges {document}", agent.name));
        let client = agent.client.clone();
        tasks.spawn(async move { client.merge(document).await });
    }
    while let Some(done) = tasks.join_next().await {
        done.map_err(|why| Trouble::Failed(why.to_string()))??;
    }
    let converged = swarm.converged(&agents).await?;
    let last = swarm.agent(agents[agents.len() - 1])?;
    swarm.screen.say(format!("{} merges {}: null deletes", last.name, json!({ "robot": { "draft": null } })));
    last.client.merge(json!({ "robot": { "draft": null } })).await?;
    let converged = converged.max(swarm.converged(&agents).await?);
    let wanted = json!({ "name": "scout", "arm": { "speed": 3, "torque": 7 }, "map": { "dock": [4, 2] } });
    for &index in &agents {
        let held = swarm.agent(index)?.client.document("robot").await?;
        if held != wanted {
            return Err(Trouble::Failed(format!("{} holds {held}, not {wanted}", NAMES[index])));
        }
    }
    swarm.screen.say(format!("every agent now holds at `robot`: {wanted}"));
    Ok(Found::new(converged, "no leaf is lost".into()))
}

/// One dies without a word; the others find out, and go on.
pub(super) async fn kill(swarm: &mut Swarm) -> Held {
    let mut victim = take(swarm, VICTIM)?;
    victim.kill().await?;
    let killed_at = Instant::now();
    swarm.screen.say(format!("{} is killed", victim.name));
    drop(victim);
    let seen = swarm.all_see(&swarm.all(), VICTIM, State::Dead).await?;
    let detected: Vec<_> = seen.iter().map(|&(name, at)| (name, at - killed_at)).collect();
    for (name, time) in &detected {
        swarm.screen.say(format!("{name} found out after {}", seconds(*time)));
    }
    let survivors = swarm.all();
    swarm.agent(survivors[0])?.client.set("after", json!("the show goes on"), None).await?;
    let converged = swarm.converged(&survivors).await?;
    let (first, last) = (detected[0].1, detected[detected.len() - 1].1);
    let by: Map<_, _> = detected.iter().map(|(name, time)| ((*name).to_owned(), json!(time.as_secs_f64()))).collect();
    let text = format!("seen after {}, by the last after {}", seconds(first), seconds(last));
    Ok(Found::new(converged, text).figure("detected_s", by))
}

/// Two sides: each takes the other for dead, and agrees within itself.
pub(super) async fn partition(swarm: &mut Swarm) -> Held {
    let (west, east) = sides(swarm);
    swarm.switch.split(&west);
    let split_at = Instant::now();
    swarm.screen.say(format!("{} | {}", names(&west), names(&east)));
    for (side, group) in [("west", &west), ("east", &east)] {
        let agent = swarm.agent(group[0])?;
        agent.client.set(&format!("side/{side}"), json!(agent.name), None).await?;
        agent.client.set("plan", json!(format!("go {side}")), Some(Kind::Siblings)).await?;
        swarm.screen.say(format!("{} writes side/{side}, and `plan`: \"go {side}\"", agent.name));
    }
    for (group, others) in [(&west, &east), (&east, &west)] {
        for &subject in others {
            swarm.all_see(group, subject, State::Dead).await?;
        }
    }
    let noticed = split_at.elapsed();
    swarm.screen.say(format!("each side takes the other for dead, after {}", seconds(noticed)));
    let converged = swarm.converged(&west).await?.max(swarm.converged(&east).await?);
    for (group, own, other) in [(&west, "side/west", "side/east"), (&east, "side/east", "side/west")] {
        for &index in group {
            let entries = swarm.agent(index)?.client.list("side/").await?;
            let has = |key| entries.iter().any(|entry: &Entry| entry.key == key);
            if !has(own) || has(other) {
                return Err(Trouble::Failed(format!("{} holds {entries:?}: the partition leaks", NAMES[index])));
            }
        }
    }
    swarm.screen.say("each side agrees within itself, and knows nothing of the other's writes");
    let cut = swarm.switch.counts().cut;
    let text = format!("both sides go on; {cut} datagrams cut");
    Ok(Found::new(converged, text).figure("noticed_s", noticed.as_secs_f64()).figure("cut_datagrams", cut))
}

/// All see each other again, and hold what both sides wrote.
pub(super) async fn heal(swarm: &mut Swarm) -> Held {
    swarm.switch.heal();
    swarm.screen.say("the partition is lifted");
    let all = swarm.all();
    let healed = swarm.converged(&all).await?;
    swarm.screen.say(format!("all {} see each other and hold the same, after {}", all.len(), seconds(healed)));
    let mut plans = Vec::new();
    for &index in &all {
        let client = &swarm.agent(index)?.client;
        let sides = client.list("side/").await?.len();
        let plan = client.list("plan").await?;
        let mut values: Vec<_> = plan.iter().flat_map(|entry| &entry.values).map(|v| v.value.to_string()).collect();
        values.sort();
        if sides != 2 || values != [r#""go east""#, r#""go west""#] {
            return Err(Trouble::Failed(format!("{} holds {sides} sides and the plans {values:?}", NAMES[index])));
        }
        if swarm.agents[VICTIM].is_none() && swarm.state(index, VICTIM).await? != Some(State::Dead) {
            return Err(Trouble::Failed(format!("{} takes {} for alive again", NAMES[index], NAMES[VICTIM])));
        }
        plans = values;
    }
    swarm.screen.say(format!("every agent holds both sides' writes, and of `plan` both: {}", plans.join(" and ")));
    let text = "both sides' writes are everywhere, the conflict is visible".into();
    Ok(Found::new(healed, text).figure("healed_s", healed.as_secs_f64()))
}

/// A farewell is no death.
pub(super) async fn leave(swarm: &mut Swarm) -> Held {
    let leaver = swarm.all().last().copied().unwrap_or(0);
    let mut agent = take(swarm, leaver)?;
    let name = agent.name;
    let asked_at = Instant::now();
    swarm.screen.say(format!("{name} is asked to leave"));
    agent.client.leave().await?;
    swarm.all_see(&swarm.all(), leaver, State::Left).await?;
    let known = asked_at.elapsed();
    agent.ended().await?;
    swarm.screen.say(format!("the others know after {}; its process has ended by itself", seconds(known)));
    let converged = swarm.converged(&swarm.all()).await?;
    Ok(Found::new(converged, format!("known after {}", seconds(known))).figure("known_s", known.as_secs_f64()))
}

/// Takes an agent out of the swarm, which from then on does not expect it to run.
fn take(swarm: &mut Swarm, index: usize) -> Result<Agent, Trouble> {
    swarm.agents[index].take().ok_or_else(|| Trouble::Failed(format!("{} does not run", NAMES[index])))
}

/// The agents that run, in two halves.
fn sides(swarm: &Swarm) -> (Vec<usize>, Vec<usize>) {
    let all = swarm.all();
    let (west, east) = all.split_at(all.len() / 2);
    (west.to_vec(), east.to_vec())
}

fn names(group: &[usize]) -> String {
    group.iter().map(|&index| NAMES[index]).collect::<Vec<_>>().join(" and ")
}

fn own_key(writer: usize) -> String {
    format!("own/{writer}")
}

/// The agent that all joined by: no agent is more than any other.
const VICTIM: usize = 0;
const WRITERS_COUNT: usize = 20;
const ROUNDS: usize = 10;
const SHARED: usize = 5;
/// Between two rounds of a writer.
const THINK: Duration = Duration::from_millis(50);

pub(super) const JOIN: Plan = Plan::new(1, "join", 10, "all start at once, and know the address of one");
pub(super) const WRITERS: Plan =
    Plan::new(2, "writers", 15, "20 at once, 10 rounds each, on keys of their own and on shared ones");
pub(super) const MERGE: Plan =
    Plan::new(3, "merge", 10, "different leaves of one document, at the same time on different agents");
pub(super) const KILL: Plan = Plan::new(4, "kill", 15, "`kill -9` of the one that all joined by; nobody is told");
pub(super) const PARTITION: Plan =
    Plan::new(5, "partition", 15, "two and two do not reach each other; both sides write, also to the same key");
pub(super) const HEAL: Plan = Plan::new(6, "heal", 15, "they reach each other again; nobody is told");
pub(super) const LEAVE: Plan = Plan::new(7, "leave", 10, "one says farewell: it has left, and is not dead");
