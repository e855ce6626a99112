use super::*;
use serde_json::json;

const ACCOUNT: &str = "an.account";

fn seen(offset: i64, event_type: &str, payload: Value) -> Seen {
    let at = format!("2026-11-22T10:00:{:02}.000000Z", offset % 60);
    let value = json!({"event_type": event_type, "causation_id": "c", "ingested_at": at, "payload": payload});
    Seen { partition: 0, offset, value }
}

/// A command, its claim, and what the venue and we say of it.
struct Story {
    books: Books,
}

impl Story {
    fn new() -> Self {
        let books = Books { ledger: Some(Vec::new()), ..Books::default() };
        Self { books }
    }

    fn command(mut self, id: &str) -> Self {
        let offset = self.books.commands.len() as i64;
        let payload = json!({"command_id": id, "venue_ref": format!("quote-{id}"), "account": ACCOUNT});
        self.books.commands.push(seen(offset, "execute_trade", payload));
        self
    }

    fn result(mut self, id: &str, status: &str, code: &str) -> Self {
        let offset = 30 + self.books.results.len() as i64;
        let payload = json!({"command_id": id, "status": status, "result_code": code});
        self.books.results.push(seen(offset, "trade_result", payload));
        self
    }

    fn line(mut self, line: Value) -> Self {
        self.books.ledger.get_or_insert_default().push(line);
        self
    }

    fn answered(self, id: &str, verdict: &str) -> Self {
        let kind = if verdict == "refused" { "refused" } else { "answered" };
        self.line(json!({"kind": kind, "account": ACCOUNT, "venue_ref": format!("quote-{id}"),
            "nonce": format!("nonce-{id}"), "accepted": verdict == "accepted"}))
    }

    fn settled(self, id: &str) -> Self {
        self.line(json!({"kind": "settled", "account": ACCOUNT, "venue_ref": format!("quote-{id}"), "accepted": true}))
    }

    #[track_caller]
    fn breaches(self, expected: &[&str]) -> Findings {
        let findings = judge(&self.books, false);
        let found: Vec<&str> = findings.breaches.iter().map(|breach| breach.code.as_str()).collect();
        assert_eq!(found, expected, "{:#?}", findings.breaches);
        findings
    }
}

#[test]
fn what_is_true_passes() {
    let findings = Story::new()
        .command("a")
        .answered("a", "accepted")
        .settled("a")
        .result("a", "executed", "accepted")
        .command("b")
        .answered("b", "refused")
        .result("b", "rejected", "-32098")
        .command("c")
        .result("c", "expired", "dispatch_by_passed")
        .command("d")
        .answered("d", "accepted")
        .result("d", "not_executed", "nonce_unused")
        .breaches(&[]);
    assert_eq!((findings.commands, findings.answers, findings.accepted_unheard), (4, 3, 1));
}

#[test]
fn an_answer_given_twice_is_found_with_or_without_the_venues_word() {
    let twice = Story::new().command("a").answered("a", "accepted").answered("a", "refused");
    let findings = twice.result("a", "executed", "accepted").breaches(&["answered_twice"]);
    assert_eq!(findings.duplicates, 1);
    let found = Story::new().command("a").answered("a", "lost").answered("a", "accepted");
    found.result("a", "executed", "accepted").breaches(&["answered_twice"]);
}

#[test]
fn a_nonce_used_for_two_quotes_is_found() {
    let other = json!({"kind": "refused", "account": ACCOUNT, "venue_ref": "quote-b", "nonce": "nonce-a"});
    let story = Story::new().command("a").answered("a", "accepted").line(other);
    story.result("a", "executed", "accepted").breaches(&["answered_twice"]);
}

#[test]
fn a_venue_without_nonces_is_judged_by_its_references() {
    let line = |id: &str| json!({"kind": "answered", "account": ACCOUNT, "venue_ref": id, "accepted": true});
    let story = || Story::new().command("a").line(line("quote-a")).result("a", "executed", "accepted");
    story().command("b").line(line("quote-b")).result("b", "executed", "accepted").breaches(&[]);
    story().line(line("quote-a")).breaches(&["answered_twice"]);
    let notice = json!({"kind": "duplicate", "account": ACCOUNT, "venue_ref": "quote-a", "accepted": false});
    story().line(notice).breaches(&["answered_twice"]);
}

#[test]
fn signed_bytes_that_no_claim_holds_are_found() {
    let line =
        json!({"kind": "answered", "account": ACCOUNT, "venue_ref": "quote-a", "accepted": true, "digest": "d1"});
    let story = |claimed: &str| {
        let mut story = Story::new().command("a").line(line.clone()).result("a", "executed", "accepted");
        let claim = json!({"command_id": "a", "action_digest": claimed});
        story.books.journal.push(seen(1, "journal_claim", claim));
        story
    };
    story("d1").breaches(&[]);
    story("d2").breaches(&["unclaimed_answer"]);
}

#[test]
fn a_missing_and_a_second_result_are_found() {
    assert_eq!(Story::new().command("a").breaches(&["no_result"]).losses, 1);
    let twice = Story::new().command("a").result("a", "expired", "x").result("a", "expired", "x");
    twice.breaches(&["two_results"]);
    Story::new().result("a", "expired", "x").breaches(&["result_of_nothing"]);
}

#[test]
fn results_that_are_not_true_are_found() {
    let false_of = |story: Story, status: &str| {
        story.command("a").result("a", status, "x").breaches(&["false_result"]);
    };
    false_of(Story::new(), "executed");
    false_of(Story::new().answered("a", "refused"), "executed");
    false_of(Story::new().answered("a", "refused"), "expired");
    false_of(Story::new().answered("a", "accepted"), "rejected");
    false_of(Story::new(), "unresolved");
    let settled = Story::new().command("a").answered("a", "accepted").settled("a");
    settled.result("a", "not_executed", "x").breaches(&["false_result", "settled_untold"]);
}

#[test]
fn what_was_passed_over_needs_its_dead_letter_and_no_result() {
    let mut story = Story::new().command("a");
    story.books.journal.push(seen(1, "journal_skip", json!({"command_offset": 0, "reason_code": "stale"})));
    let mut with_letter = Story { books: story.books.clone() };
    story.breaches(&["no_dead_letter"]);
    let letter = json!({"source_partition": 0, "source_offset": 0});
    with_letter.books.letters.push(seen(0, "dead_letter", letter));
    with_letter.breaches(&[]);
}

#[test]
fn a_doubt_lasts_from_its_first_status_to_the_result() {
    let mut story = Story::new().command("a").answered("a", "accepted");
    for offset in [10, 20] {
        story.books.statuses.push(seen(offset, "trade_status", json!({"command_id": "a", "state": "in_doubt"})));
    }
    let findings = story.result("a", "not_executed", "x").breaches(&[]);
    assert_eq!((findings.doubts.count, findings.doubts.max_ms), (1, 20_000.0));
}
