//! `demo`: serves the embedded server until a signal.

use std::time::Duration;

use super::args::Demo;
use super::common::no_stdout;
use super::exit;
use super::signals::Listener;
use crate::coordinator::{Interrupts, raise_file_limit};
use crate::error::UserError;
use crate::files::reason;
use crate::servers::demo::{Capacity, DemoOptions, DemoServer};
use crate::terminal::{Canvas, Line, Role, Terminal};
use crate::units::{part_of, plural};

/// Connections that the server makes room for, if the system allows it.
const CONNECTIONS: u64 = 20_000;

pub(super) fn demo(args: Demo, terminal: &Terminal) -> Result<u8, UserError> {
    let defaults = DemoOptions::default();
    let port = args.port.unwrap_or(0);
    if args.one_at_a_time && args.capacity.is_some() {
        let fault = "`--one-at-a-time` is a capacity of its own: `--capacity` does not go with it";
        return Err(UserError::usage(fault).hint("give one of the two"));
    }
    if args.stream_asks && args.stream_every.is_none() {
        let fault = "`--stream-asks` asks on GET streams, and none is offered";
        return Err(UserError::usage(fault).hint("offer one with `--stream-every 1s`"));
    }
    let latency = args.latency.unwrap_or(defaults.latency);
    let one_at_a_time = args.one_at_a_time.then_some(Capacity {
        slots: 1,
        service: latency,
        queue: None,
    });
    let options = DemoOptions {
        port,
        seed: args.seed.unwrap_or(defaults.seed),
        latency,
        faults: args.faults.unwrap_or(defaults.faults),
        capacity: args.capacity.or(one_at_a_time),
        answers: args.answers.unwrap_or(defaults.answers),
        eras: args.eras.unwrap_or(defaults.eras),
        stateless_legacy: args.stateless,
        session_ttl: args.session_ttl,
        hold_streams: args.hold_streams,
        backends: args.backends.unwrap_or(defaults.backends),
        stream_every: args.stream_every,
        stream_asks: args.stream_asks,
        off_schema_share: args.off_schema.unwrap_or(defaults.off_schema_share),
        mix_share: args.mix.unwrap_or(defaults.mix_share),
        ..defaults
    };
    // A lower limit is the user's, and shows when it is reached.
    raise_file_limit(CONNECTIONS);
    let server = DemoServer::start(options).map_err(|error| {
        UserError::could_not_run(format!("cannot listen on port {port}: {}", reason(&error)))
            .hint("leave `--port` out to take a free one")
    })?;
    let (interrupter, interrupts) = Interrupts::new();
    let listener = Listener::at_once(interrupter, Canvas::default());
    let line = Line::of(Role::Plain, "serving ").add(Role::Accent, server.url());
    terminal.print(&[line]).map_err(|error| no_stdout(&error))?;
    interrupts.wait(Duration::MAX);
    drop(listener);
    let stats = server.stop();
    let streams = match stats.streams_opened {
        0 => String::new(),
        n => format!(
            ", {} on {}",
            plural(stats.notices_sent, "notification", "notifications"),
            plural(n, "stream", "streams")
        ),
    };
    let mut line = format!(
        "served {} in {}{streams}",
        plural(stats.finished, "call", "calls"),
        plural(stats.sessions_opened, "session", "sessions")
    );
    if args.stream_asks {
        line += &format!(
            ", {} on them answered",
            part_of(
                stats.stream_answered,
                stats.stream_asked,
                "question",
                "questions"
            )
        );
    }
    if args.mix.is_some() {
        line += &format!(", {} of them with what was another client's", stats.mixed);
    }
    // Whoever has closed the pipe is not interested.
    let _ = terminal.print(&[Line::of(Role::Dim, line)]);
    Ok(exit::PASSED)
}
