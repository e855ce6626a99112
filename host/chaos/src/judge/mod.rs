//! Holds records and ledger against each other. It is written a second time on purpose: it reads JSON and the promises of
//! RECORDS, and knows nothing of how the executor or the audit come to theirs.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::books::{Books, Seen};
use crate::verdict::{Breach, Doubts};

/// What the ledger says about one opportunity and account.
#[derive(Clone, Copy, Debug, Default)]
struct AtVenue {
    /// Answers that arrived, whatever became of them.
    received: u64,
    accepted: u64,
    settled: u64,
}

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    /// Accepted commands.
    pub commands: usize,
    /// Results by status, each once.
    pub results: BTreeMap<String, u64>,
    /// Answers that the venue got a second time.
    pub duplicates: u64,
    /// Commands without a result.
    pub losses: u64,
    /// Commands in doubt.
    pub doubts: Doubts,
    /// Commands that the venue accepted and that ended otherwise: possible only where its word was lost and it never settled.
    pub accepted_unheard: u64,
    /// Answers that the venue got.
    pub answers: u64,
    /// Everything that must not be.
    pub breaches: Vec<Breach>,
}

/// Judges. `repeats`: without transactions a result may be there twice.
pub fn judge(books: &Books, repeats: bool) -> Findings {
    let mut findings = Findings::default();
    let commands = first_of_each(&books.commands);
    findings.commands = commands.len();
    let results = results_by_command(books, &commands, repeats, &mut findings);
    let passed_over: BTreeSet<(i32, i64)> = skips(books, &mut findings);
    for (id, command) in &commands {
        if !results.contains_key(id) && !passed_over.contains(&(command.partition, command.offset)) {
            findings.losses += 1;
            findings.breaches.push(Breach::of("no_result", id, "an accepted command has no result"));
        }
    }
    if let Some(ledger) = &books.ledger {
        let venue = at_venue(ledger, &mut findings);
        unclaimed(ledger, &books.journal, &mut findings);
        against_venue(&commands, &results, &venue, &mut findings);
    }
    findings.doubts = doubts(books, &results);
    for breach in &mut findings.breaches {
        breach.traces = breach.command_id.as_deref().map(|id| books.traces(id)).unwrap_or_default();
    }
    findings
}

/// The first record of each command id; repeats have the same content or are passed over with a dead letter.
fn first_of_each(records: &[Seen]) -> BTreeMap<&str, &Seen> {
    let mut first: BTreeMap<&str, &Seen> = BTreeMap::new();
    for seen in records.iter().filter(|seen| !seen.text("command_id").is_empty()) {
        first.entry(seen.text("command_id")).or_insert(seen);
    }
    first
}

fn results_by_command<'a>(
    books: &'a Books,
    commands: &BTreeMap<&str, &Seen>,
    repeats: bool,
    findings: &mut Findings,
) -> BTreeMap<&'a str, &'a Seen> {
    let mut results: BTreeMap<&str, &Seen> = BTreeMap::new();
    for seen in &books.results {
        let id = seen.text("command_id");
        match (results.get(id), commands.get(id)) {
            (Some(first), _) if !repeats || first.content() != seen.content() => {
                findings.breaches.push(Breach::of("two_results", id, "a second result of one command"));
            }
            (_, None) => findings.breaches.push(Breach::of("result_of_nothing", id, "a result without a command")),
            (None, Some(command)) if command.partition != seen.partition => {
                findings.breaches.push(Breach::of(
                    "wrong_partition",
                    id,
                    "a result in another partition than its command",
                ));
            }
            (Some(_), _) => {}
            (None, _) => {
                *findings.results.entry(seen.text("status").to_owned()).or_default() += 1;
                results.insert(id, seen);
            }
        }
    }
    results
}

/// Where commands were passed over; each such record has its dead letter.
fn skips(books: &Books, findings: &mut Findings) -> BTreeSet<(i32, i64)> {
    let number = |seen: &Seen, field: &str| seen.value.pointer(&format!("/payload/{field}")).and_then(Value::as_i64);
    let letters: BTreeSet<(i32, i64)> = books
        .letters
        .iter()
        .filter_map(|seen| {
            Some((i32::try_from(number(seen, "source_partition")?).ok()?, number(seen, "source_offset")?))
        })
        .collect();
    let mut passed = BTreeSet::new();
    for skip in books.journal.iter().filter(|seen| seen.event_type() == "journal_skip") {
        let Some(offset) = number(skip, "command_offset") else { continue };
        passed.insert((skip.partition, offset));
        if !letters.contains(&(skip.partition, offset)) {
            let detail = format!("command record {}/{offset} was passed over without a dead letter", skip.partition);
            findings.breaches.push(Breach::new("no_dead_letter", detail));
        }
    }
    passed
}

/// What the venue says, by account and opportunity. A second answer to one, or a nonce used twice, breaks the first promise.
fn at_venue(ledger: &[Value], findings: &mut Findings) -> BTreeMap<(String, String), AtVenue> {
    let mut venue: BTreeMap<(String, String), AtVenue> = BTreeMap::new();
    let mut nonces = BTreeSet::new();
    let text = |line: &Value, field: &str| line.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    for line in ledger {
        let place = (text(line, "account"), text(line, "venue_ref"));
        match text(line, "kind").as_str() {
            "answered" | "refused" => {
                findings.answers += 1;
                let one = venue.entry(place.clone()).or_default();
                one.received += 1;
                one.accepted += u64::from(line.get("accepted") == Some(&Value::Bool(true)));
                // Not every venue has something that takes effect only once.
                let nonce = text(line, "nonce");
                let is_used = !nonce.is_empty() && !nonces.insert((place.0.clone(), nonce));
                if one.received > 1 || is_used {
                    findings.duplicates += 1;
                    findings.breaches.push(Breach::new("answered_twice", line.to_string()));
                }
            }
            "duplicate" => findings.breaches.push(Breach::new("answered_twice", line.to_string())),
            "settled" => venue.entry(place).or_default().settled += 1,
            _ => {}
        }
    }
    venue
}

/// What was signed must be what a claim holds, byte for byte, where the venue says what it was sent.
fn unclaimed(ledger: &[Value], journal: &[Seen], findings: &mut Findings) {
    let claims = journal.iter().filter(|seen| seen.event_type() == "journal_claim");
    let claimed: BTreeSet<&str> = claims.map(|claim| claim.text("action_digest")).collect();
    let arrived = |line: &&Value| {
        let kind = line.get("kind").and_then(Value::as_str).unwrap_or_default();
        kind == "answered" || kind == "refused"
    };
    for line in ledger.iter().filter(arrived) {
        let digest = line.get("digest").and_then(Value::as_str);
        if digest.is_some_and(|digest| !claimed.contains(digest)) {
            findings.breaches.push(Breach::new("unclaimed_answer", line.to_string()));
        }
    }
}

/// Each result must be true, and nothing may have happened at the venue that no result says.
fn against_venue(
    commands: &BTreeMap<&str, &Seen>,
    results: &BTreeMap<&str, &Seen>,
    venue: &BTreeMap<(String, String), AtVenue>,
    findings: &mut Findings,
) {
    let mut reported = BTreeSet::new();
    for (id, command) in commands {
        let Some(result) = results.get(id) else { continue };
        let place = (command.text("account").to_owned(), command.text("venue_ref").to_owned());
        let there = venue.get(&place).copied().unwrap_or_default();
        let (status, code) = (result.text("status"), result.text("result_code"));
        // Another command of the same key was sent: what the venue says is about that one.
        if code == "duplicate_key" {
            continue;
        }
        let false_because = match status {
            "executed" if there.accepted == 0 => Some("executed, and the venue never accepted it"),
            "executed" if !reported.insert(place.clone()) => Some("executed twice for one opportunity"),
            "expired" if there.received > 0 => Some("expired, and an answer arrived at the venue"),
            "rejected" if there.accepted > 0 => Some("rejected, and the venue accepted it"),
            "not_executed" if there.settled > 0 => Some("not_executed, and it was settled"),
            "unresolved" => Some("unresolved, though the venue can be asked"),
            "executed" | "rejected" | "not_executed" | "expired" => None,
            _ => Some("a status that does not exist"),
        };
        if let Some(reason) = false_because {
            findings.breaches.push(Breach::of("false_result", id, reason));
        }
        findings.accepted_unheard += u64::from(there.accepted > 0 && status != "executed");
    }
    let executed: BTreeSet<(String, String)> = commands
        .iter()
        .filter(|(id, _)| results.get(*id).is_some_and(|result| result.text("status") == "executed"))
        .map(|(_, command)| (command.text("account").to_owned(), command.text("venue_ref").to_owned()))
        .collect();
    for (place, there) in venue.iter().filter(|(place, there)| there.settled > 0 && !executed.contains(*place)) {
        let detail = format!("{} of {} was settled {} times and no result says so", place.1, place.0, there.settled);
        findings.breaches.push(Breach::new("settled_untold", detail));
    }
}

/// From the first `in_doubt` of a command to its result.
fn doubts(books: &Books, results: &BTreeMap<&str, &Seen>) -> Doubts {
    let mut since: BTreeMap<&str, i64> = BTreeMap::new();
    for status in books.statuses.iter().filter(|status| status.text("state") == "in_doubt") {
        let first = since.entry(status.text("command_id")).or_insert(i64::MAX);
        *first = (*first).min(status.made_at());
    }
    let times = since.iter().filter_map(|(id, since)| Some(results.get(id)?.made_at() - since));
    Doubts::of(times.map(|time| time.max(0)).collect())
}

#[cfg(test)]
mod tests;
