//! What the figures must be, from the truth server's own record of each call.
//!
//! Arithmetic only: no sockets, no clock, nothing of the program.

/// A call as the server saw it; nanoseconds on the server's clock.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Call {
    /// The request's last byte reached the kernel.
    pub(crate) received_ns: u64,
    /// The server read it.
    pub(crate) read_ns: u64,
    /// It was to be answered: `read_ns` and its delay.
    pub(crate) due_ns: u64,
    /// Just before the last byte of the answer was handed to the kernel; 0
    /// while it is not answered.
    pub(crate) answered_ns: u64,
    /// Just after.
    pub(crate) handed_ns: u64,
}

impl Call {
    /// From the request's arrival in the kernel to its answer.
    pub(crate) fn service_ns(&self) -> u64 {
        self.answered_ns.saturating_sub(self.received_ns)
    }

    /// How late the server was with what it meant to do: its own fault, and
    /// part of the service time.
    pub(crate) fn late_ns(&self) -> u64 {
        self.answered_ns.saturating_sub(self.due_ns)
    }
}

/// Values in ascending order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sorted(Vec<u64>);

impl Sorted {
    /// Sorts them.
    pub(crate) fn new(mut values: Vec<u64>) -> Self {
        values.sort_unstable();
        Self(values)
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// By nearest rank: the least value that at least `⌈q·n⌉` do not exceed.
    /// `None` of nothing.
    pub(crate) fn quantile(&self, q: f64) -> Option<u64> {
        let rank = (q * self.0.len() as f64).ceil() as usize;
        let index = rank.clamp(1, self.0.len().max(1)) - 1;
        self.0.get(index).copied()
    }

    /// The greatest; `None` of nothing.
    pub(crate) fn max(&self) -> Option<u64> {
        self.0.last().copied()
    }

    /// The arithmetic mean; `None` of nothing.
    pub(crate) fn mean(&self) -> Option<f64> {
        let sum: u128 = self.0.iter().copied().map(u128::from).sum();
        (!self.0.is_empty()).then(|| sum as f64 / self.0.len() as f64)
    }

    /// The share above a limit, 0 to 1; 0 of nothing.
    pub(crate) fn share_over(&self, limit: u64) -> f64 {
        let n_within = self.0.partition_point(|value| *value <= limit);
        (self.0.len() - n_within) as f64 / self.0.len().max(1) as f64
    }
}

/// The response times of an open model whose arrivals are evenly spaced: from
/// each arrival's intended start to its answer. The k-th request to reach the
/// server is the k-th arrival, since arrivals are served in their order.
///
/// When the schedule began is not known to the server, but no request comes
/// before its arrival is due: the latest beginning that all of them admit is
/// taken. So what is found is too short by as much as the promptest of all
/// requests was late, some microseconds.
pub(crate) fn response_ns(calls: &[Call], rate_per_sec: f64) -> Vec<u64> {
    let mut by_arrival: Vec<&Call> = calls.iter().collect();
    by_arrival.sort_by_key(|call| call.received_ns);
    let offset_ns = |k: usize| k as f64 * 1e9 / rate_per_sec;
    let began_ns = by_arrival
        .iter()
        .enumerate()
        .map(|(k, call)| call.received_ns as f64 - offset_ns(k))
        .fold(f64::INFINITY, f64::min);
    by_arrival
        .iter()
        .enumerate()
        .map(|(k, call)| (call.answered_ns as f64 - began_ns - offset_ns(k)).max(0.0) as u64)
        .collect()
}

/// The share of arrivals whose response takes longer than `limit_secs` when a
/// server that is quick otherwise does nothing for `frozen_secs`, and then
/// answers all that waits at once: those that came in the first
/// `frozen_secs − limit_secs`, of all in `length_secs`. The rate cancels out.
pub(crate) fn share_over_when_frozen(frozen_secs: f64, limit_secs: f64, length_secs: f64) -> f64 {
    (frozen_secs - limit_secs).max(0.0) / length_secs
}

/// The median; the mean of the middle two where their number is even. `None`
/// of nothing.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        n_values if n_values % 2 == 1 => Some(values[middle]),
        _ => Some((values[middle - 1] + values[middle]) / 2.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(values: impl IntoIterator<Item = u64>) -> Sorted {
        Sorted::new(values.into_iter().collect())
    }

    #[test]
    fn quantiles_are_by_nearest_rank() {
        let hundred = sorted((1..=100).rev());
        for (q, expected) in [(0.0, 1), (0.5, 50), (0.99, 99), (0.999, 100), (1.0, 100)] {
            assert_eq!(hundred.quantile(q), Some(expected), "{q}");
        }
        assert_eq!(sorted([10, 20]).quantile(0.5), Some(10));
        assert_eq!(sorted([]).quantile(0.5), None);
        assert_eq!((sorted([]).max(), sorted([]).mean()), (None, None));
        assert_eq!(sorted([1, 2]).mean(), Some(1.5));
    }

    #[test]
    fn the_share_over_a_limit_leaves_out_the_limit_itself() {
        let values = sorted([1, 2, 2, 3]);
        assert_eq!(values.share_over(2), 0.25);
        assert_eq!(values.share_over(0), 1.0);
        assert_eq!(values.share_over(3), 0.0);
        assert_eq!(sorted([]).share_over(3), 0.0);
    }

    /// 1000 arrivals a second for 8 s; the server takes 1 ms, and from 3 s on
    /// does nothing for 2 s.
    fn frozen_server(n_connections: usize) -> Vec<Call> {
        const MS: u64 = 1_000_000;
        let mut free_ns: Vec<u64> = vec![0; n_connections];
        (0..8_000_u64)
            .map(|k| {
                let soonest = (0..free_ns.len())
                    .min_by_key(|i| free_ns[*i])
                    .expect("a connection");
                // 5 us late at least, since no client is prompter.
                let received_ns = (k * MS + 5_000 + (k * 7919) % 900).max(free_ns[soonest]);
                let is_frozen = (3_000 * MS..5_000 * MS).contains(&received_ns);
                let read_ns = if is_frozen { 5_000 * MS } else { received_ns };
                let mut answered_ns = read_ns + MS;
                if (3_000 * MS..5_000 * MS).contains(&answered_ns) {
                    answered_ns = 5_000 * MS;
                }
                free_ns[soonest] = answered_ns;
                Call {
                    received_ns,
                    read_ns,
                    due_ns: read_ns + MS,
                    answered_ns,
                    handed_ns: answered_ns,
                }
            })
            .collect()
    }

    #[test]
    fn a_frozen_server_shows_its_whole_share_in_response_times() {
        let calls = frozen_server(2_500);
        let response = Sorted::new(response_ns(&calls, 1000.0));
        let share = response.share_over(1_000_000_000);
        let expected = share_over_when_frozen(2.0, 1.0, 8.0);
        assert_eq!(expected, 0.125);
        assert!((share - expected).abs() < 0.001, "{share}");
        // Every one was on its way: the service times are no less.
        let service = Sorted::new(calls.iter().map(Call::service_ns).collect());
        assert!((service.share_over(1_000_000_000) - expected).abs() < 0.001);
        let max_ns = response.max().expect("calls");
        assert!((2_000_000_000..2_002_000_000).contains(&max_ns), "{max_ns}");
    }

    #[test]
    fn few_connections_hide_it_in_service_times_only() {
        let calls = frozen_server(10);
        let response = Sorted::new(response_ns(&calls, 1000.0));
        // Those that wait are served ten at a time, 1 ms each: the backlog of
        // 2000 is gone after 222 ms more, and half of it took longer than 1 s.
        assert!(response.share_over(1_000_000_000) >= 0.125);
        let service = Sorted::new(calls.iter().map(Call::service_ns).collect());
        assert!(service.share_over(1_000_000_000) * 8_000.0 <= 10.5);
    }

    #[test]
    fn responses_count_from_the_schedule() {
        // Due at 0, 1, 2 ms; the second left 300 us late, the others 4 us.
        let call = |received_ns, answered_ns| Call {
            received_ns,
            answered_ns,
            ..Call::default()
        };
        let calls = [
            call(7_004_000, 7_104_000),
            call(8_300_000, 8_400_000),
            call(9_004_000, 9_104_000),
        ];
        assert_eq!(response_ns(&calls, 1000.0), [100_000, 396_000, 100_000]);
        assert!(response_ns(&[], 1000.0).is_empty());
    }

    #[test]
    fn the_median_of_an_even_number_lies_between() {
        assert_eq!(median([]), None);
        assert_eq!(median([3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median([4.0, 1.0]), Some(2.5));
    }
}
