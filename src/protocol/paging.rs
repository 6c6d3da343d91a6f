//! Guards a paging loop against servers that never end it.
//!
//! A bogus cursor gets the first page again from real servers: a cursor or a
//! first entry that was seen before ends the loop. It does not know what is
//! listed.

use std::collections::HashSet;

use super::lists::Page;

/// What to do after a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NextPage {
    /// Ask for the page at this cursor.
    Cursor(String),
    /// That was the last page.
    Done,
    /// The page was one that had been seen: forget it and stop.
    Repeated,
    /// Stop here: there were as many pages as the guard allows.
    TooMany,
}

/// What was seen of one list so far.
#[derive(Debug, Clone)]
pub struct PageGuard {
    n_pages: usize,
    pages_max: usize,
    cursors: HashSet<String>,
    first_entries: HashSet<String>,
}

impl PageGuard {
    /// A guard that allows at most `pages_max` pages.
    pub fn new(pages_max: usize) -> Self {
        Self {
            n_pages: 0,
            pages_max,
            cursors: HashSet::new(),
            first_entries: HashSet::new(),
        }
    }

    /// Says what to do after `page`; `key` names an entry.
    pub fn after<T>(&mut self, page: &Page<T>, key: impl Fn(&T) -> &str) -> NextPage {
        self.n_pages += 1;
        if let Some(first) = page.items.first()
            && !self.first_entries.insert(key(first).to_string())
        {
            return NextPage::Repeated;
        }
        let Some(cursor) = &page.next_cursor else {
            return NextPage::Done;
        };
        // The entries of this page are new, but the next page is not.
        if !self.cursors.insert(cursor.clone()) {
            return NextPage::Done;
        }
        if self.n_pages >= self.pages_max {
            return NextPage::TooMany;
        }
        NextPage::Cursor(cursor.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(items: &[&'static str], cursor: Option<&str>) -> Page<&'static str> {
        Page {
            items: items.to_vec(),
            n_unreadable: 0,
            next_cursor: cursor.map(str::to_string),
        }
    }

    fn run(guard: &mut PageGuard, items: &[&'static str], cursor: Option<&str>) -> NextPage {
        guard.after(&page(items, cursor), |item| item)
    }

    #[test]
    fn pages_follow_to_the_end() {
        let mut guard = PageGuard::new(10);
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

    #[test]
    fn loops_are_cut() {
        let mut guard = PageGuard::new(10);
        run(&mut guard, &["a"], Some("1"));
        assert_eq!(run(&mut guard, &["a"], Some("2")), NextPage::Repeated);

        let mut guard = PageGuard::new(10);
        run(&mut guard, &["a"], Some("1"));
        assert_eq!(run(&mut guard, &["b"], Some("1")), NextPage::Done);

        let mut guard = PageGuard::new(2);
        run(&mut guard, &[], Some("1"));
        assert_eq!(run(&mut guard, &[], Some("2")), NextPage::TooMany);
    }
}
