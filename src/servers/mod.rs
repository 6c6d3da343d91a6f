//! The MCP servers that this program brings along: `demo`, to try the load
//! tester on, and `canned`, to measure the load tester against.
//!
//! They read and write MCP by themselves and never import the client's protocol
//! code: a fault there would be mirrored here and stay unseen.

pub mod canned;
pub mod demo;
mod head;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use mio::{Events, Poll, Token};

    use crate::alarm::PollAlarm;
    use crate::clock::SystemClock;

    #[test]
    fn an_alarm_rings_again_and_again_and_never_early() {
        let mut poll = Poll::new().expect("a poll");
        let mut alarm = PollAlarm::new(poll.registry(), Token(7)).expect("a timer");
        let clock = SystemClock::start();
        let left = |at: Duration| at.saturating_sub(clock.now());
        let mut events = Events::with_capacity(4);
        for _ in 0..20 {
            let due = clock.now() + Duration::from_micros(700);
            while clock.now() < due {
                let timeout = alarm.set(Some(due), left).expect("it is set");
                poll.poll(&mut events, timeout).expect("a poll");
                if !events.is_empty() {
                    alarm.went_off();
                }
            }
        }
        assert_eq!(alarm.set(None, left).expect("it is set"), None);
        let past = alarm.set(Some(Duration::ZERO), left);
        assert_eq!(past.expect("it is set"), Some(Duration::ZERO));
    }
}
