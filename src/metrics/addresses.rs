//! Connections by address, where a name has several.

use std::collections::BTreeMap;
use std::net::SocketAddr;

/// Addresses that are counted apart, at most: a name may lead to others over and over.
const ADDRESSES_MAX: usize = 64;

/// What came of connecting to an address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AddressTally {
    /// Connections that it took.
    pub connected: u64,
    /// Attempts that came to nothing.
    pub failed: u64,
    /// Why the last of these did.
    pub last_failure: Option<String>,
}

/// What came of connecting to each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AddressTallies {
    by_address: BTreeMap<SocketAddr, AddressTally>,
}

impl AddressTallies {
    /// Counts an attempt: why it came to nothing, if it did.
    pub fn record(&mut self, address: SocketAddr, failure: Option<&str>) {
        let Some(tally) = self.tally(address) else {
            return;
        };
        match failure {
            None => tally.connected += 1,
            Some(why) => {
                tally.failed += 1;
                tally.last_failure = Some(why.to_string());
            }
        }
    }

    /// Adds later ones.
    pub fn merge(&mut self, later: &Self) {
        for (address, more) in &later.by_address {
            if let Some(tally) = self.tally(*address) {
                tally.connected += more.connected;
                tally.failed += more.failed;
                let last = more.last_failure.clone();
                tally.last_failure = last.or(tally.last_failure.take());
            }
        }
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&SocketAddr, &AddressTally)> {
        self.by_address.iter()
    }

    fn tally(&mut self, address: SocketAddr) -> Option<&mut AddressTally> {
        let has_room = self.by_address.len() < ADDRESSES_MAX;
        match has_room || self.by_address.contains_key(&address) {
            true => Some(self.by_address.entry(address).or_default()),
            false => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_counted_apart_and_bounded() {
        let address = |last: u8| SocketAddr::from(([10, 0, 0, last], 80));
        let mut all = AddressTallies::default();
        all.record(address(1), None);
        all.record(address(2), Some("refused"));
        let mut more = AddressTallies::default();
        more.record(address(1), None);
        more.record(address(2), Some("timed out"));
        more.record(address(2), None);
        all.merge(&more);
        let told: Vec<_> = all.iter().map(|(_, it)| it.clone()).collect();
        let expected = [(2, 0, None), (1, 2, Some("timed out".to_string()))];
        let expected = expected.map(|(connected, failed, last_failure)| AddressTally {
            connected,
            failed,
            last_failure,
        });
        assert_eq!(told, expected);
        for last in 0..=255 {
            all.record(address(last), None);
        }
        assert_eq!(all.iter().count(), ADDRESSES_MAX);
    }
}
