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
/// before its arrival is due, which bounds the beginning: it was no later than
/// all of them admit. Before that it was by as much as the promptest of all
/// requests was late (`least_late_ns`), some ten microseconds that only the
/// generator knows. It is the one figure of the generator's that enters the
/// truth, the same for all arrivals.
pub(crate) fn response_ns(calls: &[Call], rate_per_sec: f64, least_late_ns: f64) -> Vec<u64> {
    let mut by_arrival: Vec<&Call> = calls.iter().collect();
    by_arrival.sort_by_key(|call| call.received_ns);
    let offset_ns = |k: usize| k as f64 * 1e9 / rate_per_sec;
    let began_ns = by_arrival
        .iter()
        .enumerate()
        .map(|(k, call)| call.received_ns as f64 - offset_ns(k))
        .fold(f64::INFINITY, f64::min)
        - least_late_ns;
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
