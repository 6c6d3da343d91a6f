//! Secrets that appear while a run goes on: values that users take out of answers.
//!
//! To keep one costs a copy. It is put into the index when a text is next looked at,
//! which happens only where something is written, and to most values never. Users
//! are spread over shards, so that few wait for each other to keep a value; who looks
//! at a text looks through all shards, since a server may tell a user what is
//! another's.

use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::Value;

use super::forms::SECRET_CHARS_MIN;
use super::index::{Index, Ranges};

/// The bytes of all values of a shard. Beyond, texts are masked as a whole.
const BYTES_MAX: usize = 16 << 20;

/// What a value costs beside its bytes.
const BYTES_PER_VALUE: usize = 64;

/// The texts that are taken out of a value that is not text.
const LEAVES_MAX: usize = 64;

/// The secrets that the users of a run hold.
pub struct LiveSecrets {
    shards: Vec<Mutex<Shard>>,
}

#[derive(Default)]
struct Shard {
    values: Vec<HeldSecret>,
    free: Vec<u32>,
    /// Values that are perhaps not in the index yet.
    pending: Vec<u32>,
    index: Index,
    n_bytes: usize,
}

#[derive(Default)]
struct HeldSecret {
    text: String,
    is_held: bool,
    is_pending: bool,
    is_indexed: bool,
}

impl LiveSecrets {
    /// No secrets, in this many shards.
    pub fn new(n_shards: usize) -> Arc<Self> {
        let shards = (0..n_shards.max(1)).map(|_| Mutex::default()).collect();
        Arc::new(Self { shards })
    }

    /// Adds the places of all secrets in a text.
    pub(super) fn find(&self, text: &str, lower: &[u8], found: &mut Ranges) {
        for shard in &self.shards {
            let mut shard = shard.lock();
            if shard.n_bytes > BYTES_MAX {
                found.add(0..text.len());
            } else {
                shard.index_pending();
                shard.index.find(text, lower, found);
            }
        }
    }
}

impl Shard {
    fn add(&mut self, text: &str) -> u32 {
        let id = self.free.pop().unwrap_or_else(|| {
            self.values.push(HeldSecret::default());
            (self.values.len() - 1) as u32
        });
        let held = &mut self.values[id as usize];
        held.text.push_str(text);
        held.is_held = true;
        if !held.is_pending {
            held.is_pending = true;
            self.pending.push(id);
        }
        self.n_bytes += text.len() + BYTES_PER_VALUE;
        id
    }

    fn remove(&mut self, id: u32) {
        /// What is kept of a value's memory for the next one.
        const BYTES_KEPT: usize = 1024;
        let held = &mut self.values[id as usize];
        self.n_bytes -= held.text.len() + BYTES_PER_VALUE;
        if std::mem::take(&mut held.is_indexed) {
            self.index.remove(&held.text);
        }
        held.is_held = false;
        held.text.clear();
        held.text.shrink_to(BYTES_KEPT);
        self.free.push(id);
    }

    fn index_pending(&mut self) {
        for id in self.pending.drain(..) {
            let held = &mut self.values[id as usize];
            held.is_pending = false;
            if held.is_held && !held.is_indexed {
                held.is_indexed = true;
                self.index.insert(&held.text);
            }
        }
    }
}

/// The secrets of one user's session. Dropped, it gives them up.
pub struct SessionSecrets {
    live: Arc<LiveSecrets>,
    shard: usize,
    kept: Vec<KeptSecret>,
}

impl std::fmt::Debug for SessionSecrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SessionSecrets({})", self.kept.len())
    }
}

struct KeptSecret {
    place: usize,
    is_old: bool,
    id: u32,
}

impl SessionSecrets {
    /// No secrets, for the user of this number.
    pub fn new(live: &Arc<LiveSecrets>, user: usize) -> Self {
        Self {
            live: Arc::clone(live),
            shard: user % live.shards.len(),
            kept: Vec::new(),
        }
    }

    /// Keeps a value, the text of a JSON value, until the session ends, or two more
    /// came to the same `place`: which extraction of the script brought it.
    pub fn keep(&mut self, place: usize, json: &str) {
        let mut shard = self.live.shards[self.shard].lock();
        self.kept.retain_mut(|kept| {
            if kept.place != place {
                return true;
            }
            if kept.is_old {
                shard.remove(kept.id);
            }
            !std::mem::replace(&mut kept.is_old, true)
        });
        each_text(json, |text| {
            self.kept.push(KeptSecret {
                place,
                is_old: false,
                id: shard.add(text),
            });
        });
    }

    /// The session has ended.
    pub fn forget(&mut self) {
        if !self.kept.is_empty() {
            let mut shard = self.live.shards[self.shard].lock();
            self.kept.drain(..).for_each(|kept| shard.remove(kept.id));
        }
    }
}

impl Drop for SessionSecrets {
    fn drop(&mut self) {
        self.forget();
    }
}

/// The texts of a JSON value that are worth looking for: a string, a number, and of a
/// list or an object the first 64 of those in it. None is shorter than
/// [`SECRET_CHARS_MIN`].
pub fn each_text(json: &str, mut tell: impl FnMut(&str)) {
    let mut tell_long = |text: &str| {
        let text = text.trim();
        let is_long = text.chars().nth(SECRET_CHARS_MIN - 1).is_some();
        is_long.then(|| tell(text)).is_some()
    };
    let json = json.trim();
    // Most values are plain texts: no memory is taken for them.
    let quoted = json
        .strip_prefix('"')
        .and_then(|json| json.strip_suffix('"'));
    if let Some(text) = quoted.filter(|text| !text.contains('\\')) {
        tell_long(text);
        return;
    }
    if !json.starts_with(['"', '[', '{']) {
        tell_long(json);
        return;
    }
    let mut open = vec![serde_json::from_str(json).unwrap_or(Value::Null)];
    let mut n_told = 0;
    while let Some(value) = open.pop().filter(|_| n_told < LEAVES_MAX) {
        match value {
            Value::String(text) => n_told += usize::from(tell_long(&text)),
            Value::Number(number) => n_told += usize::from(tell_long(&number.to_string())),
            Value::Array(items) => open.extend(items),
            Value::Object(fields) => open.extend(fields.into_iter().map(|(_, field)| field)),
            Value::Null | Value::Bool(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redact::{MASK, Redactor};
    use proptest::prelude::*;

    #[test]
    fn a_value_is_a_secret_while_its_session_lives() {
        let live = LiveSecrets::new(2);
        let redactor = Redactor::new(["before-4711"]).watching(&live);
        let mut mine = SessionSecrets::new(&live, 0);
        let mut other = SessionSecrets::new(&live, 1);
        let check = |expected: &str| {
            let text = "before-4711 first-1 second-2 third-3 \"q\\uote\" 1234567 x";
            assert_eq!(redactor.cleaned(text), expected);
        };
        check("*** first-1 second-2 third-3 \"q\\uote\" 1234567 x");
        mine.keep(0, "\"first-1\"");
        mine.keep(1, "\"x\"");
        other.keep(0, r#"{"a": ["\"q\\uote\"", 1234567], "b": null}"#);
        check("*** *** second-2 third-3 *** *** x");
        mine.keep(0, "\"second-2\"");
        check("*** *** *** third-3 *** *** x");
        // Of one place the last two are kept.
        mine.keep(0, "\"third-3\"");
        check("*** first-1 *** *** *** *** x");
        mine.forget();
        check("*** first-1 second-2 third-3 *** *** x");
        drop(other);
        check("*** first-1 second-2 third-3 \"q\\uote\" 1234567 x");
        assert!(live.shards.iter().all(|shard| shard.lock().n_bytes == 0));
    }

    #[test]
    fn too_many_mask_a_text_as_a_whole() {
        let live = LiveSecrets::new(1);
        let redactor = Redactor::default().watching(&live);
        let mut session = SessionSecrets::new(&live, 0);
        session.keep(0, &format!("\"{}\"", "k".repeat(BYTES_MAX)));
        assert_eq!(redactor.cleaned("a message"), MASK);
        session.forget();
        assert_eq!(redactor.cleaned("a message"), "a message");
    }

    #[test]
    fn values_that_are_never_looked_for_leave_nothing() {
        let live = LiveSecrets::new(1);
        let mut session = SessionSecrets::new(&live, 0);
        for number in 0..1000 {
            session.keep(0, &format!("\"token-{number}\""));
        }
        let shard = live.shards[0].lock();
        assert_eq!((shard.values.len(), shard.pending.len()), (2, 2));
        assert!(shard.index.is_empty());
    }

    proptest! {
        #![proptest_config(crate::seeds::cases(24, 512))]

        /// Whatever was kept and given up: what is held is found as by a redactor that
        /// knew it before the run, in all its forms.
        #[test]
        fn what_is_held_is_found_like_what_was_known(
            values in prop::collection::vec("[ -~é]{1,40}|[ab]{4,80}", 1..8),
            // Whose value is kept, at which place; `None`: that user's session ends.
            acts in prop::collection::vec((0_usize..3, any::<prop::sample::Index>(), any::<bool>()), 0..24),
        ) {
            let live = LiveSecrets::new(2);
            let mut users: Vec<SessionSecrets> =
                (0..3).map(|user| SessionSecrets::new(&live, user)).collect();
            let redactor = Redactor::default().watching(&live);
            let mut held: Vec<Vec<String>> = vec![Vec::new(); 3];
            for (user, value, keeps) in acts {
                if !keeps {
                    users[user].forget();
                    held[user].clear();
                    continue;
                }
                let at = value.index(values.len());
                users[user].keep(at, &serde_json::to_string(&values[at]).expect("a text"));
                held[user].push(values[at].clone());
                let known = Redactor::new(held.iter().flatten().map(String::as_str));
                for form in values.iter().flat_map(|value| crate::redact::forms::forms(value)) {
                    let text = format!("<{form}> {}…", form.get(..6).unwrap_or("-"));
                    for range in known.find(&text) {
                        let is_covered = redactor
                            .find(&text)
                            .iter()
                            .any(|found| found.start <= range.start && range.end <= found.end);
                        prop_assert!(is_covered, "{range:?} of {text}");
                    }
                }
            }
            drop(users);
            for value in &values {
                prop_assert_eq!(redactor.cleaned(value), value.as_str());
            }
        }
    }
}
