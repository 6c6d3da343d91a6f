//! Whose code a line is, by the path of its source file.

/// Whose code it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Origin {
    /// A module of ours.
    Own(String),
    /// Another crate.
    Crate(String),
    /// `core`, `alloc` or `std`.
    StandardLibrary,
    /// The C library, by its source files or its object file.
    CLibrary,
    /// No debug information.
    Unknown,
}

impl Origin {
    /// By the path that debug information names.
    pub(crate) fn of(path: &str) -> Self {
        if let Some((_, after)) = path.split_once("/registry/src/") {
            // `INDEX/NAME-1.2.3/src/…`: the version begins at the last hyphen
            // before a digit.
            let package = after.split('/').nth(1).unwrap_or_default();
            let name = package
                .match_indices('-')
                .find(|(at, _)| package[at + 1..].starts_with(|c: char| c.is_ascii_digit()))
                .map_or(package, |(at, _)| &package[..at]);
            return Self::Crate(name.to_string());
        }
        if path.contains("/rustc/") || path.contains("/rustlib/src/rust/library/") {
            return Self::StandardLibrary;
        }
        let own = concat!(env!("CARGO_MANIFEST_DIR"), "/src/");
        if let Some((_, after)) = path.split_once(own).or_else(|| {
            // Cargo hands the compiler a path from the package's root.
            path.strip_prefix("src/").map(|after| ("", after))
        }) {
            let module = after.split('/').next().unwrap_or(after);
            return Self::Own(module.trim_end_matches(".rs").to_string());
        }
        let is_c = path.ends_with(".c") || path.ends_with(".h") || path.ends_with(".S");
        match is_c || path.contains("libc.so") || path.contains("/ld-linux") {
            true => Self::CLibrary,
            false => Self::Unknown,
        }
    }

    /// For tables.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Own(module) => format!("our {module}"),
            Self::Crate(name) => name.clone(),
            Self::StandardLibrary => "std".to_string(),
            Self::CLibrary => "libc".to_string(),
            Self::Unknown => "no debug information".to_string(),
        }
    }
}
