//! What came of connecting to each of several addresses: of a run, and of its parts.

use crate::outcome::RunOutcome;
use crate::report::model::AddressFigures;

pub(super) fn addresses(outcome: &RunOutcome) -> Vec<AddressFigures> {
    let all = outcome.totals.addresses.iter();
    let all = all.flat_map(|tallies| tallies.iter());
    let figures = all.map(|(address, tally)| AddressFigures {
        address: address.to_string(),
        connected: tally.connected,
        failed: tally.failed,
        last_failure: tally.last_failure.clone(),
    });
    figures.collect()
}

/// Of parts, each address once.
pub(in crate::report) fn merged_addresses<'a>(
    parts: impl Iterator<Item = &'a AddressFigures>,
) -> Vec<AddressFigures> {
    let mut sums: Vec<AddressFigures> = Vec::new();
    for part in parts {
        match sums.iter_mut().find(|sum| sum.address == part.address) {
            Some(sum) => {
                sum.connected = sum.connected.saturating_add(part.connected);
                sum.failed = sum.failed.saturating_add(part.failed);
                let last = part.last_failure.clone();
                sum.last_failure = last.or(sum.last_failure.take());
            }
            None => sums.push(part.clone()),
        }
    }
    sums.sort_by(|one, other| one.address.cmp(&other.address));
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_of_the_parts_is_there_once() {
        let figures = |address: &str, connected, failed, last: Option<&str>| AddressFigures {
            address: address.to_string(),
            connected,
            failed,
            last_failure: last.map(str::to_string),
        };
        let parts = [
            figures("b:1", 1, 2, Some("refused")),
            figures("a:1", 3, 0, None),
            figures("b:1", 4, 0, None),
        ];
        let expected = [
            figures("a:1", 3, 0, None),
            figures("b:1", 5, 2, Some("refused")),
        ];
        assert_eq!(merged_addresses(parts.iter()), expected);
    }
}
