//! What is kept is what happened, in bounded memory.

use super::*;
use crate::metrics::Outcome;

/// As many calls as there are latencies, and one that failed.
fn calls(latencies: &[u64]) -> RowStats {
    let mut recorder = crate::metrics::Recorder::new(1);
    for ns in latencies {
        recorder.record(0, *ns, Outcome::Ok);
    }
    recorder.record(0, 1, Outcome::Failed(crate::metrics::Failure::Tool, ""));
    recorder.rows.remove(0)
}

/// Latencies of some calls in a second, spread like those of a server.
fn spread(random: &mut fastrand::Rng, n: usize) -> Vec<u64> {
    let value = |random: &mut fastrand::Rng| {
        let bell: f64 = (0..6).map(|_| random.f64()).sum::<f64>() - 3.0;
        (5e6 * (bell * 0.6).exp()) as u64
    };
    (0..n).map(|_| value(random)).collect()
}

/// A second of these rows, and the same as all calls.
fn second(keeper: &mut Keeper, rows: &[&RowStats]) {
    let mut all = RowStats::default();
    for (at, row) in rows.iter().enumerate() {
        keeper.add(u64::from(keeper.first_open), at, row, &row.service_ok);
        all.merge(row);
    }
    let counts = [all.started, all.ok, all.failed, all.cancelled];
    keeper.close(counts, &all.service_ok);
}

/// Calls begun, and the latencies of all intervals.
fn sum_of(row: &RowIntervals) -> (u64, Histogram) {
    let mut latency = Histogram::new();
    for interval in &row.intervals {
        latency.merge(&interval.latency.unpacked());
    }
    (row.intervals.iter().map(|it| it.started).sum(), latency)
}

/// With so little memory that it grows coarser again and again.
#[test]
fn what_is_kept_is_what_happened_however_coarse() {
    for high in [usize::MAX / 4, 60_000, 8_000] {
        let mut keeper = Keeper::new(&[3, 5], &[], None);
        keeper.limits = KeptLimits {
            high,
            max: high + high / 3,
        };
        let mut random = fastrand::Rng::with_seed(7);
        let mut expected = [RowStats::default(), RowStats::default()];
        for _ in 0..200 {
            let rows = [0, 1].map(|_| calls(&spread(&mut random, 20)));
            for (sum, row) in expected.iter_mut().zip(&rows) {
                sum.merge(row);
            }
            second(&mut keeper, &[&rows[0], &rows[1]]);
            assert!(keeper.n_bytes() <= high + 2_000, "{}", keeper.n_bytes());
        }
        let kept = keeper.finish(200, Duration::from_millis(199_500));
        let places: Vec<_> = kept.rows.iter().map(|row| row.row).collect();
        assert_eq!(places, [None, Some(3), Some(5)]);
        assert_eq!(kept.is_coarser, high < 100_000, "{high}");
        let mut all = expected[0].clone();
        all.merge(&expected[1]);
        for (row, expected) in kept.rows.iter().zip([&all, &expected[0], &expected[1]]) {
            let (started, latency) = sum_of(row);
            assert_eq!(started, expected.started);
            assert_eq!(latency.max_ns(), expected.service_ok.max_ns());
            assert!(latency.recorded().eq(expected.service_ok.recorded()));
            let on_grid = |it: &Interval| it.second.is_multiple_of(kept.length_secs);
            assert!(row.intervals.iter().all(on_grid));
        }
        // Whole numbers of one length, and none twice.
        let n = kept.rows[0].intervals.len();
        assert_eq!(n as u32, 200_u32.div_ceil(kept.length_secs));
    }
}

#[test]
fn rows_with_few_of_the_calls_are_not_told() {
    let mut keeper = Keeper::new(&[0, 1], &[], None);
    let (many, few) = (calls(&[1_000; 99]), calls(&[2_000]));
    second(&mut keeper, &[&many, &few]);
    let kept = keeper.finish(1, Duration::from_secs(1));
    let places: Vec<_> = kept.rows.iter().map(|row| row.row).collect();
    assert_eq!(places, [None, Some(0)]);
    assert_eq!((kept.n_given_up, kept.is_coarser), (0, false));
}

/// One iteration of a flow may be a hundred calls: its share is that of the iterations.
#[test]
fn a_flow_is_told_by_its_share_of_the_iterations() {
    let mut keeper = Keeper::new(&[0], &[2, 4], None);
    let (many, iterations, few) = (calls(&[1_000; 999]), calls(&[2_000; 19]), calls(&[]));
    for (at, row) in [&many, &iterations, &few].into_iter().enumerate() {
        keeper.add(0, at, row, &row.service_ok);
    }
    let counts = [many.started, many.ok, many.failed, many.cancelled];
    keeper.close(counts, &many.service_ok);
    let kept = keeper.finish(1, Duration::from_secs(1));
    let places: Vec<_> = kept.rows.iter().map(|row| row.row).collect();
    assert_eq!(places, [None, Some(0), Some(2)]);
    assert_eq!(kept.rows[2].intervals[0].started, 20);
}

/// A hundred rows with few calls, and one with most: they go first, and no second of
/// the others with them.
#[test]
fn where_memory_is_short_rows_with_few_calls_go_first() {
    let rows: Vec<usize> = (0..101).collect();
    let mut keeper = Keeper::new(&rows, &[], None);
    keeper.limits = KeptLimits {
        high: 200_000,
        max: 260_000,
    };
    let (many, few) = (calls(&[1_000_000; 400]), calls(&[2_000_000]));
    let mut all = vec![&few; 101];
    all[7] = &many;
    for _ in 0..300 {
        second(&mut keeper, &all);
        assert!(keeper.n_bytes() <= 260_000);
    }
    let kept = keeper.finish(300, Duration::from_secs(300));
    assert_eq!(kept.length_secs, 1);
    let lengths: Vec<_> = kept.rows.iter().map(|row| row.intervals.len()).collect();
    assert_eq!(lengths, [300, 300]);
    assert_eq!(kept.rows[1].row, Some(7));
    assert_eq!(kept.n_given_up, 0);
}

/// Rows that were given up and made many calls afterwards are counted.
#[test]
fn a_row_that_was_given_up_too_early_is_said() {
    let mut keeper = Keeper::new(&[0, 1], &[], None);
    keeper.limits = KeptLimits {
        high: 1_000,
        max: 100_000,
    };
    let (many, few) = (calls(&[1_000_000; 400]), calls(&[2_000_000]));
    (0..20).for_each(|_| second(&mut keeper, &[&many, &few]));
    (0..20).for_each(|_| second(&mut keeper, &[&few, &many]));
    let kept = keeper.finish(40, Duration::from_secs(40));
    assert_eq!((kept.rows.len(), kept.n_given_up), (2, 1));
}

#[test]
fn the_only_row_is_all_calls() {
    let mut keeper = Keeper::new(&[4], &[], None);
    second(&mut keeper, &[&calls(&[1_000, 2_000])]);
    let kept = keeper.finish(1, Duration::from_millis(300));
    assert_eq!(kept.rows[0].intervals, kept.rows[1].intervals);
    assert_eq!((kept.rows[0].row, kept.rows[1].row), (None, Some(4)));
    assert_eq!(kept.rows[1].intervals[0].ok, 2);
}

/// Those that began after the load had ended are part of its last second.
#[test]
fn late_seconds_are_part_of_the_last() {
    let mut keeper = Keeper::new(&[0, 1], &[], None);
    let (one, other) = (calls(&[1_000]), calls(&[2_000]));
    (0..3).for_each(|_| second(&mut keeper, &[&one, &other]));
    // Nobody closes this one.
    keeper.add(3, 0, &one, &one.service_ok);
    let kept = keeper.finish(2, Duration::from_secs(2));
    let oks = |row: &RowIntervals| row.intervals.iter().map(|it| it.ok).collect::<Vec<_>>();
    assert_eq!(oks(&kept.rows[0]), [2, 4]);
    assert_eq!(oks(&kept.rows[1]), [1, 3]);
    assert_eq!(oks(&kept.rows[2]), [1, 2]);
}

#[test]
fn intervals_are_longer_beyond_an_hour() {
    let hour = Duration::from_secs(3_600);
    assert_eq!(Keeper::new(&[0], &[], Some(hour)).length_secs, 1);
    assert_eq!(
        Keeper::new(&[0], &[], Some(hour + Duration::from_secs(1))).length_secs,
        5
    );
    let mut keeper = Keeper::new(&[0], &[], None);
    let row = calls(&[1_000]);
    (0..3_599).for_each(|_| second(&mut keeper, &[&row]));
    assert_eq!(keeper.kept[0].intervals.len(), 3_599);
    (0..3).for_each(|_| second(&mut keeper, &[&row]));
    let kept = keeper.finish(3_602, Duration::from_secs(3_602));
    assert_eq!((kept.length_secs, kept.is_coarser), (5, false));
    assert_eq!(kept.rows[0].intervals.len(), 721);
}

/// Memory of an hour with 20 rows, of a hundred calls a second each: as it is counted,
/// with room in lists and what allocations take beside. A tenth of all but in `.ci/run`.
#[test]
fn an_hour_of_twenty_rows_stays_within_the_bound() {
    let rows: Vec<usize> = (0..20).collect();
    let n_seconds = crate::seeds::n_seeds(360, 3_600);
    let part = 3_600 / n_seconds as usize;
    let duration = Duration::from_secs(n_seconds);
    let mut keeper = Keeper::new(&rows, &[], Some(duration));
    keeper.limits.high /= part;
    keeper.limits.max /= part;
    let mut random = fastrand::Rng::with_seed(7);
    let seconds: Vec<RowStats> = (0..23).map(|_| calls(&spread(&mut random, 100))).collect();
    let mut most = 0;
    for at in 0..n_seconds as usize {
        let of_rows: Vec<&RowStats> = (0..20).map(|row| &seconds[(at + row) % 23]).collect();
        second(&mut keeper, &of_rows);
        most = most.max(keeper.n_bytes());
    }
    assert!(most <= BYTES_MAX / part, "{most}");
    let kept = keeper.finish(n_seconds as usize, duration);
    assert_eq!(kept.rows.len(), 21);
    let n_ok: u64 = kept.rows[0].intervals.iter().map(|it| it.ok).sum();
    assert_eq!(n_ok, 2_000 * n_seconds);
}

/// A population is all its rows, those that make few calls and are not told of too; one of a
/// single row is kept once.
#[test]
fn populations_are_the_sum_of_their_rows() {
    for high in [usize::MAX / 4, 20_000] {
        let mut keeper = Keeper::new(&[3, 5, 6], &[8], None);
        keeper.keep_populations(&[vec![3, 6, 8], vec![5]]);
        keeper.limits = KeptLimits {
            high,
            max: high + high / 3,
        };
        let mut random = fastrand::Rng::with_seed(7);
        let mut expected = [RowStats::default(), RowStats::default()];
        let flow = RowStats::default();
        for _ in 0..100 {
            let [often, other, seldom] = [30, 20, 0].map(|n| calls(&spread(&mut random, n)));
            expected[0].merge(&often);
            expected[0].merge(&seldom);
            expected[1].merge(&other);
            second(&mut keeper, &[&often, &other, &seldom, &flow]);
            assert!(keeper.n_bytes() <= high + 3_000, "{}", keeper.n_bytes());
        }
        assert_eq!(keeper.kept.len(), 1 + 4 + 1);
        let kept = keeper.finish(100, Duration::from_secs(100));
        assert_eq!(kept.rows.len(), 3, "the row with few calls is not told of");
        for (intervals, expected) in kept.populations.into_iter().zip(&expected) {
            let (started, latency) = sum_of(&RowIntervals {
                row: None,
                intervals,
            });
            assert_eq!(started, expected.started);
            let found = [0.5, 0.99].map(|q| latency.quantile_ns(q));
            assert_eq!(
                found,
                [0.5, 0.99].map(|q| expected.service_ok.quantile_ns(q))
            );
        }
    }
}

#[test]
fn dropped_arrivals_are_of_their_population_and_second() {
    let mut keeper = Keeper::new(&[0, 1, 2], &[], None);
    keeper.keep_populations(&[vec![0, 1], vec![2]]);
    let row = calls(&[1_000]);
    keeper.add_dropped(0, 0, 3);
    keeper.add_dropped(0, 1, 5);
    second(&mut keeper, &[&row, &row, &row]);
    // Of a silence of the server nothing else is known.
    keeper.add_dropped(1, 1, 2);
    keeper.close([0; 4], &Histogram::new());
    second(&mut keeper, &[&row, &row, &row]);
    let kept = keeper.finish(3, Duration::from_secs(3));
    let dropped = |all: &[Interval]| {
        all.iter()
            .map(|it| (it.second, it.dropped))
            .collect::<Vec<_>>()
    };
    assert_eq!(dropped(&kept.populations[0]), [(0, 3), (2, 0)]);
    assert_eq!(dropped(&kept.populations[1]), [(0, 5), (1, 2), (2, 0)]);
    assert_eq!(dropped(&kept.rows[1].intervals), [(0, 0), (2, 0)]);
}

#[test]
fn a_population_of_all_calls_is_kept_as_these() {
    let mut keeper = Keeper::new(&[2], &[], None);
    keeper.keep_populations(&[vec![2]]);
    let row = calls(&[1_000_000; 5]);
    second(&mut keeper, &[&row]);
    let kept = keeper.finish(1, Duration::from_secs(1));
    assert_eq!(kept.populations.len(), 1);
    assert_eq!(kept.populations[0], kept.rows[0].intervals);
}

/// Two populations are compared with each other: what makes 4 % of all calls is 8 % of those
/// of its own population.
#[test]
fn of_two_populations_a_row_is_told_by_its_share_of_its_own() {
    let all: [Vec<usize>; 3] = [vec![0, 1, 4], vec![2, 3, 5], vec![]];
    for (n_populations, told) in [
        (2, vec![None, Some(0), Some(1), Some(2), Some(4), Some(5)]),
        (3, vec![None, Some(0), Some(2), Some(4)]),
    ] {
        let mut keeper = Keeper::new(&[0, 1, 2, 3], &[4, 5], None);
        keeper.keep_populations(&all[..n_populations]);
        let rows = [460, 40, 480, 20, 97, 3].map(|n| calls(&vec![1_000; n - 1]));
        for (at, row) in rows.iter().enumerate() {
            keeper.add(0, at, row, &row.service_ok);
        }
        keeper.close([1_000, 996, 4, 0], &Histogram::new());
        let kept = keeper.finish(1, Duration::from_secs(1));
        let places: Vec<_> = kept.rows.iter().map(|row| row.row).collect();
        assert_eq!(places, told, "{n_populations}");
    }
}

/// A hundredth of the users: where memory is short, its rows stay as well, and the bound
/// holds.
#[test]
fn the_smaller_of_two_populations_keeps_its_rows_where_memory_is_short() {
    let rows: Vec<usize> = (0..62).collect();
    let mut keeper = Keeper::new(&rows, &[], None);
    keeper.keep_populations(&[(0..31).collect(), (31..62).collect()]);
    keeper.limits = KeptLimits {
        high: 200_000,
        max: 260_000,
    };
    let (many, some, few) = (
        calls(&[1_000_000; 4_000]),
        calls(&[2_000_000; 60]),
        calls(&[]),
    );
    let mut all = vec![&few; 62];
    (all[3], all[40]) = (&many, &some);
    for _ in 0..300 {
        second(&mut keeper, &all);
        assert!(keeper.n_bytes() <= 260_000, "{}", keeper.n_bytes());
    }
    let kept = keeper.finish(300, Duration::from_secs(300));
    let places: Vec<_> = kept.rows.iter().map(|row| row.row).collect();
    assert_eq!(places, [None, Some(3), Some(40)]);
    for intervals in &kept.populations {
        let last = intervals.last().expect("it has calls");
        assert!(last.second + kept.length_secs >= 300, "{}", last.second);
    }
}
