//! A record of the command topic: judged, and kept if it is a command of ours.

use std::time::Instant;

use unrip_bus::Record;
use unrip_protocol::intake::{CommandRecord, Intake, judge};
use unrip_protocol::partition::{Event, Incoming, Refusal};
use unrip_service::RunError;

use crate::command::open::OpenCommand;
use crate::journal::records::Cause;
use crate::points::{Point, reach};
use crate::runtime::executor::Executor;

impl Executor {
    /// Takes a record of the command topic.
    pub(crate) fn command(&mut self, record: Record) -> Result<(), RunError> {
        let now = self.time.now();
        let (partition, offset) = (record.partition, record.offset);
        // Read before a revocation: the next owner reads it again.
        let Some(state) = self.partitions.get_mut(&partition).filter(|state| state.core.is_active()) else {
            return Ok(());
        };
        reach(Point::CommandReceived);
        state.next_offset = state.next_offset.max(offset + 1);
        let (key, value, partitions) = (record.key.as_deref(), &record.value, self.journal.partition_count);
        let venue = self.config.service.venue.as_str();
        let incoming = match judge(CommandRecord { partition, partitions, offset, key, value }, venue) {
            Intake::Foreign => Incoming::Foreign { offset },
            Intake::Unacceptable(why) => {
                Incoming::Unacceptable { offset, id: why.id, code: why.code, reason: why.reason }
            }
            Intake::Ours { head, command, envelope } => {
                let closed = self.gates.refusal(venue, &command.payload.account);
                let reason = "the kill switch is closed".to_owned();
                let refusal = closed.map(|code| Refusal { code: code.to_owned(), reason });
                let cause = Cause { command: *command, trace: record.trace() };
                let open = OpenCommand { head: head.clone(), cause, envelope, claimed: None, taken_up: Instant::now() };
                // A record that repeats a command keeps what is known of the first.
                state.commands.entry(head.id).or_insert(open);
                Incoming::Ours(head, refusal)
            }
        };
        state.in_hand = Some(record);
        let effects = self.decide(partition, Event::Command(incoming), now)?;
        reach(Point::CommandJudged);
        self.perform_all(partition, effects, now)?;
        if let Some(state) = self.partitions.get_mut(&partition) {
            state.in_hand = None;
        }
        Ok(())
    }
}
