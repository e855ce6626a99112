//! The operator's commands: the kill switch, what is going on, and a person's decision about a command in doubt.
//!
//! They read and write the log and nothing else; executors need not run for it. Which journal records are valid is decided
//! by the protocol's rule. This room does not know the executor's code, its state, or any venue's protocol.

pub mod args;
pub mod error;
pub mod groups;
mod journal_fold;
pub mod journal_reading;
pub mod journal_start;
pub mod mode;
pub mod modes;
pub mod reading;
pub mod recent;
mod records;
pub mod resolve;
pub mod resolve_text;
pub mod say;
pub mod scope;
pub mod status;
pub mod status_report;
pub mod status_text;
pub mod topics;
pub mod values;
pub mod venue;

use crate::error::Error;

/// Characters of a reason at most: it goes into the record, and of a decision into the result.
const REASON_CHARS_MAX: usize = 400;

/// Who acts: what was typed, else who is logged in.
fn who(by: Option<&str>) -> Option<String> {
    let named = by.map(str::to_owned);
    let found = named.or_else(|| std::env::var("USER").ok()).or_else(|| std::env::var("LOGNAME").ok());
    found.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty())
}

/// Who acts, where that must be known.
fn who_must_be_known(by: Option<&str>) -> Result<String, Error> {
    who(by).ok_or_else(|| Error::Usage("--by is missing and USER is not set; say who decides: --by NAME".to_owned()))
}

/// A reason is for those who come later: it may not be empty.
fn reason(text: &str) -> Result<String, Error> {
    let text = text.trim();
    match text.is_empty() {
        true => Err(Error::Usage("--reason is empty; say why, those who come later will ask".to_owned())),
        false if text.chars().count() > REASON_CHARS_MAX => {
            Err(Error::Usage(format!("--reason is longer than {REASON_CHARS_MAX} characters; say it shorter")))
        }
        false => Ok(text.to_owned()),
    }
}

#[allow(clippy::print_stdout, reason = "what the command says is what it is for")]
fn print(text: &str) {
    println!("{}", text.trim_end());
}
