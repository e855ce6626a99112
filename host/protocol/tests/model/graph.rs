//! Always a way to terminal: the whole graph of a small world, and from every state of it a path to where all has ended.
//! (AG EF, which stateright's own `eventually` does not say where there are cycles.)

use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};

use stateright::Model;

use super::properties::{all_ended, broken};
use super::state::State;
use super::walk::{Step, described};
use super::world::World;

pub struct Graph {
    pub states: usize,
    pub steps: usize,
    /// False if the bound was reached: then what lies beyond counts as able to end.
    pub complete: bool,
    /// Shortest path to a state from which nothing leads to the end, or which breaks a promise.
    pub wedge: Option<Vec<String>>,
}

struct Node {
    parent: u32,
    step: Option<Step>,
    can_end: bool,
}

pub fn explore(world: &World, states_max: usize) -> Graph {
    let first = world.init_states().remove(0);
    let mut ids = HashMap::from([(fingerprint(&first), 0_u32)]);
    let mut nodes = vec![Node { parent: 0, step: None, can_end: false }];
    let mut edges: Vec<(u32, u32)> = Vec::new();
    let mut queue = VecDeque::from([(0_u32, first)]);
    let mut actions = Vec::new();
    while let Some((at, state)) = queue.pop_front() {
        if broken(world, &state).is_some() {
            return Graph { states: nodes.len(), steps: edges.len(), complete: false, wedge: Some(path(&nodes, at)) };
        }
        let beyond = nodes.len() >= states_max;
        nodes[at as usize].can_end = beyond || all_ended(world, &state);
        if beyond {
            continue;
        }
        actions.clear();
        world.actions(&state, &mut actions);
        for action in actions.drain(..) {
            let Some(next) = world.next_state(&state, action.clone()) else { continue };
            let id = *ids.entry(fingerprint(&next)).or_insert_with(|| {
                let id = u32::try_from(nodes.len()).unwrap();
                nodes.push(Node { parent: at, step: Some(described(&state, &action)), can_end: false });
                queue.push_back((id, next));
                id
            });
            edges.push((id, at));
        }
    }
    let complete = nodes.len() < states_max;
    spread(&mut nodes, &mut edges);
    let wedge = nodes.iter().position(|node| !node.can_end).map(|at| path(&nodes, u32::try_from(at).unwrap()));
    Graph { states: nodes.len(), steps: edges.len(), complete, wedge }
}

/// Marks every state from which a marked one can be reached. Edges point backwards.
fn spread(nodes: &mut [Node], edges: &mut [(u32, u32)]) {
    edges.sort_unstable();
    let mut todo: Vec<u32> = (0..).zip(nodes.iter()).filter(|(_, node)| node.can_end).map(|(at, _)| at).collect();
    while let Some(at) = todo.pop() {
        let from = edges.partition_point(|(to, _)| *to < at);
        for (_, before) in edges[from..].iter().take_while(|(to, _)| *to == at) {
            let node = &mut nodes[*before as usize];
            if !node.can_end {
                node.can_end = true;
                todo.push(*before);
            }
        }
    }
}

fn path(nodes: &[Node], mut at: u32) -> Vec<String> {
    let mut steps = Vec::new();
    while let Some(step) = &nodes[at as usize].step {
        steps.push(step.to_string());
        at = nodes[at as usize].parent;
    }
    steps.reverse();
    steps
}

fn fingerprint(state: &State) -> u64 {
    let mut hasher = DefaultHasher::new();
    state.hash(&mut hasher);
    hasher.finish()
}
