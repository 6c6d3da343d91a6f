//! Figures for other programs while a run goes on (`--out`).
//!
//! ```text
//! coordinator ─ second() ─▶ Feed ─▶ queue (4) ─▶ thread of one sink ─▶ file, collector
//! ```
//!
//! [`Feed`] is an observer before another, of a run or of a search. It hands each second on to a thread of each
//! sink and waits for none of them: where a queue is full, the second is added to the
//! next one, so a slow sink has fewer points, and no count is lost. What a sink did not
//! take is counted, and told in the report and in a notice. After a run the sinks have
//! five seconds together to end.
//!
//! It knows what the coordinator tells ([`SecondRows`](crate::outcome::SecondRows)) and
//! the metrics of [`report::exposition`](crate::report::exposition), and nothing of the
//! engine.

mod feed;
mod ndjson;
mod otlp;
mod point;
mod pump;
mod run;
mod sum;
mod textfile;
mod wish;

pub use feed::{Feed, SinkContext};
pub use pump::OpenSink;
pub use wish::{SinkWish, open_all};
