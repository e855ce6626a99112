//! Searches with stateright, and what came of them.

use std::fmt;

use stateright::{Checker, HasDiscoveries, Model};

use super::properties::ALL_PROMISES;
use super::walk::described;
use super::world::World;

pub struct Searched {
    /// States reached, repeats included, and the different ones among them.
    pub generated: usize,
    pub unique: usize,
    pub depth: usize,
    /// Everything that can be reached was.
    pub complete: bool,
    /// What was found: promises broken and wanted states, each with its path.
    pub found: Vec<(&'static str, Vec<String>)>,
}

pub fn breadth_first(world: World, states: usize, threads: usize) -> Searched {
    let checker = world.clone().checker().finish_when(HasDiscoveries::AnyFailures).target_state_count(states);
    summed(&checker.threads(threads).spawn_bfs().join(), states)
}

/// Depth first needs little memory; breadth first sees the short paths. Half of each.
pub fn deep(world: World, states: usize) -> Searched {
    let wide = breadth_first(world.clone(), states / 2, 2);
    if wide.complete || wide.broken().is_some() {
        return wide;
    }
    let checker = world.clone().checker().finish_when(HasDiscoveries::AnyFailures).target_state_count(states / 2);
    let far = summed(&checker.threads(2).spawn_dfs().join(), states / 2);
    Searched {
        generated: wide.generated + far.generated,
        unique: wide.unique.max(far.unique),
        depth: wide.depth.max(far.depth),
        complete: far.complete,
        found: wide.found.into_iter().chain(far.found).collect(),
    }
}

fn summed(checker: &impl Checker<World>, states: usize) -> Searched {
    let discovered = checker.discoveries().into_iter().map(|(name, path)| {
        let steps = path.into_vec().into_iter();
        (name, steps.filter_map(|(state, action)| Some(described(&state, &action?).to_string())).collect())
    });
    let found: Vec<_> = discovered.collect();
    Searched {
        generated: checker.state_count(),
        unique: checker.unique_state_count(),
        depth: checker.max_depth(),
        complete: checker.state_count() < states && !found.iter().any(|(name, _)| ALL_PROMISES.contains(name)),
        found,
    }
}

impl Searched {
    /// The promise that is broken, and the way there.
    pub fn broken(&self) -> Option<&(&'static str, Vec<String>)> {
        self.found.iter().find(|(name, _)| ALL_PROMISES.contains(name))
    }

    /// What was found that was looked for.
    pub fn seen(&self) -> impl Iterator<Item = &'static str> {
        self.found.iter().map(|(name, _)| *name)
    }

    #[track_caller]
    pub fn assert_holds(&self, world: &World) {
        if let Some((promise, path)) = self.broken() {
            panic!("{}: {promise} is broken:\n{}", world.name, path.join("\n"));
        }
        let missing: Vec<_> = world.wants.iter().filter(|wanted| self.seen().all(|seen| seen != **wanted)).collect();
        assert!(missing.is_empty() || !self.complete, "{}: never seen: {missing:?}", world.name);
    }
}

impl fmt::Display for Searched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { generated, unique, depth, complete, found } = self;
        let found: Vec<&str> = found.iter().map(|(name, _)| *name).collect();
        write!(f, "{generated} states, {unique} different, {depth} deep, complete: {complete}, seen: {found:?}")
    }
}
