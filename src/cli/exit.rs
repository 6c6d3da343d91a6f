//! Exit codes: a documented list.

use crate::error::{ErrorKind, UserError};
use crate::outcome::{Ended, FindEnded};
use crate::validity::Grade;

/// All is well.
pub const PASSED: u8 = 0;
/// The command could not be carried out: no server, no session, no file.
pub const COULD_NOT_RUN: u8 = 1;
/// The command line or the config is at fault.
pub const USAGE: u8 = 2;
/// A threshold or a validation failed.
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
        ErrorKind::Interrupted => INTERRUPTED,
    }
}

/// The code of a run that took place. A result that is not valid fails it where
/// the user is strict (`--strict`).
pub fn of_run(ended: Ended, grade: Grade, is_strict: bool) -> u8 {
    match ended {
        Ended::Duration | Ended::Iterations | Ended::Broke
            if is_strict && grade == Grade::Invalid =>
        {
            NOT_VALID
        }
        Ended::Duration | Ended::Iterations | Ended::Broke => PASSED,
        Ended::Interrupted => INTERRUPTED,
        Ended::NoSession => COULD_NOT_RUN,
    }
}

/// The code of a search that took place. An answer that is not valid is none
/// where the user is strict; one that the generator put an end to never is.
pub fn of_find(ended: FindEnded, grade: Grade, is_strict: bool) -> u8 {
    match ended {
        FindEnded::Found | FindEnded::ReachedTo if is_strict && grade == Grade::Invalid => {
            NOT_VALID
        }
        FindEnded::Found | FindEnded::ReachedTo => PASSED,
        FindEnded::Refused(_) => COULD_NOT_RUN,
        // Nothing was verified.
        FindEnded::NothingSustained | FindEnded::Deadline => FAILED,
        FindEnded::GeneratorLimited => NOT_VALID,
        FindEnded::Interrupted => INTERRUPTED,
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
    fn errors_and_ends_have_their_codes() {
        assert_eq!(of_error(&UserError::usage("x")), 2);
        assert_eq!(of_error(&UserError::could_not_run("x")), 1);
        assert_eq!(of_error(&UserError::new(ErrorKind::Interrupted, "x")), 130);
        for grade in [Grade::Valid, Grade::Suspect, Grade::Invalid] {
            for is_strict in [false, true] {
                let is_failed = is_strict && grade == Grade::Invalid;
                let code = if is_failed { 4 } else { 0 };
                for ended in [Ended::Duration, Ended::Iterations, Ended::Broke] {
                    assert_eq!(of_run(ended, grade, is_strict), code, "{grade:?}");
                }
                assert_eq!(of_run(Ended::Interrupted, grade, is_strict), 130);
                assert_eq!(of_run(Ended::NoSession, grade, is_strict), 1);
            }
        }
        assert_eq!(of_find(FindEnded::Found, Grade::Suspect, true), 0);
        assert_eq!(of_find(FindEnded::ReachedTo, Grade::Suspect, true), 0);
        assert_eq!(
            of_find(FindEnded::Refused(FindWhy::Errors), Grade::Suspect, true),
            1
        );
        assert_eq!(
            of_find(FindEnded::NothingSustained, Grade::Suspect, true),
            3
        );
        assert_eq!(of_find(FindEnded::Deadline, Grade::Suspect, true), 3);
        assert_eq!(
            of_find(FindEnded::GeneratorLimited, Grade::Suspect, true),
            4
        );
        assert_eq!(of_find(FindEnded::Interrupted, Grade::Suspect, true), 130);
        assert_eq!(of_find(FindEnded::Found, Grade::Invalid, true), 4);
        assert_eq!(of_find(FindEnded::ReachedTo, Grade::Invalid, true), 4);
        assert_eq!(of_find(FindEnded::Found, Grade::Invalid, false), 0);
        assert_eq!(of_find(FindEnded::Deadline, Grade::Invalid, true), 3);
    }
}
