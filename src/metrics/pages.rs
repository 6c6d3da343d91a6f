//! Counters of values by bucket, in pages that are made as they are touched.
//!
//! The buckets are those of `hdrhistogram` for values from 1 to
//! [`LATENCY_MAX_NS`] with three significant digits: 2,048 of width 1, then
//! 1,024 for each doubling. All of them would take 264 KiB, though the values of
//! one operation lie in a few of them.

/// The longest latency told apart, in nanoseconds: one hour. Longer ones count
/// as this long, and are counted apart by [`super::Histogram::n_saturated`].
pub(super) const LATENCY_MAX_NS: u64 = 3_600_000_000_000;

/// Buckets of one doubling, as a power of two.
const HALF_BITS: u32 = 10;
/// Values below this have a bucket each.
const EXACT_MAX: u64 = (2 << HALF_BITS) - 1;
/// From the doubling that holds [`LATENCY_MAX_NS`] down.
pub(super) const N_BUCKETS: usize =
    (64 - LATENCY_MAX_NS.leading_zeros() as usize - HALF_BITS as usize + 1) << HALF_BITS;
/// Counters of one page: 256 bytes, since outliers touch a page each.
const PAGE: usize = 64;
const N_PAGES: usize = N_BUCKETS / PAGE;

/// The bucket of a value. Those beyond all buckets share that of the longest
/// latency told apart.
pub(super) fn bucket_of(value: u64) -> usize {
    let doubling = 63 - HALF_BITS - (value | EXACT_MAX).leading_zeros();
    let bucket = ((u64::from(doubling) << HALF_BITS) + (value >> doubling)) as usize;
    if bucket < N_BUCKETS {
        bucket
    } else {
        bucket_of(LATENCY_MAX_NS)
    }
}

/// The least value of a bucket.
pub(super) fn value_of(bucket: usize) -> u64 {
    let doubling = (bucket >> HALF_BITS).saturating_sub(1);
    let within = bucket - (doubling << HALF_BITS);
    (within as u64) << doubling
}

/// How often each bucket was met.
#[derive(Debug, Clone)]
pub(super) struct Pages {
    /// By page of the buckets: its place in `counters` and one more; 0 where
    /// nothing was counted.
    places: [u16; N_PAGES],
    /// In the order in which they were touched.
    counters: Vec<[u32; PAGE]>,
    /// What 32 bits do not hold, by bucket: one entry for each time that its
    /// counter was full, which takes 2^32 values.
    carries: Vec<u16>,
}

impl Pages {
    /// No page yet.
    pub(super) fn new() -> Self {
        Self {
            places: [0; N_PAGES],
            counters: Vec::new(),
            carries: Vec::new(),
        }
    }

    /// Counts a value.
    #[inline]
    pub(super) fn add(&mut self, value: u64) {
        let bucket = bucket_of(value);
        let counter = &mut self.page(bucket / PAGE)[bucket % PAGE];
        *counter = counter.wrapping_add(1);
        if *counter == 0 {
            self.carry(bucket);
        }
    }

    /// Counts as many values of a bucket at once.
    pub(super) fn add_n(&mut self, bucket: usize, count: u64) {
        let counter = &mut self.page(bucket / PAGE)[bucket % PAGE];
        let (sum, has_wrapped) = counter.overflowing_add(count as u32);
        *counter = sum;
        for _ in 0..(count >> 32) + u64::from(has_wrapped) {
            self.carry(bucket);
        }
    }

    /// Counts all that another has counted.
    pub(super) fn merge(&mut self, other: &Self) {
        for (number, theirs) in other.pages() {
            let mut is_full = 0_u64;
            let ours = self.page(number);
            for (at, (ours, theirs)) in ours.iter_mut().zip(theirs).enumerate() {
                let (sum, has_wrapped) = ours.overflowing_add(*theirs);
                *ours = sum;
                is_full |= u64::from(has_wrapped) << at;
            }
            while is_full != 0 {
                self.carry(number * PAGE + is_full.trailing_zeros() as usize);
                is_full &= is_full - 1;
            }
        }
        self.carries.extend_from_slice(&other.carries);
    }

    /// Sets all counters to zero. Pages that were not touched since this was
    /// last done are given back.
    pub(super) fn clear(&mut self) {
        self.carries = Vec::new();
        let mut n_used = 0;
        for place in &mut self.places {
            let is_used = *place > 0
                && self.counters[usize::from(*place) - 1]
                    .iter()
                    .any(|count| *count > 0);
            n_used += u16::from(is_used);
            *place = if is_used { n_used } else { 0 };
        }
        let n_used = usize::from(n_used);
        self.counters.truncate(n_used);
        self.counters.fill([0; PAGE]);
        self.counters.shrink_to(n_used + room(n_used));
    }

    /// Each bucket that was met, ascending, and how often.
    pub(super) fn counted(&self) -> impl Iterator<Item = (usize, u64)> + '_ {
        self.pages().flat_map(move |(number, counters)| {
            counters.iter().enumerate().filter_map(move |(at, count)| {
                let bucket = number * PAGE + at;
                let n_carries = match self.carries.is_empty() {
                    true => 0,
                    false => self.n_carries(bucket),
                };
                let count = u64::from(*count) + (n_carries << 32);
                (count > 0).then_some((bucket, count))
            })
        })
    }

    /// Those that there are, with their numbers, ascending.
    fn pages(&self) -> impl Iterator<Item = (usize, &[u32; PAGE])> {
        let places = self.places.iter().enumerate();
        places.filter_map(|(number, place)| {
            let at = usize::from(*place).checked_sub(1)?;
            Some((number, &self.counters[at]))
        })
    }

    #[inline]
    fn page(&mut self, number: usize) -> &mut [u32; PAGE] {
        if self.places[number] == 0 {
            self.make(number);
        }
        &mut self.counters[usize::from(self.places[number]) - 1]
    }

    #[cold]
    fn make(&mut self, number: usize) {
        if self.counters.len() == self.counters.capacity() {
            self.counters.reserve_exact(room(self.counters.len()));
        }
        self.counters.push([0; PAGE]);
        self.places[number] = self.counters.len() as u16;
    }

    #[cold]
    fn carry(&mut self, bucket: usize) {
        self.carries.push(bucket as u16);
    }

    fn n_carries(&self, bucket: usize) -> u64 {
        let is_its = |carry: &&u16| usize::from(**carry) == bucket;
        self.carries.iter().filter(is_its).count() as u64
    }
}

/// Pages to have in advance: a quarter, so that little is unused.
fn room(n_pages: usize) -> usize {
    n_pages / 4 + 4
}

#[cfg(test)]
impl Pages {
    /// How many there are.
    pub(super) fn n_pages(&self) -> usize {
        self.counters.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_s_least_value_falls_into_it() {
        for bucket in 0..N_BUCKETS {
            assert_eq!(bucket_of(value_of(bucket)), bucket);
        }
        assert_eq!(bucket_of(u64::MAX), bucket_of(LATENCY_MAX_NS));
    }

    #[test]
    fn what_32_bits_do_not_hold_is_counted() {
        let mut pages = Pages::new();
        pages.add(7);
        pages.add(5_000_000);
        for _ in 0..40 {
            pages.merge(&pages.clone());
        }
        pages.add(7);
        let counts: Vec<u64> = pages.counted().map(|(_, count)| count).collect();
        assert_eq!(counts, [(1 << 40) + 1, 1 << 40]);
        pages.clear();
        assert_eq!(pages.counted().count(), 0);
    }

    #[test]
    fn adding_carries_too() {
        let mut pages = Pages::new();
        pages.add(7);
        for _ in 0..31 {
            pages.merge(&pages.clone());
        }
        let half = pages.clone();
        pages.merge(&half);
        assert_eq!(pages.counted().collect::<Vec<_>>(), [(7, 1 << 32)]);
        let mut one_less = half.clone();
        one_less.page(0)[7] -= 1;
        one_less.merge(&half);
        assert_eq!(one_less.counted().next(), Some((7, (1 << 32) - 1)));
        one_less.add(7);
        assert_eq!(one_less.counted().next(), Some((7, 1 << 32)));
    }

    #[test]
    fn clearing_gives_pages_back_that_were_not_touched() {
        let mut pages = Pages::new();
        (0..30).for_each(|power| pages.add(1 << power));
        let n_pages = pages.n_pages();
        assert!(n_pages > 15, "{n_pages}");
        pages.clear();
        assert_eq!(pages.n_pages(), n_pages);
        pages.add(1 << 20);
        pages.clear();
        assert_eq!(pages.n_pages(), 1);
        assert!(pages.counters.capacity() <= 1 + room(1));
        pages.add(1 << 20);
        assert_eq!(
            pages.counted().collect::<Vec<_>>(),
            [(bucket_of(1 << 20), 1)]
        );
    }
}
