//! The worlds that are explored: what stands on the command topic, and what may go wrong.

use unrip_protocol::fold::Head;

use super::properties::*;
use super::state::Budget;
use super::world::{Record, World};
use crate::common::command;

const NOTHING: Budget = Budget {
    steals: 0,
    revokes: 0,
    losses: 0,
    crashes: 0,
    node_losses: 0,
    drops: 0,
    duplicates: 0,
    retries: 0,
    foreign: 0,
    halts: 0,
    unready: 0,
    breaks: 0,
    timeouts: 0,
    not_yet: 0,
    decisions: 0,
};

fn world(name: &'static str, topic: Vec<Record>, executors: usize, budget: Budget) -> World {
    World { name, topic, executors, budget, slow: false, can_ask: true, mutant: None, wants: &[DISPATCH], only: None }
}

fn wanting(wants: &'static [&'static str], world: World) -> World {
    World { wants, ..world }
}

fn at_offsets(heads: Vec<Head>) -> Vec<Record> {
    (0..).zip(heads).map(|(offset, head)| Record::Ours(Head { offset, ..head })).collect()
}

pub fn plain(commands: u128) -> Vec<Record> {
    at_offsets((1..=commands).map(|number| command(number, &format!("key-{number}"))).collect())
}

fn one_key() -> Vec<Record> {
    at_offsets(vec![command(1, "key"), command(2, "key")])
}

/// The same id with other content, of the same module and of a newer one, and a pure repeat.
fn contradicted() -> Vec<Record> {
    let first = command(1, "key-1");
    let conflict = Head { content_hash: "other".to_owned(), ..first.clone() };
    at_offsets(vec![first.clone(), conflict, first])
}

/// The same record once more, made by a newer module: other content, and another command id.
fn superseded() -> Vec<Record> {
    let first = command(1, "key-1");
    let newer = Head { origin: "newer".to_owned(), event_id: first.event_id, ..command(2, "key-2") };
    at_offsets(vec![first, newer])
}

/// Explored breadth first, two executors or three.
pub fn all() -> Vec<World> {
    let foreign = |mut topic: Vec<Record>| {
        topic.insert(0, Record::Foreign);
        topic.insert(1, Record::Poison);
        let shift = |record| match record {
            Record::Ours(head) => Record::Ours(Head { offset: head.offset + 2, ..head }),
            other => other,
        };
        topic.into_iter().map(shift).collect::<Vec<_>>()
    };
    vec![
        wanting(
            &[DISPATCH, ASKED, ALL_ENDED],
            world("crash and zombies, 3 executors", plain(1), 3, Budget { crashes: 1, steals: 1, ..NOTHING }),
        ),
        wanting(&[TAKEOVER], world("zombies on both sides", plain(1), 2, Budget { steals: 2, ..NOTHING })),
        wanting(
            &[DISPATCH, ASKED],
            world("loss of a node", plain(1), 2, Budget { node_losses: 1, steals: 1, ..NOTHING }),
        ),
        wanting(
            &[DISPATCH],
            world("lost and doubled appends", plain(1), 2, Budget { drops: 1, duplicates: 1, crashes: 1, ..NOTHING }),
        ),
        wanting(
            &[DISPATCH, ASKED],
            world(
                "broken socket, late answer, closed gate",
                plain(1),
                2,
                Budget { breaks: 1, timeouts: 1, halts: 1, unready: 1, ..NOTHING },
            ),
        ),
        wanting(
            &[EVIDENCE],
            world("answers after a newer fence", plain(1), 2, Budget { steals: 1, losses: 1, ..NOTHING }),
        ),
        World {
            can_ask: false,
            wants: &[EVIDENCE],
            ..world("a venue that cannot be asked", plain(1), 2, Budget { steals: 1, crashes: 1, ..NOTHING })
        },
        wanting(
            &[DECISION, ALL_ENDED],
            world("a person decides", plain(1), 2, Budget { decisions: 1, crashes: 1, ..NOTHING }),
        ),
        wanting(&[DISPATCH], world("orderly hand-over", plain(1), 2, Budget { revokes: 1, steals: 1, ..NOTHING })),
        wanting(
            &[DISPATCH],
            world("two commands, 3 executors", plain(2), 3, Budget { crashes: 1, steals: 1, ..NOTHING }),
        ),
        wanting(
            &[SECOND_OF_KEY],
            World { slow: true, ..world("one key", one_key(), 2, Budget { steals: 1, crashes: 1, ..NOTHING }) },
        ),
        wanting(
            &[PASSED_OVER, ALL_ENDED],
            world("conflict and repeat", contradicted(), 2, Budget { steals: 1, crashes: 1, ..NOTHING }),
        ),
        wanting(&[PASSED_OVER], world("superseded", superseded(), 2, Budget { steals: 1, crashes: 1, ..NOTHING })),
        wanting(
            &[DISPATCH],
            world("foreign fences and records", foreign(plain(1)), 2, Budget { foreign: 1, steals: 1, ..NOTHING }),
        ),
    ]
}

/// What the deep search has beside these: more of everything at once.
pub fn larger() -> Vec<World> {
    let faults = Budget { steals: 2, crashes: 1, node_losses: 1, drops: 1, duplicates: 1, ..NOTHING };
    let rest = Budget { revokes: 1, losses: 1, breaks: 1, timeouts: 1, retries: 1, decisions: 1, ..faults };
    let slow = |world| World { slow: true, ..world };
    vec![
        world("two commands, 3 executors, many faults", plain(2), 3, faults),
        slow(world("two commands, 3 executors, many faults, step by step", plain(2), 3, faults)),
        wanting(&[SECOND_OF_KEY], world("one key, 3 executors, every fault", one_key(), 3, rest)),
        slow(world("a conflict, 3 executors, every fault", contradicted(), 3, rest)),
    ]
}

/// Small enough that their whole graph is known.
pub fn whole() -> Vec<World> {
    vec![
        world("no faults", plain(1), 2, NOTHING),
        world("a crash", plain(1), 2, Budget { crashes: 1, ..NOTHING }),
        world("a lost append", plain(1), 2, Budget { drops: 1, ..NOTHING }),
        world("a lost partition", plain(1), 2, Budget { losses: 1, ..NOTHING }),
        world("a zombie", plain(1), 2, Budget { steals: 1, ..NOTHING }),
        world("a broken socket", plain(1), 2, Budget { breaks: 1, ..NOTHING }),
    ]
}

/// Every fault; three executors, up to four commands. The seed says which.
pub fn walked(seed: u64) -> World {
    let budget = Budget {
        steals: 4,
        revokes: 2,
        losses: 1,
        crashes: 2,
        node_losses: 1,
        drops: 2,
        duplicates: 2,
        retries: 2,
        foreign: 1,
        halts: 1,
        unready: 2,
        breaks: 1,
        timeouts: 1,
        not_yet: 1,
        decisions: 1,
    };
    let topic = match seed % 6 {
        0 => plain(3),
        1 => one_key(),
        2 => contradicted(),
        3 => superseded(),
        4 => plain(4),
        _ => plain(2),
    };
    World {
        slow: !seed.is_multiple_of(4),
        can_ask: !seed.is_multiple_of(5),
        wants: &[],
        ..world("walk", topic, 3, budget)
    }
}

/// Few things at once, so that what needs one certain order of them is met more often.
pub fn hunted(seed: u64) -> World {
    let budget = match seed % 3 {
        0 => Budget { steals: 1, ..NOTHING },
        1 => Budget { steals: 2, crashes: 1, ..NOTHING },
        _ => Budget { steals: 1, crashes: 1, node_losses: 1, ..NOTHING },
    };
    World { slow: !seed.is_multiple_of(2), wants: &[], ..world("hunt", plain(1), 3, budget) }
}
