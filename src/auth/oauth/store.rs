//! The token store that cargo-pmcp 0.29 keeps: `~/.pmcp/oauth-cache.json`. It reads
//! what we write, and we read what it writes.
//!
//! Keys are compared byte by byte. What the file holds beside what we know stays as it
//! is; a file of another schema is not touched. Who changes the file holds its lock,
//! reads it again, and puts a whole new one in its place. This module does not know
//! where tokens come from.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant, UNIX_EPOCH};

use serde_json::{Map, Value, json};

use super::grant::Grant;
use crate::clock::{self, Utc};
use crate::files::{read_text, reason};

/// Where cargo-pmcp keeps logins: at the user's home, or in the current folder where
/// there is none.
pub fn store_path(environment: &dyn Fn(&str) -> Option<OsString>) -> PathBuf {
    let home = ["HOME", "USERPROFILE"].into_iter().find_map(environment);
    let home = home.filter(|home| !home.is_empty());
    let home = home.map_or_else(|| PathBuf::from("."), PathBuf::from);
    let folder = home.join(".pmcp");
    folder.join("oauth-cache.json")
}

/// The version that we read and write.
const SCHEMA: u64 = 2;

/// As cargo-pmcp does it.
const LOCK_LOOK_EVERY: Duration = Duration::from_millis(10);
/// A lock of that age has no owner any more.
const LOCK_AGE_MAX: Duration = Duration::from_secs(30);

/// Far more than anybody logs in to.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// The account of those who use the command line.
const ACCOUNT: &str = "";

/// What is kept of a login. It has no `Debug`: it holds secrets.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) access_token: String,
    pub(super) client_id: String,
    pub(super) refresh_token: Option<String>,
    /// In seconds since 1970; `None`: not known.
    pub(super) expires_at: Option<u64>,
    pub(super) scopes: Vec<String>,
    /// Of a client that was registered for this login, such as `native`.
    pub(super) application_type: Option<String>,
    /// Of such a client, where the server gave it one. cargo-pmcp does not know it.
    pub(super) client_secret: Option<String>,
}

impl Record {
    /// The client's id, where it is not one that a login registered for itself.
    pub(super) fn own_client(&self) -> Option<&str> {
        let is_registered = self.application_type.is_some() || self.client_id.is_empty();
        (!is_registered).then_some(&*self.client_id)
    }

    /// The same login with a newer token.
    pub(super) fn renewed(&self, grant: Grant) -> Self {
        Self {
            access_token: grant.access_token,
            refresh_token: grant.refresh_token.or_else(|| self.refresh_token.clone()),
            expires_at: grant.expires_at,
            scopes: grant.scopes.unwrap_or_else(|| self.scopes.clone()),
            ..self.clone()
        }
    }

    fn read(value: &Value) -> Option<Self> {
        let text = |name: &str| value[name].as_str().map(str::to_string);
        let scopes = value["scopes"].as_array();
        let scopes = scopes.into_iter().flatten().filter_map(Value::as_str);
        Some(Self {
            access_token: text("access_token")?,
            client_id: text("client_id").unwrap_or_default(),
            refresh_token: text("refresh_token"),
            expires_at: value["expires_at"].as_u64(),
            scopes: scopes.map(str::to_string).collect(),
            application_type: text("registered_application_type"),
            client_secret: text("client_secret"),
        })
    }

    /// Writes it over what was there, of which unknown fields stay.
    fn write(&self, value: &mut Value) {
        let mut put = |name: &str, field: Option<Value>| {
            if let Some(record) = value.as_object_mut() {
                match field {
                    Some(field) => _ = record.insert(name.to_string(), field),
                    // In order, whatever was between.
                    None => _ = record.shift_remove(name),
                }
            }
        };
        put("access_token", Some(json!(self.access_token)));
        put(
            "refresh_token",
            self.refresh_token.as_ref().map(|it| json!(it)),
        );
        put("expires_at", self.expires_at.map(|it| json!(it)));
        let scopes = Some(json!(self.scopes)).filter(|_| !self.scopes.is_empty());
        put("scopes", scopes);
        put("client_id", Some(json!(self.client_id)));
        let kind = self.application_type.as_ref();
        put("registered_application_type", kind.map(|it| json!(it)));
        put(
            "client_secret",
            self.client_secret.as_ref().map(|it| json!(it)),
        );
    }
}

/// The file. Cloning it clones the path.
#[derive(Debug, Clone)]
pub(super) struct Store {
    path: PathBuf,
}

impl Store {
    pub(super) fn at(path: &Path) -> Self {
        let path = path.to_path_buf();
        Self { path }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The file of older versions of cargo-pmcp, where it lies there: it tells no issuer,
    /// and nobody reads it any more.
    pub(super) fn outdated(&self) -> Option<PathBuf> {
        let path = self.path.with_file_name("oauth-tokens.json");
        path.exists().then_some(path)
    }

    /// The login to this server: of that issuer, or of the one that was seen last.
    ///
    /// # Errors
    /// When the file is there and cannot be used, as a fragment with its path.
    pub(super) fn find(
        &self,
        server: &str,
        issuer: Option<&str>,
    ) -> Result<Option<(String, Record)>, String> {
        let Some(content) = self.read()? else {
            return Ok(None);
        };
        let credentials = &content["credentials"];
        let of = |issuer: &str| Record::read(&credentials[issuer][server][ACCOUNT]);
        let found = |issuer: &str| of(issuer).map(|record| (issuer.to_string(), record));
        if let Some(issuer) = issuer {
            let issuers = credentials.as_object().into_iter().flat_map(Map::keys);
            let mut same = issuers.filter(|kept| super::urls::is_same_issuer(kept, issuer));
            return Ok(same.find_map(|issuer| found(issuer)));
        }
        if let Some(issuer) = content["issuers"][server].as_str() {
            return Ok(found(issuer));
        }
        // Nobody noted which was the last: only where there is one is it known.
        let issuers = credentials.as_object().into_iter().flat_map(Map::keys);
        let mut all: Vec<_> = issuers.filter_map(|issuer| found(issuer)).collect();
        Ok(all.pop().filter(|_| all.is_empty()))
    }

    /// Puts a login into the file.
    ///
    /// # Errors
    /// When the file cannot be read or written, as a fragment with its path.
    pub(super) fn keep(
        &self,
        _lock: &Lock,
        server: &str,
        issuer: &str,
        record: &Record,
    ) -> Result<(), String> {
        let mut content = self.read()?.unwrap_or_else(|| json!({}));
        content["schema_version"] = json!(SCHEMA);
        let of_issuer = member(member(&mut content, "credentials"), issuer);
        record.write(member(member(of_issuer, server), ACCOUNT));
        member(&mut content, "issuers")[server] = json!(issuer);
        sort_keys(&mut content);
        self.replace(&format!("{content:#}\n"))
    }

    /// The content; `None` where there is no file.
    fn read(&self) -> Result<Option<Value>, String> {
        let at = |why: String| format!("`{}` {why}", self.path.display());
        if !self.path.exists() {
            return Ok(None);
        }
        let text = read_text(&self.path, FILE_BYTES_MAX).map_err(at)?;
        // The reader's words would show what is there.
        let content: Value = serde_json::from_str(&text)
            .map_err(|error| at(format!("is not JSON (line {})", error.line())))?;
        match content["schema_version"].as_u64() {
            Some(SCHEMA) => Ok(Some(content)),
            // Its entries tell no issuer for certain; cargo-pmcp moves them to schema 2.
            Some(1) => Err(at(
                "is of schema 1: any `cargo pmcp auth` command of cargo-pmcp 0.29 brings it to schema 2"
                    .to_string(),
            )),
            Some(other) => Err(at(format!(
                "is of schema {other}, and {SCHEMA} is known: it is left as it is"
            ))),
            None => Err(at("has no `schema_version`: it is left as it is".to_string())),
        }
    }

    /// A whole file in place of the one that was there, for its owner alone.
    fn replace(&self, text: &str) -> Result<(), String> {
        // Where the file is a link, what it leads to is replaced.
        let path = self.path.canonicalize();
        let path = path.unwrap_or_else(|_| self.path.clone());
        let beside = path.with_extension(format!("json.{:016x}", fastrand::u64(..)));
        let write = || {
            let mut file = private_file(&beside)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&beside, &path)
        };
        write().map_err(|error| {
            // It may not even be there.
            let _ = fs::remove_file(&beside);
            format!("`{}` cannot be written: {}", path.display(), reason(&error))
        })
    }

    /// Takes the lock, by the deadline at the latest.
    ///
    /// # Errors
    /// When it cannot be had, as a fragment with its path.
    pub(super) fn lock(&self, deadline: Instant) -> Result<Lock, String> {
        let mut name = self.path.clone().into_os_string();
        name.push(".lock");
        let path = PathBuf::from(name);
        let failed = |why: &str| format!("the lock `{}` {why}", path.display());
        if let Some(folder) = path.parent() {
            make_private_folder(folder)
                .map_err(|error| failed(&format!("cannot be made: {}", reason(&error))))?;
        }
        let mark = format!("{} {:016x}\n", std::process::id(), fastrand::u64(..));
        loop {
            match private_file(&path) {
                Ok(mut file) => {
                    // Who cannot write holds the lock all the same.
                    let _ = file.write_all(mark.as_bytes());
                    return Ok(Lock { path, mark });
                }
                Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                    return Err(failed(&format!("cannot be made: {}", reason(&error))));
                }
                Err(_) => break_abandoned(&path, Utc::now()),
            }
            if clock::now() >= deadline {
                return Err(failed("is held by another process"));
            }
            // Nothing tells of a file that goes.
            thread::park_timeout(LOCK_LOOK_EVERY);
        }
    }
}

/// The right to change the file, until it is dropped.
pub(super) struct Lock {
    path: PathBuf,
    /// What stands in it, to know it from another's.
    mark: String,
}

impl Drop for Lock {
    fn drop(&mut self) {
        // One that took too long may have been broken, and be another's now.
        let is_ours = fs::read_to_string(&self.path).is_ok_and(|mark| mark == self.mark);
        if is_ours {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Takes a lock away that is too old to have an owner. Of several that see it, one
/// moves it; who moves away a fresh one puts it back.
fn break_abandoned(path: &Path, now: Utc) {
    let is_abandoned = |path: &Path| {
        let modified = fs::metadata(path).and_then(|metadata| metadata.modified());
        let since = modified
            .ok()
            .and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        let limit = Duration::from_millis(now.unix_ms()).saturating_sub(LOCK_AGE_MAX);
        since.is_some_and(|since| since <= limit)
    };
    if !is_abandoned(path) {
        return;
    }
    let aside = path.with_extension(format!("lock.{:016x}", fastrand::u64(..)));
    if fs::rename(path, &aside).is_ok() {
        if !is_abandoned(&aside) {
            // Where another has one already, both hold it: no worse than before.
            let _ = fs::hard_link(&aside, path);
        }
        let _ = fs::remove_file(&aside);
    }
}

fn private_file(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn make_private_folder(path: &Path) -> std::io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// The object of that name in another, made where there is none.
fn member<'a>(of: &'a mut Value, name: &str) -> &'a mut Value {
    let member = &mut of[name];
    if !member.is_object() {
        *member = json!({});
    }
    member
}

/// Names of issuers, servers and accounts in order, as cargo-pmcp writes them. Fields of
/// a login stay where they are.
fn sort_keys(content: &mut Value) {
    fn sort(value: &mut Value, depth: u32) {
        if let Some(map) = value.as_object_mut() {
            map.sort_keys();
            if depth > 0 {
                map.values_mut().for_each(|value| sort(value, depth - 1));
            }
        }
    }
    sort(&mut content["credentials"], 2);
    sort(&mut content["issuers"], 0);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SERVER: &str = "http://127.0.0.1:8080";
    const ISSUER: &str = "https://as.example/tenant";

    /// As cargo-pmcp 0.29 writes it, with fields of a version to come.
    const KEPT: &str = r#"{
  "schema_version": 2,
  "credentials": {
    "https://as.example/tenant": {
      "http://127.0.0.1:8080": {
        "": {
          "access_token": "at-1",
          "refresh_token": "rt-1",
          "expires_at": 1795000000,
          "scopes": [
            "openid"
          ],
          "client_id": "client-1",
          "of_tomorrow": 1
        },
        "someone": {
          "access_token": "at-2",
          "client_id": "client-2"
        }
      }
    },
    "https://z.example": {
      "http://127.0.0.1:8080": {
        "": {
          "access_token": "at-3",
          "client_id": "client-3"
        }
      }
    }
  },
  "issuers": {
    "http://127.0.0.1:8080": "https://as.example/tenant"
  },
  "of_tomorrow": {
    "b": 1,
    "a": 2
  }
}
"#;

    /// A store in a folder of its own, which goes with it.
    struct Folder(PathBuf);

    impl Folder {
        fn new(text: Option<&str>) -> (Self, Store) {
            let name = format!("pmcp-store-{}-{:x}", std::process::id(), fastrand::u64(..));
            let folder = std::env::temp_dir().join(name);
            let home = folder.display().to_string();
            let path = store_path(&|name| (name == "HOME").then(|| home.clone().into()));
            let store = Store::at(&path);
            if let Some(text) = text {
                fs::create_dir_all(folder.join(".pmcp")).expect("a folder");
                fs::write(store.path(), text).expect("a file");
            }
            (Self(folder), store)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn soon() -> Instant {
        clock::now() + Duration::from_secs(20)
    }

    fn keep(store: &Store, issuer: &str, record: &Record) {
        let lock = store.lock(soon()).expect("a lock");
        store.keep(&lock, SERVER, issuer, record).expect("kept");
    }

    #[test]
    fn the_login_to_a_server_is_that_of_the_issuer_seen_last() {
        let (_folder, store) = Folder::new(Some(KEPT));
        let find = |server: &str, issuer: Option<&str>| {
            let found = store.find(server, issuer).expect("a file");
            found.map(|(_, record)| record.access_token)
        };
        assert_eq!(find(SERVER, None).as_deref(), Some("at-1"));
        assert_eq!(
            find(SERVER, Some("https://z.example/")).as_deref(),
            Some("at-3")
        );
        assert_eq!(find(SERVER, Some("https://y.example")), None);
        assert_eq!(find("http://127.0.0.1:8081", None), None);
        let (_folder, store) = Folder::new(None);
        assert!(store.find(SERVER, None).expect("no file").is_none());
        let without = KEPT.replace("\"issuers\": {", "\"former\": {");
        let (_folder, store) = Folder::new(Some(&without));
        assert!(store.find(SERVER, None).expect("two issuers").is_none());
    }

    #[test]
    fn a_rewrite_changes_what_it_is_about_and_nothing_else() {
        let (_folder, store) = Folder::new(Some(KEPT));
        let (issuer, record) = store.find(SERVER, None).expect("a file").expect("kept");
        assert_eq!(issuer, ISSUER);
        keep(&store, ISSUER, &record);
        let text = fs::read_to_string(store.path()).expect("a file");
        assert_eq!(text, KEPT, "what did not change is written as it was");
        let grant = Grant {
            ended_at: None,
            access_token: "at-9".to_string(),
            refresh_token: None,
            expires_at: None,
            scopes: None,
        };
        keep(&store, ISSUER, &record.renewed(grant));
        let text = fs::read_to_string(store.path()).expect("a file");
        let expected = KEPT.replace("at-1", "at-9");
        let expected = expected.replace("          \"expires_at\": 1795000000,\n", "");
        assert_eq!(text, expected);
    }

    #[cfg(unix)]
    #[test]
    fn a_new_file_is_its_owners_alone_and_its_lock_is_gone() {
        use std::os::unix::fs::PermissionsExt as _;
        let (folder, store) = Folder::new(None);
        let (_other, kept) = Folder::new(Some(KEPT));
        let (_, record) = kept.find(SERVER, None).expect("a file").expect("kept");
        keep(&store, "https://b.example", &record);
        keep(&store, "https://a.example", &record);
        let mode = |path: &Path| fs::metadata(path).expect("is there").permissions().mode();
        assert_eq!(mode(store.path()) & 0o777, 0o600);
        assert_eq!(mode(&folder.0.join(".pmcp")) & 0o777, 0o700);
        let files = fs::read_dir(folder.0.join(".pmcp")).expect("a folder");
        assert_eq!(files.count(), 1, "neither a lock nor a file beside");
        let text = fs::read_to_string(store.path()).expect("a file");
        let (a, b) = (text.find("https://a."), text.find("https://b."));
        assert!(a < b, "in order: {text}");
    }

    #[test]
    fn other_schemas_are_left_as_they_are() {
        for (text, expected) in [
            (r#"{"schema_version": 3}"#, "is of schema 3"),
            (r#"{"schema_version": 1, "entries": {}}"#, "is of schema 1"),
            (r#"{"credentials": {}}"#, "no `schema_version`"),
            ("{\n\"at-secret", "is not JSON (line 2)"),
            ("\u{0}", "is not JSON"),
            ("[]", "no `schema_version`"),
        ] {
            let (_folder, store) = Folder::new(Some(text));
            let fault = store.find(SERVER, None).err().expect("a fault");
            assert!(fault.contains(expected), "{fault}");
            assert!(!fault.contains("secret"), "{fault}");
            let lock = store.lock(soon()).expect("a lock");
            let (_other, kept) = Folder::new(Some(KEPT));
            let (_, record) = kept.find(SERVER, None).expect("a file").expect("kept");
            assert!(store.keep(&lock, SERVER, ISSUER, &record).is_err());
            assert_eq!(fs::read_to_string(store.path()).expect("a file"), text);
        }
    }

    #[test]
    fn a_lock_is_waited_for_and_an_abandoned_one_is_broken() {
        let (_folder, store) = Folder::new(None);
        let held = store.lock(soon()).expect("a lock");
        let fault = store.lock(clock::now()).err().expect("is held");
        assert!(fault.contains("held by another process"), "{fault}");
        let old = UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        let file = OpenOptions::new().write(true).open(&held.path);
        file.and_then(|file| file.set_modified(old))
            .expect("an old lock");
        let second = store.lock(soon()).expect("the old one is broken");
        let path = held.path.clone();
        drop(held);
        assert!(path.exists(), "another's lock is not taken away");
        drop(second);
        assert!(!path.exists());
    }

    #[test]
    fn each_of_many_that_change_it_at_once_is_in_it() {
        let (_folder, store) = Folder::new(Some(KEPT));
        let (_, record) = store.find(SERVER, None).expect("a file").expect("kept");
        thread::scope(|scope| {
            for n in 0..8 {
                let (store, record) = (&store, &record);
                scope.spawn(move || keep(store, &format!("https://{n}.example"), record));
            }
        });
        for n in 0..8 {
            let issuer = format!("https://{n}.example");
            assert!(store.find(SERVER, Some(&issuer)).expect("a file").is_some());
        }
    }

    proptest! {
        #[test]
        fn no_content_breaks_the_reader(text in ".*") {
            let content = json!({"schema_version": 2, "credentials": text.clone(), "issuers": text});
            for text in [content.to_string(), text] {
                let (_folder, store) = Folder::new(Some(&text));
                let _ = store.find(SERVER, None).is_ok();
            }
        }
    }
}
