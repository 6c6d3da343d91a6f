//! Exit codes: a documented list, and which of several is told.

use crate::error::{ErrorKind, UserError};
use crate::outcome::{Ended, FindEnded};
use crate::validity::Grade;

/// All is well.
pub const PASSED: u8 = 0;
/// The command could not be carried out: no server, no session, no file.
pub const COULD_NOT_RUN: u8 = 1;
/// The command line or the config is at fault.
pub const USAGE: u8 = 2;
/// A threshold was not kept, no call succeeded, an answer held what was another user's, or
/// a search has no answer.
pub const FAILED: u8 = 3;
/// The result is not valid: the generator was the limit.
pub const NOT_VALID: u8 = 4;
/// Interrupted by a signal; the report was written all the same.
pub const INTERRUPTED: u8 = 130;

/// The code of an error.
pub fn of_error(error: &UserError) -> u8 {
    match error.kind() {
        ErrorKind::Usage => USAGE,
        ErrorKind::CouldNotRun => COULD_NOT_RUN,
        ErrorKind::NotKept => FAILED,
        ErrorKind::Interrupted => INTERRUPTED,
    }
}

/// What a command came to, where more than one thing is to be told: 130 over 1
/// over 4 over 3 over 0. A fault of the command line (2) ends a command before
/// anything else can come of it.
pub fn strongest(codes: impl IntoIterator<Item = u8>) -> u8 {
    let rank = |code: &u8| match *code {
        PASSED => 0,
        FAILED => 1,
        NOT_VALID => 2,
        COULD_NOT_RUN => 3,
        USAGE => 4,
        _ => 5,
    };
    codes.into_iter().max_by_key(rank).unwrap_or(PASSED)
}

/// The code of a run that took place. A result that is not valid fails it where
/// the user is strict (`--strict`).
pub fn of_run(ended: Ended, is_interrupted: bool, grade: Grade, is_strict: bool) -> u8 {
    let of_end = match ended {
        Ended::Duration | Ended::Iterations | Ended::Data | Ended::Broke | Ended::Threshold => {
            PASSED
        }
        Ended::Interrupted => INTERRUPTED,
        Ended::NoSession | Ended::Denied => COULD_NOT_RUN,
    };
    strongest([
        of_end,
        interrupted(is_interrupted),
        strict(grade, is_strict),
    ])
}

/// The code of a search that took place. Where the user is strict, an answer that is
/// not valid fails; an answer that the generator limited always does.
pub fn of_find(ended: FindEnded, is_interrupted: bool, grade: Grade, is_strict: bool) -> u8 {
    let of_end = match ended {
        FindEnded::Found | FindEnded::ReachedTo => PASSED,
        // No level keeps the limits, or none is known to.
        FindEnded::Refused(_) | FindEnded::NothingSustained | FindEnded::Deadline => FAILED,
        FindEnded::GeneratorLimited => NOT_VALID,
        FindEnded::Interrupted => INTERRUPTED,
        FindEnded::NoToken => COULD_NOT_RUN,
    };
    strongest([
        of_end,
        interrupted(is_interrupted),
        strict(grade, is_strict),
    ])
}

fn interrupted(is_interrupted: bool) -> u8 {
    if is_interrupted { INTERRUPTED } else { PASSED }
}

fn strict(grade: Grade, is_strict: bool) -> u8 {
    if is_strict && grade == Grade::Invalid {
        NOT_VALID
    } else {
        PASSED
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::FindWhy;

    #[test]
    fn the_list_is_as_documented() {
        let codes = [PASSED, COULD_NOT_RUN, USAGE, FAILED, NOT_VALID, INTERRUPTED];
        assert_eq!(codes, [0, 1, 2, 3, 4, 130]);
    }

    #[test]
    fn errors_have_their_codes() {
        assert_eq!(of_error(&UserError::usage("x")), 2);
        assert_eq!(of_error(&UserError::could_not_run("x")), 1);
        assert_eq!(of_error(&UserError::new(ErrorKind::NotKept, "x")), 3);
        assert_eq!(of_error(&UserError::new(ErrorKind::Interrupted, "x")), 130);
    }

    #[test]
    fn the_stronger_code_wins() {
        assert_eq!(strongest([]), 0);
        let order = [0, 3, 4, 1, 130];
        for (at, stronger) in order.iter().enumerate() {
            for weaker in &order[..=at] {
                assert_eq!(strongest([*stronger, *weaker]), *stronger);
                assert_eq!(strongest([*weaker, *stronger]), *stronger);
            }
        }
    }

    /// By the end of the run: the code of a valid one, a strict and invalid one,
    /// and the same where a signal came after the end.
    #[test]
    fn ends_have_their_codes() {
        use FindEnded as Find;
        let runs = [
            (Ended::Duration, 0, 4),
            (Ended::Iterations, 0, 4),
            (Ended::Broke, 0, 4),
            (Ended::Threshold, 0, 4),
            (Ended::NoSession, 1, 1),
            (Ended::Denied, 1, 1),
            (Ended::Interrupted, 130, 130),
        ];
        for (ended, valid, invalid) in runs {
            for grade in [Grade::Valid, Grade::Suspect, Grade::Invalid] {
                for is_strict in [false, true] {
                    let is_failed = is_strict && grade == Grade::Invalid;
                    let expected = if is_failed { invalid } else { valid };
                    assert_eq!(of_run(ended, false, grade, is_strict), expected);
                    assert_eq!(of_run(ended, true, grade, is_strict), 130);
                }
            }
        }
        let searches = [
            (Find::Found, 0, 4),
            (Find::ReachedTo, 0, 4),
            (Find::Refused(FindWhy::Errors), 3, 4),
            (Find::NothingSustained, 3, 4),
            (Find::Deadline, 3, 4),
            (Find::GeneratorLimited, 4, 4),
            (Find::NoToken, 1, 1),
            (Find::Interrupted, 130, 130),
        ];
        for (ended, valid, invalid) in searches {
            for grade in [Grade::Valid, Grade::Suspect, Grade::Invalid] {
                for is_strict in [false, true] {
                    let is_failed = is_strict && grade == Grade::Invalid;
                    let expected = if is_failed { invalid } else { valid };
                    assert_eq!(of_find(ended, false, grade, is_strict), expected);
                    assert_eq!(of_find(ended, true, grade, is_strict), 130);
                }
            }
        }
    }

    #[test]
    fn a_report_that_cannot_be_written_stands_over_a_verdict_and_under_a_signal() {
        let unwritten = of_error(&UserError::could_not_run("cannot write the report"));
        let of = |ended| of_run(ended, false, Grade::Invalid, true);
        assert_eq!(strongest([of(Ended::Duration), unwritten]), 1);
        assert_eq!(strongest([of(Ended::Interrupted), unwritten]), 130);
        // So does a threshold that was not kept, and under an invalid result.
        let not_kept = of_error(&UserError::new(ErrorKind::NotKept, "p99<1ms"));
        assert_eq!(strongest([of(Ended::Duration), not_kept]), 4);
        assert_eq!(strongest([PASSED, not_kept, unwritten]), 1);
    }
}
