//! The demo server as most tests want it, and runs that call its tool `echo`.

use std::time::Duration;

use pmcp_loadtest::demo::{DemoLatency, DemoOptions, DemoServer};

use crate::load_run::load_run;
use crate::program::Finished;
use crate::share;

pub(crate) const MS: Duration = Duration::from_millis(1);

/// What calls `echo`.
pub(crate) const ECHO: [&str; 4] = ["--tool", "echo", "--args", r#"{"text":"hi"}"#];

/// The demo server with these options.
pub(crate) fn demo(options: DemoOptions) -> DemoServer {
    DemoServer::start(options).expect("a demo server")
}

/// The demo server that answers at once.
pub(crate) fn quick_demo() -> DemoServer {
    demo(DemoOptions {
        latency: DemoLatency::None,
        ..DemoOptions::default()
    })
}

/// The demo server with a constant latency for any number of calls at once.
pub(crate) fn demo_with_latency(latency: Duration) -> DemoServer {
    demo(DemoOptions {
        latency: DemoLatency::Fixed(latency),
        ..DemoOptions::default()
    })
}

/// The demo server that serves no more than this, such as `4/fixed:20ms`.
pub(crate) fn demo_with_capacity(capacity: &str) -> DemoServer {
    demo(DemoOptions {
        capacity: Some(capacity.parse().expect("a capacity")),
        ..DemoOptions::default()
    })
}

/// Calls `echo` with these further arguments, and its times may be judged. The run must be
/// made.
pub(crate) fn time_echo(url: &str, arguments: &[&str]) -> Finished {
    share::beside(7);
    run_echo(url, arguments)
}

/// Calls `echo` with these further arguments. The run must be made.
pub(crate) fn run_echo(url: &str, arguments: &[&str]) -> Finished {
    load_run(url, &[&ECHO, arguments].concat())
        .run()
        .expect_made()
}
