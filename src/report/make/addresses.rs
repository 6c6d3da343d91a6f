//! What came of connecting to each of several addresses, and who served the calls.

use super::figures::latency;
use crate::metrics::ServerTally;
use crate::outcome::RunOutcome;
use crate::report::model::{AddressFigures, BackendFigures, ServedFigures};
use crate::units::share;

pub(super) fn addresses(outcome: &RunOutcome) -> Vec<AddressFigures> {
    let all = outcome.totals.addresses.iter();
    let all = all.flat_map(|tallies| tallies.iter());
    let figures = all.map(|(address, tally)| AddressFigures {
        address: address.to_string(),
        connected: tally.connected,
        failed: tally.failed,
        last_failure: tally.last_failure.clone(),
        calls: None,
    });
    let mut figures: Vec<AddressFigures> = figures.collect();
    let Some(spread) = outcome.totals.spread.as_deref() else {
        return figures;
    };
    let served = &spread.addresses;
    // Where no connection stood, there is no address that could have a share.
    let total = served.named.values().map(ended).sum();
    for (address, tally) in &served.named {
        let address = address.to_string();
        let known = figures.iter().position(|it| it.address == address);
        let at = known.unwrap_or_else(|| {
            // A name that led to one address when its connection was made.
            figures.push(AddressFigures {
                address,
                connected: 0,
                failed: 0,
                last_failure: None,
                calls: None,
            });
            figures.len() - 1
        });
        figures[at].calls = Some(served_figures(tally, total));
    }
    figures
}

/// Calls by what a header of their answer names, most of them first.
pub(super) fn backends(outcome: &RunOutcome) -> Vec<BackendFigures> {
    let Some(spread) = outcome.totals.spread.as_deref() else {
        return Vec::new();
    };
    let all = &spread.backends;
    let beside = [&all.unnamed, &all.others].into_iter().flatten();
    let each = all.named.values().chain(beside.map(|it| &**it));
    let total = each.map(ended).sum();
    let figures = |name: Option<&String>, is_rest, tally| BackendFigures {
        name: name.cloned(),
        is_rest,
        calls: served_figures(tally, total),
    };
    let named = all.named.iter();
    let mut backends: Vec<BackendFigures> = named
        .map(|(name, tally)| figures(Some(name), false, tally))
        .collect();
    backends.sort_by_key(|it| std::cmp::Reverse(it.calls.ended));
    backends.extend(all.others.as_deref().map(|it| figures(None, true, it)));
    backends.extend(all.unnamed.as_deref().map(|it| figures(None, false, it)));
    backends
}

fn ended(tally: &ServerTally) -> u64 {
    tally.ok + tally.failed
}

fn served_figures(tally: &ServerTally, total: u64) -> ServedFigures {
    let ended = ended(tally);
    ServedFigures {
        ended,
        failed: tally.failed,
        sessions_expired: tally.sessions_expired,
        share: (total > 0).then(|| share(ended, total)),
        latency: latency(&tally.latency),
    }
}

/// Of parts, each address once. What became of their calls is added elsewhere.
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
            calls: None,
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
