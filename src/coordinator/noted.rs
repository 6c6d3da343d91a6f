//! An observer in front of another, so that what the user was told is in the outcome too.

use std::time::Duration;

use crate::outcome::{Observer, Progress, RunStart, SecondRows};

/// Keeps the notices that pass through.
pub(super) struct Noted<'a> {
    observer: &'a mut dyn Observer,
    pub(super) notices: Vec<String>,
}

impl<'a> Noted<'a> {
    /// Begins with those of a plan.
    pub(super) fn new(observer: &'a mut dyn Observer, notices: &[String]) -> Self {
        let mut noted = Self {
            observer,
            notices: Vec::new(),
        };
        for notice in notices {
            noted.notice(notice);
        }
        noted
    }
}

impl Observer for Noted<'_> {
    fn notice(&mut self, text: &str) {
        self.notices.push(text.to_string());
        self.observer.notice(text);
    }

    fn preparing(&mut self, doing: Option<(Duration, &str)>) {
        self.observer.preparing(doing);
    }

    fn asking(&mut self, elapsed: Duration, url: &str, timeout: Duration) {
        self.observer.asking(elapsed, url, timeout);
    }

    fn started(&mut self, start: &RunStart) {
        self.observer.started(start);
    }

    fn progress(&mut self, progress: &Progress<'_>) {
        self.observer.progress(progress);
    }

    fn wants_seconds(&self) -> bool {
        self.observer.wants_seconds()
    }

    fn second(&mut self, second: &SecondRows<'_>) {
        self.observer.second(second);
    }

    fn ended(&mut self) {
        self.observer.ended();
    }
}
