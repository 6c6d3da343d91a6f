//! The committed figures.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

/// What a call may cost, by variant.
#[derive(Debug, Default)]
pub(crate) struct Committed {
    /// With which compiler it was measured.
    pub(crate) toolchain: String,
    /// Memory of one more user, in KiB.
    pub(crate) kib_per_user: u64,
    /// Instructions for each call.
    pub(crate) instructions: BTreeMap<String, u64>,
    /// Allocations of our own code for each call.
    pub(crate) own_allocations: BTreeMap<String, u64>,
}

const HEAD: &str = "\
# What one call costs: see the head of benches/step/main.rs. `.ci/run` fails where
# instructions grow by more than 5 %, allocations of our own grow at all, or the
# memory of one more user grows by more than 20 %.
# Written by: cargo bench --profile profiling --bench step -- write
";

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("benches/step/instructions.toml")
}

impl Committed {
    /// Reads the file.
    ///
    /// # Errors
    /// It is not there, or is not as [`Committed::write`] writes it.
    pub(crate) fn read() -> Result<Self, String> {
        let path = path();
        let told = |what: String| format!("`{}`: {what}", path.display());
        let text = std::fs::read_to_string(&path).map_err(|error| told(error.to_string()))?;
        let table: toml::Table = text
            .parse()
            .map_err(|error: toml::de::Error| told(error.to_string()))?;
        let figures = |name: &str| {
            let entries = table.get(name)?.as_table()?;
            entries
                .iter()
                .map(|(variant, n)| Some((variant.clone(), u64::try_from(n.as_integer()?).ok()?)))
                .collect::<Option<BTreeMap<_, _>>>()
        };
        let read = || {
            Some(Self {
                toolchain: table.get("toolchain")?.as_str()?.to_string(),
                kib_per_user: u64::try_from(table.get("kib_per_user")?.as_integer()?).ok()?,
                instructions: figures("instructions")?,
                own_allocations: figures("own_allocations")?,
            })
        };
        read().ok_or_else(|| told("not as `write` writes it".to_string()))
    }

    /// Writes the file.
    ///
    /// # Errors
    /// It cannot be written.
    pub(crate) fn write(&self) -> Result<(), String> {
        let mut text = format!(
            "{HEAD}toolchain = \"{}\"\nkib_per_user = {}\n",
            self.toolchain, self.kib_per_user
        );
        for (name, figures) in [
            ("instructions", &self.instructions),
            ("own_allocations", &self.own_allocations),
        ] {
            text += &format!("\n[{name}]\n");
            for (variant, n) in figures {
                text += &format!("{variant} = {n}\n");
            }
        }
        let path = path();
        std::fs::write(&path, text).map_err(|error| format!("`{}`: {error}", path.display()))
    }
}

/// The compiler, as it names itself.
///
/// # Errors
/// It does not.
pub(crate) fn toolchain() -> Result<String, String> {
    let output = Command::new("rustc")
        .arg("--version")
        .output()
        .map_err(|error| format!("rustc: {error}"))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_string())
}
