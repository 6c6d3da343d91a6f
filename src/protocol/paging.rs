//! Guards a paging loop against servers that never end it.
//!
//! A bogus cursor gets the first page again from real servers, perhaps in
//! another order: a page whose every entry was seen before ends the loop, as
//! does a cursor that was. How many pages there may be is the reader's affair.
//! It does not know what is listed.

use std::collections::HashSet;

use super::lists::{Listable, Page};

/// What to do after a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NextPage {
    /// Ask for the page at this cursor.
    Cursor(String),
    /// That was the last page.
    Done,
    /// The page held nothing new: forget it and stop.
    Repeated,
    /// Keep the page, and stop: its cursor was given before.
    CursorAgain,
}

/// What was seen of one list so far.
#[derive(Debug, Clone, Default)]
pub struct PageGuard {
    cursors: HashSet<String>,
    entries: HashSet<String>,
}

impl PageGuard {
    /// A guard that has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Says what to do after `page`.
    pub fn after<T: Listable>(&mut self, page: &Page<T>) -> NextPage {
        let mut n_new = 0;
        for item in &page.items {
            n_new += usize::from(self.entries.insert(item.key().to_string()));
        }
        if n_new == 0 && !page.items.is_empty() {
            return NextPage::Repeated;
        }
        let Some(cursor) = &page.next_cursor else {
            return NextPage::Done;
        };
        if self.cursors.insert(cursor.clone()) {
            NextPage::Cursor(cursor.clone())
        } else {
            NextPage::CursorAgain
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::lists::{ResourceDescription, read_page};
    use super::*;

    fn run(guard: &mut PageGuard, uris: &[&str], cursor: Option<&str>) -> NextPage {
        let resources: Vec<_> = uris.iter().map(|uri| json!({"uri": uri})).collect();
        let result = json!({"resources": resources, "nextCursor": cursor}).to_string();
        guard.after(&read_page::<ResourceDescription>(&result, 10).expect("a page"))
    }

    #[test]
    fn pages_follow_to_the_end() {
        let mut guard = PageGuard::new();
        assert_eq!(
            run(&mut guard, &["a"], Some("1")),
            NextPage::Cursor("1".to_string())
        );
        assert_eq!(
            run(&mut guard, &[], Some("2")),
            NextPage::Cursor("2".to_string())
        );
        assert_eq!(run(&mut guard, &["b"], None), NextPage::Done);
    }

    fn next(cursor: &str) -> NextPage {
        NextPage::Cursor(cursor.to_string())
    }

    #[test]
    fn loops_are_cut() {
        let mut guard = PageGuard::new();
        run(&mut guard, &["a"], Some("1"));
        assert_eq!(run(&mut guard, &["b", "c"], Some("2")), next("2"));
        // In another order, with another cursor, and a part of it.
        assert_eq!(run(&mut guard, &["c", "b"], Some("3")), NextPage::Repeated);
        assert_eq!(run(&mut guard, &["a"], Some("4")), NextPage::Repeated);

        // An entry that moved to this page while we were reading is no loop.
        let mut guard = PageGuard::new();
        run(&mut guard, &["a"], Some("1"));
        assert_eq!(run(&mut guard, &["a", "b"], Some("2")), next("2"));

        let mut guard = PageGuard::new();
        run(&mut guard, &["a"], Some("1"));
        assert_eq!(run(&mut guard, &["b"], Some("1")), NextPage::CursorAgain);
    }
}
