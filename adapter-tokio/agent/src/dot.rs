//! The topology as one agent sees it, in the language of Graphviz.

use std::fmt::Write;

use crate::api;

/// A digraph: this agent, an edge to each member that it reaches, labelled with the round trip, and through its relay
/// where it has one. Dead and left members stand alone.
pub(crate) fn topology(topology: &api::Topology) -> String {
    let mut graph = String::from("digraph gossip {\n  node [shape=box, style=rounded];\n");
    for member in &topology.members {
        let name = member.name.as_deref().unwrap_or(&member.id);
        let look = match member.state {
            _ if member.own => "style=\"rounded,bold\"",
            api::State::Alive => "color=black",
            api::State::Suspect => "color=orange",
            api::State::Dead => "color=red, style=\"rounded,dashed\"",
            api::State::Left => "color=gray, style=\"rounded,dashed\"",
        };
        let differs = if member.agrees == Some(false) { "\\ndiffers" } else { "" };
        let label = format!("{}\\n{}{differs}", escaped(name), escaped(&member.addr));
        let _ = writeln!(graph, "  \"{}\" [label=\"{label}\", {look}];", escaped(&member.id));
    }
    for member in topology.members.iter().filter(|member| !member.own && member.agrees.is_some()) {
        let label = member.rtt_us.map_or_else(String::new, |us| format!("{:.1} ms", us as f64 / 1000.0));
        let (from, look) = match &member.via {
            Some(relay) => (relay, ", style=dashed"),
            None => (&topology.id, ""),
        };
        let _ = writeln!(graph, "  \"{}\" -> \"{}\" [label=\"{label}\"{look}];", escaped(from), escaped(&member.id));
    }
    graph.push('}');
    graph
}

/// The text between the quotes of an id.
fn escaped(text: &str) -> String {
    text.chars().filter(|char| !char.is_control()).collect::<String>().replace('\\', "\\\\").replace('"', "\\\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_break_the_graph() {
        assert_eq!(escaped("a\"b\\c\nd"), "a\\\"b\\\\cd");
    }
}
