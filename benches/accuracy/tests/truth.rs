//! The arithmetic of the truth.

use crate::accuracy::truth::*;

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
    let response = Sorted::new(response_ns(&calls, 1000.0, 5_000.0));
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
    let response = Sorted::new(response_ns(&calls, 1000.0, 5_000.0));
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
    assert_eq!(
        response_ns(&calls, 1000.0, 0.0),
        [100_000, 396_000, 100_000]
    );
    // As true as the generator's word that none left earlier than that.
    assert_eq!(
        response_ns(&calls, 1000.0, 4_000.0),
        [104_000, 400_000, 104_000]
    );
    assert!(response_ns(&[], 1000.0, 0.0).is_empty());
}

#[test]
fn the_median_of_an_even_number_lies_between() {
    assert_eq!(median([]), None);
    assert_eq!(median([3.0, 1.0, 2.0]), Some(2.0));
    assert_eq!(median([4.0, 1.0]), Some(2.5));
}
