//! Which of a load's users, iterations and arrivals are whose: by their number in
//! the whole, modulo the number of parts.
//!
//! A host has a part of the load ([`Segment`]), and each of its workers a part of
//! that ([`Segment::part`]), by the same rule. It knows neither hosts nor workers.

use std::fmt;
use std::str::FromStr;

/// One of several equal parts of a load: the users, iterations and arrivals whose
/// number in the whole, from 0, leaves `index` when it is divided by `count`.
///
/// So none belongs to two parts or to none, growing moves none, and no two parts
/// differ by more than one. What follows from a user's number (its choices, its
/// data, its offset where iterations are paced) does not depend on the division.
///
/// As text `2/4`: numbered from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// Below `count`.
    index: u32,
    /// At least 1.
    count: u32,
}

/// The most parts of a load among hosts: beyond what any test has had.
const PARTS_MAX: u32 = 10_000;

/// The accepted form of a segment.
pub const SEGMENT_FORM: &str = "a part of the load such as `2/4`, from `1/4` to `4/4`";

impl Segment {
    /// All of it.
    pub const WHOLE: Self = Self { index: 0, count: 1 };

    /// Part `index`, from 0, of `count`; `None` where there is no such part.
    pub fn new(index: u32, count: u32) -> Option<Self> {
        (index < count).then_some(Self { index, count })
    }

    /// Whether it is all of the load.
    pub fn is_whole(self) -> bool {
        self.count == 1
    }

    /// Which part it is, from 1.
    pub fn ordinal(self) -> u32 {
        self.index.saturating_add(1)
    }

    /// How many parts there are; at least 1.
    pub fn count(self) -> u32 {
        self.count
    }

    /// Part `index` of `count` of this part.
    pub fn part(self, index: u32, count: u32) -> Self {
        let index = self.index.saturating_add(index.saturating_mul(self.count));
        let count = self.count.saturating_mul(count);
        Self { index, count }
    }

    /// How many of the numbers below `total` are in this part.
    pub fn share(self, total: u64) -> u64 {
        let (index, count) = (u64::from(self.index), u64::from(self.count));
        total / count + u64::from(index < total % count)
    }

    /// The same of users.
    pub fn share_of_users(self, total: u32) -> u32 {
        // A share is at most the whole.
        u32::try_from(self.share(total.into())).unwrap_or(total)
    }

    /// The number in the whole, from 0, of what is number `own` in this part.
    pub fn number(self, own: u32) -> u32 {
        own.saturating_mul(self.count).saturating_add(self.index)
    }

    /// The number in the whole, from 1, of what is number `own`, from 0, in this part.
    pub fn ordinal_of(self, own: u64) -> u64 {
        own.saturating_mul(self.count.into())
            .saturating_add(self.index.into())
            .saturating_add(1)
    }

    /// Whether what has this number in the whole, from 0, is in this part.
    pub fn has(self, number: u32) -> bool {
        number % self.count == self.index
    }

    /// The numbers of this part: the first, and how far each is from the next.
    pub(super) fn numbers(self) -> (u64, u64) {
        (self.index.into(), self.count.into())
    }
}

impl Default for Segment {
    fn default() -> Self {
        Self::WHOLE
    }
}

impl fmt::Display for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.ordinal(), self.count)
    }
}

impl FromStr for Segment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers = text.split_once('/').and_then(|(number, of)| {
            let number: u32 = number.trim().parse().ok()?;
            let of: u32 = of.trim().parse().ok()?;
            Some((number, of))
        });
        if numbers.is_some_and(|(_, of)| of > PARTS_MAX) {
            return Err(format!("`{text}` has more than {PARTS_MAX} parts"));
        }
        numbers
            .and_then(|(number, of)| Self::new(number.checked_sub(1)?, of))
            .ok_or_else(|| format!("`{text}` is not {SEGMENT_FORM}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn parts_are_numbered_from_one() {
        let read = |text: &str| text.parse::<Segment>();
        assert_eq!(read("2/4"), Ok(Segment { index: 1, count: 4 }));
        assert_eq!(read(" 1 / 1 "), Ok(Segment::WHOLE));
        assert_eq!(read("4/4").expect("the last part").to_string(), "4/4");
        for text in [
            "", "2", "0/4", "5/4", "1/0", "-1/4", "a/b", "1/4/2", "1.5/4",
        ] {
            let error = read(text).expect_err(text);
            assert!(error.contains("`2/4`"), "{error}");
        }
        let error = read("1/10001").expect_err("too many");
        assert!(error.contains("10000 parts"), "{error}");
    }

    #[test]
    fn shares_are_even_and_stable() {
        let check = |total, count, expected: &[u32]| {
            let parts = (0..count).map(|at| Segment::WHOLE.part(at, count));
            let shares: Vec<u32> = parts.map(|part| part.share_of_users(total)).collect();
            assert_eq!(shares, expected);
        };
        check(10, 3, &[4, 3, 3]);
        check(2, 3, &[1, 1, 0]);
        check(0, 2, &[0, 0]);
        check(7, 1, &[7]);
        assert_eq!(Segment::new(2, 2), None);
        assert_eq!(Segment::new(0, 0), None);
        let of_two = Segment::new(1, 2).expect("a part");
        assert_eq!((of_two.number(0), of_two.number(3)), (1, 7));
    }

    proptest! {
        /// Everything belongs to exactly one worker of one host, and growing moves
        /// nothing; a part of a part is a part of the whole.
        #[test]
        fn parts_of_parts_partition_the_whole(
            total in 0_u32..3000, n_hosts in 1_u32..12, n_workers in 1_u32..12,
        ) {
            let mut owners = vec![0_u32; total as usize];
            for host in 0..n_hosts {
                let host = Segment::new(host, n_hosts).expect("a part");
                let of_host = host.share_of_users(total);
                let mut of_workers = 0;
                for worker in 0..n_workers {
                    let part = host.part(worker, n_workers);
                    let share = part.share_of_users(total);
                    prop_assert_eq!(
                        share,
                        Segment::WHOLE.part(worker, n_workers).share_of_users(of_host)
                    );
                    prop_assert!(part.share_of_users(total + 1) >= share);
                    of_workers += share;
                    for own in 0..share {
                        owners[part.number(own) as usize] += 1;
                    }
                }
                prop_assert_eq!(of_workers, of_host);
            }
            prop_assert!(owners.iter().all(|n_owners| *n_owners == 1));
        }

        #[test]
        fn a_part_reads_back(count in 1..=PARTS_MAX, at in 0.0..1.0_f64) {
            let index = (f64::from(count) * at) as u32;
            let part = Segment::new(index, count).expect("a part");
            prop_assert_eq!(part.to_string().parse(), Ok(part));
        }
    }
}
