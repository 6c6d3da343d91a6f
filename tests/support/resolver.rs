//! Names that lead elsewhere when a test says so.
//!
//! The program under test is the one that ships: it asks the C library, in front of
//! which `resolver.c` is loaded. The compiler for it is there wherever Rust links.

use std::path::PathBuf;
use std::process::Command;

use crate::program::{Program, TempDir};

/// What [`ChangingName::lead_to`] says is where this leads.
pub(crate) const CHANGING_HOST: &str = "mcp.changing.test";

/// A name, and the resolver that knows where it leads.
pub(crate) struct ChangingName {
    folder: TempDir,
}

impl ChangingName {
    /// It leads to these addresses first.
    pub(crate) fn new(addresses: &[&str]) -> Self {
        let folder = TempDir::new();
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/resolver.c");
        let name = Self { folder };
        let built = Command::new("cc")
            .args(["-shared", "-fPIC", "-o"])
            .arg(name.library())
            .args([source, "-ldl"])
            .output()
            .expect("a C compiler, as Rust needs one to link");
        let said = String::from_utf8_lossy(&built.stderr);
        assert!(built.status.success(), "{said}");
        name.lead_to(addresses);
        name
    }

    fn library(&self) -> PathBuf {
        self.folder.path().join("resolver.so")
    }

    fn list(&self) -> PathBuf {
        self.folder.path().join("addresses")
    }

    /// From now on it leads to these.
    pub(crate) fn lead_to(&self, addresses: &[&str]) {
        // Renamed, so that nobody reads half of it.
        let new = self.folder.path().join("new");
        std::fs::write(&new, addresses.join("\n")).expect("the file can be written");
        std::fs::rename(&new, self.list()).expect("it can be renamed");
    }

    /// The program asks this resolver.
    pub(crate) fn known_to(&self, program: Program) -> Program {
        program
            .env("LD_PRELOAD", &self.library().display().to_string())
            .env("CHANGING_ADDRESSES", &self.list().display().to_string())
    }
}
