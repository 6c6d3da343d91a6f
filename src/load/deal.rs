//! How a load is dealt among populations: which of them has user or arrival number n.
//!
//! Pure: a function of the number alone, so that hosts and workers agree without
//! talking, and growing moves nobody. It knows no populations, only their parts.

use std::sync::Arc;

/// Deals numbers, from 0, among several parts in proportion to their weights.
///
/// In each round of as many numbers as the weights sum up to (in lowest terms) every
/// part has its share exactly, and whatever number comes last, no part is three ahead
/// or behind: so any number of users, and any arrivals so far, keep the mix.
///
/// Within a round each turn goes to the part whose next turn is due first, of those that
/// may have it by now (earliest deadline first, with the windows of a fair schedule:
/// Tijdeman, "The chairman assignment problem", 1980), so that none is a whole turn off.
/// Workers take every n-th number: blocks of a round and whole rounds are rotated by a
/// generalised Thue-Morse sequence, lest each worker gets a part of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deal {
    /// The part of each turn of a round; never empty.
    round: Box<[u16]>,
    n_parts: usize,
}

/// Turns that are rotated together within a round.
const BLOCK: usize = 4;

impl Deal {
    /// By these weights, of which one is above zero. Takes time and memory in
    /// proportion to their sum, in lowest terms.
    pub fn new(weights: &[u32]) -> Self {
        let divisor = weights
            .iter()
            .fold(0, |divisor, weight| gcd(divisor, *weight));
        let weights = weights.iter().map(|it| u64::from(it / divisor.max(1)));
        let weights: Vec<u64> = weights.collect();
        let n_turns: u64 = weights.iter().sum();
        let mut dealt = vec![0_u64; weights.len()];
        let mut round = Vec::new();
        for turn in 0..n_turns {
            let may_have = |at: &usize| {
                let (n, weight) = (dealt[*at], weights[*at]);
                n < weight && n * n_turns / weight <= turn
            };
            let due = |at: &usize| ((dealt[*at] + 1) * n_turns).div_ceil(weights[*at]);
            let next = (0..weights.len()).filter(may_have).min_by_key(due);
            // Some part may always have the turn: their shares sum up to one.
            let next = next.unwrap_or(0);
            dealt[next] += 1;
            round.push(u16::try_from(next).unwrap_or(0));
        }
        for (block, turns) in round.chunks_exact_mut(BLOCK).enumerate() {
            turns.rotate_left(digit_sum(block as u64, BLOCK as u64) as usize % BLOCK);
        }
        if round.is_empty() {
            round.push(0);
        }
        Self {
            round: round.into(),
            n_parts: weights.len(),
        }
    }

    /// Which part has this number.
    pub fn part_of(&self, number: u64) -> usize {
        let n_turns = self.round.len() as u64;
        if n_turns == 1 {
            return usize::from(self.round[0]);
        }
        let rotated = digit_sum(number / n_turns, n_turns) + number % n_turns;
        // The remainder is below the length of a round.
        usize::from(self.round[(rotated % n_turns) as usize])
    }

    /// How many of the first numbers each part has.
    pub fn shares_of(&self, total: u32) -> Vec<u32> {
        let mut shares = vec![0; self.n_parts];
        for number in 0..total {
            shares[self.part_of(number.into())] += 1;
        }
        shares
    }

    /// This many numbers it takes until every part has one.
    pub fn needs(&self) -> u32 {
        let firsts = (0..self.n_parts).map(|part| {
            let is_its = |turn: &u16| usize::from(*turn) == part;
            self.round.iter().position(is_its).map_or(0, |at| at + 1)
        });
        u32::try_from(firsts.max().unwrap_or(1)).unwrap_or(u32::MAX)
    }

    /// Who serves which arrivals, where `own` says which users are here.
    ///
    /// Arrivals are dealt as users are. Those of a part go round among its users, each
    /// to the host and the worker whose user that is: so none is where no user of its
    /// part is. `users` serve the whole load.
    pub fn arrivals(self: &Arc<Self>, users: u32, own: impl Fn(u32) -> bool) -> DealtArrivals {
        let mut are_own = vec![Vec::new(); self.n_parts];
        for user in 0..users {
            are_own[self.part_of(user.into())].push(own(user));
        }
        let has_own = are_own.iter().flatten().any(|is_own| *is_own);
        DealtArrivals {
            deal: Arc::clone(self),
            turns: vec![0; self.n_parts],
            are_own,
            next: has_own.then_some(0),
        }
    }
}

/// The arrivals of one worker, each with its number in the whole load and its part.
#[derive(Debug, Clone)]
pub struct DealtArrivals {
    deal: Arc<Deal>,
    /// By part and user of the part: whether the user is here.
    are_own: Vec<Vec<bool>>,
    /// By part: whose turn it is.
    turns: Vec<usize>,
    /// `None`: no user is here, or no number is left.
    next: Option<u64>,
}

impl Iterator for DealtArrivals {
    type Item = (u64, usize);

    fn next(&mut self) -> Option<(u64, usize)> {
        loop {
            let number = self.next?;
            self.next = number.checked_add(1);
            let part = self.deal.part_of(number);
            let (users, turn) = (&self.are_own[part], &mut self.turns[part]);
            let is_own = users.get(*turn).copied().unwrap_or(false);
            *turn = (*turn + 1) % users.len().max(1);
            if is_own {
                return Some((number, part));
            }
        }
    }
}

fn gcd(a: u32, b: u32) -> u32 {
    match b {
        0 => a,
        b => gcd(b, a % b),
    }
}

/// In a base of at least 2.
fn digit_sum(mut number: u64, base: u64) -> u64 {
    let mut sum = 0;
    while number > 0 {
        sum += number % base;
        number /= base;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::super::segment::Segment;
    use super::*;
    use proptest::prelude::*;

    fn first(weights: &[u32], n: u64) -> Vec<usize> {
        let deal = Deal::new(weights);
        (0..n).map(|number| deal.part_of(number)).collect()
    }

    #[test]
    fn numbers_are_dealt_by_weight() {
        assert_eq!(first(&[7], 4), [0; 4]);
        assert_eq!(first(&[1, 1], 8), [0, 1, 1, 0, 1, 0, 0, 1]);
        assert_eq!(first(&[8, 2], 10), [0, 0, 0, 0, 1, 0, 0, 0, 1, 0]);
        assert_eq!(first(&[0, 3], 3), [1; 3]);
        assert_eq!(Deal::new(&[50, 51]).shares_of(101), [50, 51]);
        assert_eq!(Deal::new(&[8, 2]).needs(), 5);
        assert_eq!(Deal::new(&[5]).needs(), 1);
        let large = Deal::new(&[u32::MAX, u32::MAX]);
        assert_eq!(large.part_of(u64::MAX), 0);
    }

    /// Two workers of two equal parts: each has as many users of either.
    #[test]
    fn workers_get_users_of_all_parts() {
        for (weights, n_workers) in [(&[1, 1][..], 2), (&[1, 1, 1, 1][..], 4), (&[50, 51][..], 2)] {
            let deal = Deal::new(weights);
            for worker in 0..n_workers {
                let part = Segment::WHOLE.part(worker, n_workers);
                let mut users = vec![0_u32; weights.len()];
                for own in 0..part.share_of_users(100 * n_workers) {
                    users[deal.part_of(part.number(own).into())] += 1;
                }
                let even = 100 / weights.len() as u32;
                let is_even = |n: &u32| n.abs_diff(even) <= 5;
                assert!(users.iter().all(is_even), "{weights:?}: {users:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn every_prefix_keeps_the_mix(
            weights in proptest::collection::vec(1_u32..60, 1..7), n in 1_u32..500,
        ) {
            let deal = Deal::new(&weights);
            let sum: u32 = weights.iter().sum();
            for (share, weight) in deal.shares_of(n).into_iter().zip(&weights) {
                let ideal = f64::from(n) * f64::from(*weight) / f64::from(sum);
                prop_assert!((f64::from(share) - ideal).abs() < 3.0, "{share} of {ideal}");
            }
            prop_assert_eq!(deal.shares_of(3 * sum), weights.iter().map(|it| 3 * it).collect::<Vec<_>>());
            prop_assert!(deal.shares_of(deal.needs()).iter().all(|share| *share > 0));
        }

        /// Each arrival is one worker's, who has a user of its part.
        #[test]
        fn workers_partition_the_arrivals(
            weights in proptest::collection::vec(1_u32..9, 1..5),
            users in 40_u32..80, n_hosts in 1_u32..3, n_workers in 1_u32..4,
        ) {
            let deal = Arc::new(Deal::new(&weights));
            let mut owners = [0_u32; 300];
            for at in 0..n_hosts * n_workers {
                let host = Segment::WHOLE.part(at % n_hosts, n_hosts);
                let part = host.part(at / n_hosts, n_workers);
                let users_here: Vec<u32> =
                    (0..part.share_of_users(users)).map(|own| part.number(own)).collect();
                let arrivals = deal.arrivals(users, |user| part.has(user));
                for (number, population) in arrivals.take_while(|(number, _)| *number < 300) {
                    owners[number as usize] += 1;
                    prop_assert_eq!(population, deal.part_of(number));
                    let is_its = |user: &u32| deal.part_of((*user).into()) == population;
                    prop_assert!(users_here.iter().any(is_its));
                }
            }
            prop_assert!(owners.iter().all(|n| *n == 1), "{owners:?}");
        }
    }
}
