//! Reads whole lists, page by page, within bounds that hold for all lists of a
//! server together.
//!
//! A server decides how many pages there are, how large they are and how long
//! each takes. So pages, entries, bytes and time are bounded, what was read
//! before a bound or a failure is kept, and whoever waits can see how far it is.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::session::Session;
use crate::http::Trouble;
use crate::metrics::{Failure, ProtocolFailure};
use crate::protocol::{
    Listable, Method, NextPage, Page, PageGuard, Reply, ToolDescription, read_page,
};
use crate::units::{few_of, format_count, plural};

/// What may be read of all lists of a server together.
#[derive(Debug, Clone, Copy)]
struct ListLimits {
    pages: u64,
    entries: u64,
    /// Of the pages' results. Entries take up to some ten times as much where
    /// they are made for it.
    bytes: u64,
    time: Duration,
    /// Of one cursor, which goes into a request.
    cursor_bytes: usize,
}

/// Servers with more are not such as people use: the largest known have some
/// thousand tools, on pages of about fifty.
const LIMITS: ListLimits = ListLimits {
    pages: 1000,
    entries: 50_000,
    bytes: 32 * 1024 * 1024,
    time: Duration::from_secs(30),
    cursor_bytes: 64 * 1024,
};

/// How far the reading of lists has come. Clones show the same: the task that
/// reads writes it, and the loop around the task looks at it.
#[derive(Debug, Clone, Default)]
pub struct ListProgress(Rc<RefCell<Option<ListReading>>>);

#[derive(Debug, Clone, Copy)]
struct ListReading {
    what: What,
    n_pages: u64,
    n_entries: u64,
}

/// What a list is of, in the singular and the plural.
type What = (&'static str, &'static str);

impl ListProgress {
    /// `listing tools: 12 pages, 3,400 tools`; `None` while no list is read.
    pub fn text(&self) -> Option<String> {
        let reading = (*self.0.borrow())?;
        Some(format!(
            "listing {}: {}, {}",
            reading.what.1,
            plural(reading.n_pages, "page", "pages"),
            plural(reading.n_entries, reading.what.0, reading.what.1)
        ))
    }

    fn set(&self, reading: Option<ListReading>) {
        self.0.replace(reading);
    }
}

/// The reading of all lists of a server: what they have in common.
#[derive(Debug)]
pub struct Lists {
    deadline: Instant,
    n_pages: u64,
    n_entries: u64,
    n_bytes: u64,
    progress: ListProgress,
}

impl Lists {
    /// The time for all lists runs from now on.
    pub fn new(progress: ListProgress) -> Self {
        Self {
            deadline: crate::clock::now() + LIMITS.time,
            n_pages: 0,
            n_entries: 0,
            n_bytes: 0,
            progress,
        }
    }

    /// Which bound is reached, as an end of "the list was cut: ".
    fn reached(&self) -> Option<String> {
        if self.n_pages >= LIMITS.pages {
            Some(at_most(LIMITS.pages, "pages"))
        } else if self.n_entries >= LIMITS.entries {
            Some(at_most(LIMITS.entries, "entries"))
        } else if self.n_bytes >= LIMITS.bytes {
            Some(at_most(LIMITS.bytes / 1024 / 1024, "MiB"))
        } else if crate::clock::now() >= self.deadline {
            Some(too_long())
        } else {
            None
        }
    }
}

fn at_most(limit: u64, what: &str) -> String {
    format!(
        "at most {} {what} are read, of all lists together",
        format_count(limit)
    )
}

fn too_long() -> String {
    format!(
        "all lists together may take {} s at most",
        LIMITS.time.as_secs()
    )
}

/// What was read of a list.
#[derive(Debug)]
pub struct Listed<T> {
    /// The entries, in the server's order.
    pub items: Vec<T>,
    /// Entries that could not be read.
    pub n_unreadable: u64,
    /// How the reading ended.
    pub end: ListEnd,
    n_pages: u64,
    what: What,
}

/// How the reading of a list ended.
#[derive(Debug)]
pub enum ListEnd {
    /// With the last page.
    Whole,
    /// Before it, for this reason.
    Cut(String),
    /// At a page that could not be read.
    Failed(Trouble),
}

impl<T> Listed<T> {
    /// Why not even the first page could be read.
    pub fn nothing_read(&self) -> Option<&Trouble> {
        match &self.end {
            ListEnd::Failed(trouble) if self.n_pages == 0 => Some(trouble),
            _ => None,
        }
    }

    /// Whether there may be entries that are not known.
    pub fn is_cut(&self) -> bool {
        !matches!(self.end, ListEnd::Whole)
    }

    /// What the user should know of it; secrets may still be in it.
    pub fn notices(&self) -> Vec<String> {
        let what = self.what.1;
        let so_far = || {
            let n_items = self.items.len() as u64;
            format!(
                "{} on {} {} kept",
                plural(n_items, self.what.0, what),
                plural(self.n_pages, "page", "pages"),
                if n_items == 1 { "is" } else { "are" }
            )
        };
        let end = match &self.end {
            ListEnd::Whole => None,
            ListEnd::Cut(why) => Some(format!("the list of {what} was cut: {why}; {}", so_far())),
            ListEnd::Failed(trouble) if self.n_pages == 0 => Some(format!(
                "the {what} could not be listed: {}",
                trouble.message()
            )),
            ListEnd::Failed(trouble) => Some(format!(
                "a page of the {what} could not be read: {}; {}",
                trouble.message(),
                so_far()
            )),
        };
        let unreadable = (self.n_unreadable > 0).then(|| {
            format!(
                "{} left out: without a name or an address none can be used",
                plural(self.n_unreadable, self.what.0, what)
            )
        });
        end.into_iter().chain(unreadable).collect()
    }
}

/// What the server offers of them, in its order. Where it says that a header does not
/// match, it is asked once more from the first page: what it lists may have changed, or an
/// instance of before may have answered.
pub fn list<T: Listable>(session: &mut Session, lists: &mut Lists) -> Listed<T> {
    let listed = list_once(session, lists);
    let is_mismatch = matches!(
        &listed.end,
        ListEnd::Failed(Trouble::Failed { failure, .. }) if failure.is_header_mismatch()
    );
    match is_mismatch {
        true => list_once(session, lists),
        false => listed,
    }
}

fn list_once<T: Listable>(session: &mut Session, lists: &mut Lists) -> Listed<T> {
    let what = T::NAMES;
    let mut listed = Listed {
        items: Vec::new(),
        n_unreadable: 0,
        end: ListEnd::Whole,
        n_pages: 0,
        what,
    };
    let mut guard = PageGuard::new();
    let mut cursor: Option<String> = None;
    listed.end = loop {
        lists.progress.set(Some(ListReading {
            what,
            n_pages: listed.n_pages,
            n_entries: listed.items.len() as u64,
        }));
        if let Some(why) = lists.reached() {
            break ListEnd::Cut(why);
        }
        let page: Result<Page<T>, _> = match page(session, lists, T::METHOD, cursor.as_deref()) {
            Ok(text) => {
                lists.n_bytes += text.len() as u64;
                let n_left = LIMITS.entries.saturating_sub(lists.n_entries);
                read_page(&text, usize::try_from(n_left).unwrap_or(usize::MAX))
                    .map_err(Trouble::from)
            }
            Err(trouble) => Err(trouble),
        };
        let page = match page {
            Ok(page) => page,
            Err(trouble) if trouble.is_timeout() && crate::clock::now() >= lists.deadline => {
                break ListEnd::Cut(too_long());
            }
            Err(trouble) => break ListEnd::Failed(trouble),
        };
        lists.n_pages += 1;
        listed.n_pages += 1;
        let next = guard.after(&page);
        if next == NextPage::Repeated {
            break ListEnd::Cut("the server began to repeat it".to_string());
        }
        lists.n_entries += page.n_entries as u64;
        let is_cut = page.is_cut;
        listed.n_unreadable += page.n_unreadable as u64;
        listed.items.extend(page.items);
        if is_cut {
            break ListEnd::Cut(at_most(LIMITS.entries, "entries"));
        }
        match next {
            NextPage::Cursor(next) if next.len() > LIMITS.cursor_bytes => {
                break ListEnd::Cut(format!(
                    "the cursor of the next page has {} bytes, at most {} are sent",
                    format_count(next.len() as u64),
                    format_count(LIMITS.cursor_bytes as u64)
                ));
            }
            NextPage::Cursor(next) => cursor = Some(next),
            NextPage::CursorAgain => {
                break ListEnd::Cut("the server gave a cursor again".to_string());
            }
            NextPage::Done | NextPage::Repeated => break ListEnd::Whole,
        }
    };
    lists.progress.set(None);
    listed
}

/// The text of one page's result.
fn page(
    session: &mut Session,
    lists: &Lists,
    method: Method,
    cursor: Option<&str>,
) -> Result<String, Trouble> {
    let server = session.server();
    let deadline = lists
        .deadline
        .min(crate::clock::now() + server.settings().timeout);
    let Some(prepared) = server.dialect().list(method, cursor) else {
        return Err(Trouble::failed(
            Failure::Protocol(ProtocolFailure::BadResult),
            format!("`{}` is not a list", method.as_str()),
        ));
    };
    let call = server.prepared(prepared, Some(method));
    let exchanged = session.exchange(&call, deadline);
    match exchanged.result? {
        Reply::Complete | Reply::WithoutContent => Ok(exchanged.kept_result.unwrap_or_default()),
        Reply::Error(error) => Err(error.into()),
        Reply::ToolError { message } => Err(Trouble::failed(Failure::Tool, message)),
        Reply::InputRequired(_) | Reply::Task(_) => Err(Trouble::failed(
            Failure::Protocol(ProtocolFailure::BadResult),
            "a list requires input, or is a task",
        )),
    }
}

/// What the user should know of tools that a client of the modern era must
/// leave out.
pub fn excluded_tools(tools: &[ToolDescription]) -> Option<String> {
    /// More of them would bury what else is said.
    const SHOWN_MAX: usize = 3;
    let excluded = || {
        let tools = tools.iter();
        tools.filter_map(|tool| Some((tool, tool.param_headers.as_ref().err()?)))
    };
    let n_excluded = excluded().count();
    if n_excluded == 0 {
        return None;
    }
    let shown = excluded().map(|(tool, why)| format!("`{}` ({why})", shown_name(&tool.name)));
    Some(format!(
        "{} left out, as the protocol demands of every client, for an invalid input schema: {}",
        plural(n_excluded as u64, "tool", "tools"),
        few_of(shown, SHOWN_MAX)
    ))
}

fn shown_name(name: &str) -> String {
    crate::protocol::excerpt(name.as_bytes())
}
