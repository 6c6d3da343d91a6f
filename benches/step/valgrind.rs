//! Runs the program under valgrind, twice for each figure.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use super::allocations::{Allocations, HeapProfile};
use super::callgrind::{Difference, Profile};
use super::process::{self, Cores, Scratch};
use super::server::{Server, Variant};

/// The numbers of calls of the two runs. The shorter one lasts some ticks, so
/// that all recorders in circulation have made their histograms in both; the
/// difference is so many that single ticks do not show in it.
const N_CALLS: [u64; 2] = [2_000, 8_000];

/// The same for allocations, which are whole numbers for each call.
const N_CALLS_ALLOCATING: [u64; 2] = [200, 1_200];

/// Far more than a run takes under valgrind; a hang ends here.
const TIME_LIMIT: Duration = Duration::from_secs(120);

const REPORT_FILE: &str = "report.json";

/// Valgrind, and the program that it runs.
pub(crate) struct Valgrind {
    program: String,
    scratch: Scratch,
    cores: Cores,
}

impl Valgrind {
    /// Looks whether there is valgrind.
    ///
    /// # Errors
    /// There is none, or no program.
    pub(crate) fn find(program: &str) -> Result<Self, String> {
        Command::new("valgrind")
            .arg("--version")
            .output()
            .map_err(|error| format!("valgrind: {error} (Debian: apt-get install valgrind)"))?;
        // The runs have another working folder.
        let program = std::fs::canonicalize(program)
            .map_err(|error| format!("`{program}`: {error}"))?
            .display()
            .to_string();
        Ok(Self {
            program,
            scratch: Scratch::new()?,
            cores: Cores::choose().generator_free(),
        })
    }

    /// The instructions of the calls by which the runs differ.
    ///
    /// # Errors
    /// The program fails, or not exactly as many calls were made as wanted.
    pub(crate) fn instructions(&self, variant: Variant) -> Result<Difference, String> {
        let mut profiles = Vec::new();
        for n_calls in N_CALLS {
            let out = self.scratch.path().join(format!("callgrind.{n_calls}"));
            let out_file = format!("--callgrind-out-file={}", out.display());
            self.run(
                variant,
                n_calls,
                // A file for each thread, whole names, no relative positions.
                &[
                    "--tool=callgrind",
                    "--separate-threads=yes",
                    "--compress-strings=no",
                    "--compress-pos=no",
                    &out_file,
                ],
            )?;
            profiles.push(self.worker_profile(&format!("callgrind.{n_calls}-"))?);
        }
        Ok(Difference::between(
            &profiles[0],
            &profiles[1],
            N_CALLS[1] - N_CALLS[0],
        ))
    }

    /// The profile of the thread that virtual users ran on.
    fn worker_profile(&self, prefix: &str) -> Result<Profile, String> {
        let mut found = None;
        for path in self.take_files(prefix)? {
            let text = std::fs::read_to_string(&path).map_err(|error| error.to_string())?;
            if found.is_none() && Profile::is_of_worker(&text) {
                found = Some(Profile::read(&text)?);
            }
            std::fs::remove_file(&path).map_err(|error| error.to_string())?;
        }
        found.ok_or_else(|| "no thread ran virtual users, as far as symbols tell".to_string())
    }

    fn take_files(&self, prefix: &str) -> Result<Vec<PathBuf>, String> {
        let files = std::fs::read_dir(self.scratch.path()).map_err(|error| error.to_string())?;
        Ok(files
            .filter_map(|file| file.ok())
            .filter(|file| file.file_name().to_string_lossy().starts_with(prefix))
            .map(|file| file.path())
            .collect())
    }

    /// The allocations of the calls by which the runs differ.
    ///
    /// # Errors
    /// The program fails, or not exactly as many calls were made as wanted.
    pub(crate) fn allocations(&self, variant: Variant) -> Result<Allocations, String> {
        let mut profiles = Vec::new();
        for n_calls in N_CALLS_ALLOCATING {
            let out = self.scratch.path().join("dhat.json");
            let out_file = format!("--dhat-out-file={}", out.display());
            self.run(
                variant,
                n_calls,
                // Deep enough for ureq within us, and with whole paths.
                &[
                    "--tool=dhat",
                    "--num-callers=40",
                    "--fullpath-after=",
                    &out_file,
                ],
            )?;
            let text = std::fs::read_to_string(&out).map_err(|error| error.to_string())?;
            profiles.push(HeapProfile::read(&text)?);
        }
        Ok(Allocations::between(
            &profiles[0],
            &profiles[1],
            N_CALLS_ALLOCATING[1] - N_CALLS_ALLOCATING[0],
        ))
    }

    fn run(&self, variant: Variant, n_calls: u64, tool: &[&str]) -> Result<(), String> {
        let server = Server::start(variant);
        let mut command = Command::new("valgrind");
        command
            .args(tool)
            .arg(&self.program)
            .args(["loadtest", "run", &server.url()])
            .args(["--protocol", variant.protocol()])
            .args(["--iterations", &n_calls.to_string()])
            .args(["--vus", "1", "--workers", "1"])
            // A run without any success fails, unless failures are what is asked for.
            .args([
                "--assert",
                if variant.succeeds() {
                    "errors<1%"
                } else {
                    "errors>99%"
                },
            ])
            .args(["--quiet", "--report", REPORT_FILE])
            .env_remove("MCP_API_KEY");
        if let Some(config) = variant.config() {
            let path = self.scratch.path().join("step.toml");
            std::fs::write(&path, config).map_err(|error| error.to_string())?;
            command.arg("--config").arg(path);
        } else {
            command.args(["--tool", "echo", "--args", r#"{"text":"hello"}"#]);
        }
        let ended = process::run(&mut command, &self.cores, &self.scratch, TIME_LIMIT)?;
        self.look_at_report(variant, n_calls)
            .map_err(|error| format!("{}: {error}\n{}", variant.name(), ended.output))
    }

    /// What was measured must be what was meant.
    fn look_at_report(&self, variant: Variant, n_calls: u64) -> Result<(), String> {
        let path = self.scratch.path().join(REPORT_FILE);
        let text = std::fs::read(&path).map_err(|error| format!("no report: {error}"))?;
        // The next run must not be judged by this one's report.
        std::fs::remove_file(&path).map_err(|error| error.to_string())?;
        let report: Value = serde_json::from_slice(&text).map_err(|error| error.to_string())?;
        let count = |name: &str| report["totals"][name].as_u64();
        let wanted = match variant.succeeds() {
            true => count("ok"),
            false => count("failed"),
        };
        if wanted != Some(n_calls) || count("started") != Some(n_calls) {
            return Err(format!(
                "wanted {n_calls} calls, but the report has {}",
                report["totals"]
            ));
        }
        let n_connections = report["counters"]["connections"].as_u64();
        match n_connections {
            Some(1) => Ok(()),
            _ => Err(format!("calls on {n_connections:?} connections, not one")),
        }
    }
}
