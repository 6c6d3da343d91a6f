//! The streams that sessions held: of a run, and of the parts of one.

use super::figures::{Part, causes};
use crate::metrics::{ListenTally, NameCounts};
use crate::outcome::{RowKind, Rows, RunOutcome};
use crate::report::model::{CauseCount, Figures, ListenFigures};

/// `None` where none were asked for.
pub(super) fn listening(outcome: &RunOutcome, measured: &Part<'_>) -> Option<ListenFigures> {
    let rows = Rows::new(&outcome.start.rows, &outcome.totals);
    let opening = measured.streams(&rows.sum_of(RowKind::Listen)?);
    let none = ListenTally::default();
    let tally = outcome.totals.listening.as_deref().unwrap_or(&none);
    let by_name = |counts: &NameCounts| counts.counts.iter().cloned().collect();
    Some(ListenFigures {
        opening,
        refused: tally.refused,
        unacknowledged: tally.unacknowledged,
        resumed: tally.resumed,
        open_max: outcome.listening_max.into(),
        ended: tally.ended,
        ended_by_server: tally.ended_by_server,
        broken: tally.broken.total(),
        broken_by: causes(&tally.broken, &measured.examples.streams),
        notifications: by_name(&tally.notifications),
        requests: by_name(&tally.requests),
        requests_answered: tally.requests_answered,
        others: tally.notifications.others + tally.requests.others,
        answers: tally.answers,
        unreadable: tally.unreadable,
        bytes: tally.bytes,
    })
}

/// Of parts, of which at least one held streams; `opening` and `broken_by` are the sums of
/// theirs.
pub(in crate::report) fn merged_listening<'a>(
    parts: impl Iterator<Item = &'a ListenFigures>,
    opening: Figures,
    broken_by: Vec<CauseCount>,
) -> ListenFigures {
    let mut sum = ListenFigures {
        opening,
        broken_by,
        ..ListenFigures::default()
    };
    for part in parts {
        for (into, more) in [
            (&mut sum.refused, part.refused),
            (&mut sum.unacknowledged, part.unacknowledged),
            (&mut sum.resumed, part.resumed),
            (&mut sum.open_max, part.open_max),
            (&mut sum.ended, part.ended),
            (&mut sum.ended_by_server, part.ended_by_server),
            (&mut sum.broken, part.broken),
            (&mut sum.requests_answered, part.requests_answered),
            (&mut sum.others, part.others),
            (&mut sum.answers, part.answers),
            (&mut sum.unreadable, part.unreadable),
            (&mut sum.bytes, part.bytes),
        ] {
            *into = into.saturating_add(more);
        }
        for (into, more) in [
            (&mut sum.notifications, &part.notifications),
            (&mut sum.requests, &part.requests),
        ] {
            for (name, n) in more {
                let count = into.entry(name.clone()).or_default();
                *count = count.saturating_add(*n);
            }
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{Failure, ProtocolFailure, Recorder};
    use crate::outcome::Row;
    use crate::report::samples::{ok, outcome, plan, report as report_of};

    /// The report of a run with this many streams, of which one broke.
    fn report(n_streams: u64, method: &str) -> crate::report::model::Report {
        let mut outcome = outcome(&[("tools/call", Some("echo"))]);
        outcome.start.rows.push(Row::new(RowKind::Listen, "GET"));
        outcome.totals = Recorder::new(outcome.start.rows.len());
        outcome.listening_max = n_streams as u32;
        for _ in 0..n_streams {
            ok(&mut outcome.totals, 2, 1_000_000);
        }
        let tally = outcome.totals.listening.get_or_insert_default();
        tally.ended = n_streams - 1;
        tally.broke(Failure::Protocol(ProtocolFailure::ClosedEarly));
        tally.notifications.add(method);
        tally.bytes = 100;
        report_of(&plan(), &outcome)
    }

    #[test]
    fn streams_are_in_their_own_block_and_in_no_total() {
        let report = report(3, "notifications/message");
        let listen = report.listen.expect("streams");
        assert_eq!((listen.opening.ok, listen.ended, listen.broken), (3, 2, 1));
        assert_eq!(listen.broken_by[0].id, "protocol.closed_early");
        assert_eq!(listen.open_max, 3);
        assert_eq!(report.totals.started, 0);
        assert_eq!(report.operations.len(), 1);
    }

    #[test]
    fn parts_add_up() {
        let parts = [report(3, "one"), report(2, "two"), report(2, "one")];
        let parts = || parts.iter().filter_map(|part| part.listen.as_ref());
        let opening = parts().next().expect("a part").opening.clone();
        let sum = merged_listening(parts(), opening, Vec::new());
        assert_eq!(
            (sum.open_max, sum.ended, sum.broken, sum.bytes),
            (7, 4, 3, 300)
        );
        let names: Vec<(&str, u64)> = sum
            .notifications
            .iter()
            .map(|(name, n)| (name.as_str(), *n))
            .collect();
        assert_eq!(names, [("one", 2), ("two", 1)]);
    }
}
