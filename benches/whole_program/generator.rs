//! The generators that are compared: how each is started, and how many calls
//! it says that it made.
//!
//! All send the same request; the others get it from our own renderer, with the
//! id that ours has after some thousand calls.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use pmcp_loadtest::internal::protocol::{
    ClientInfo, Dialect, Era, Operation, RequestBody, Revision, ToolCatalog,
};
use serde_json::{Map, Value};

use super::process::{self, Cores, Scratch, ServerProcess};
use super::table::Figures;

const TOOL: &str = "echo";
const ARGUMENTS: &str = r#"{"text":"hello"}"#;

/// What is called.
pub(crate) struct Target {
    url: String,
    era: Era,
}

impl Target {
    /// The tool `echo` of a server.
    pub(crate) fn new(url: &str, era: Era) -> Self {
        Self {
            url: url.to_string(),
            era,
        }
    }

    fn is_tls(&self) -> bool {
        self.url.starts_with("https:")
    }
}

/// How much at once, and how long.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    /// Virtual users, and so connections.
    pub(crate) n_vus: u32,
    /// Length of the run.
    pub(crate) seconds: u64,
    /// Workers of our program; the others have one thread.
    pub(crate) n_workers: usize,
}

/// What makes load.
pub(crate) enum Generator {
    /// Our program.
    Program {
        /// Its binary.
        path: String,
    },
    /// `wrk` on the PATH.
    Wrk,
    /// `oha` on the PATH.
    Oha,
}

/// Calls that a generator says that it made.
struct Calls {
    n_calls: u64,
    n_failed: u64,
    seconds: f64,
}

impl Generator {
    /// Our program at a path.
    pub(crate) fn program(path: &str) -> Self {
        Self::Program {
            path: path.to_string(),
        }
    }

    /// `wrk`; `None` where it is not installed.
    pub(crate) fn wrk() -> Option<Self> {
        // It ends with an error after showing its version.
        Command::new("wrk")
            .arg("-v")
            .output()
            .ok()
            .map(|_| Self::Wrk)
    }

    /// `oha`; `None` where it is not installed.
    pub(crate) fn oha() -> Option<Self> {
        Command::new("oha")
            .arg("--version")
            .output()
            .ok()
            .map(|_| Self::Oha)
    }

    /// Its name in the table.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Program { .. } => "cargo-pmcp",
            Self::Wrk => "wrk",
            Self::Oha => "oha",
        }
    }

    /// Runs it once.
    ///
    /// # Errors
    /// It fails, hangs, or says nothing that can be read.
    pub(crate) fn run(
        &self,
        target: &Target,
        load: Load,
        cores: &Cores,
        server: &ServerProcess,
        scratch: &Scratch,
    ) -> Result<Figures, String> {
        /// To open and close thousands of sessions, and to finish calls.
        const GRACE: Duration = Duration::from_secs(60);
        let limit = Duration::from_secs(load.seconds).saturating_add(GRACE);
        let mut command = match self {
            Self::Program { path } => program_command(path, target, load),
            Self::Wrk => wrk_command(target, load, scratch)?,
            Self::Oha => oha_command(target, load)?,
        };
        let (start, server_before) = (Instant::now(), server.cpu_time());
        let ended = process::run(&mut command, cores, scratch, limit)?;
        let (elapsed, server_after) = (start.elapsed(), server.cpu_time());
        let calls = match self {
            Self::Program { .. } => read_report(scratch),
            Self::Wrk => read_wrk(&ended.output),
            Self::Oha => read_oha(&ended.output),
        }
        .ok_or_else(|| format!("it gave no figures:\n{}", ended.output))?;
        if calls.n_calls == 0 || calls.seconds <= 0.0 {
            return Err(format!("it made no calls:\n{}", ended.output));
        }
        let per_call = |time: Duration| time.as_secs_f64() * 1e6 / calls.n_calls as f64;
        Ok(Figures {
            user_us_per_call: ended.cpu.map(|cpu| per_call(cpu.user)),
            system_us_per_call: ended.cpu.map(|cpu| per_call(cpu.system)),
            calls_per_sec: calls.n_calls as f64 / calls.seconds,
            peak_kib: ended.peak_kib,
            server_busy_percent: server_after
                .zip(server_before)
                .map(|(after, before)| after.saturating_sub(before))
                .map(|busy| 100.0 * busy.as_secs_f64() / elapsed.as_secs_f64()),
            n_failed: calls.n_failed,
        })
    }
}

const REPORT_FILE: &str = "report.json";

fn program_command(path: &str, target: &Target, load: Load) -> Command {
    let mut command = Command::new(path);
    command
        .args(["loadtest", "run", &target.url])
        .args(["--tool", TOOL, "--args", ARGUMENTS])
        .args(["--protocol", &target.era.to_string()])
        .args(["--vus", &load.n_vus.to_string()])
        .args(["--duration", &format!("{}s", load.seconds)])
        .args(["--workers", &load.n_workers.to_string()])
        .args(["--quiet", "--report", REPORT_FILE])
        .args(target.is_tls().then_some("--insecure"))
        .env_remove("MCP_API_KEY");
    command
}

fn read_report(scratch: &Scratch) -> Option<Calls> {
    let path = scratch.path().join(REPORT_FILE);
    let report: Value = serde_json::from_slice(&fs::read(&path).ok()?).ok()?;
    // The next run must not be judged by this one's report.
    fs::remove_file(&path).ok()?;
    Some(Calls {
        n_calls: report["metrics"]["total_requests"].as_u64()?,
        n_failed: report["metrics"]["error_count"].as_u64()?,
        seconds: report["duration_secs"].as_f64()?,
    })
}

/// What `done` of the script writes before its figures.
const WRK_FIGURES: &str = "figures:";

fn wrk_command(target: &Target, load: Load, scratch: &Scratch) -> Result<Command, String> {
    let path = scratch.path().join("post.lua");
    fs::write(&path, wrk_script(target.era)?)
        .map_err(|error| format!("`{}`: {error}", path.display()))?;
    let mut command = Command::new("wrk");
    command
        .args(["-t1", "-c", &load.n_vus.to_string()])
        .args(["-d", &load.seconds.to_string(), "-s"])
        .arg(path)
        .arg(&target.url);
    Ok(command)
}

/// A call as our program sends it: the body, and the headers that matter. No
/// session is opened, which the canned server does not mind; the header of one
/// is sent.
fn request(era: Era) -> Result<(String, Vec<(String, String)>), String> {
    const ID: u64 = 54_321;
    const SESSION: &str = "8a7c0d8e6f2b4f5e9d3c1b0a7e6f5d4c";
    let revision = match era {
        Era::Legacy => Revision::LATEST_LEGACY,
        Era::Modern => Revision::LATEST_MODERN,
    };
    let client = ClientInfo::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
    let arguments: Map<String, Value> =
        serde_json::from_str(ARGUMENTS).map_err(|error| error.to_string())?;
    let operation = Operation::CallTool {
        name: TOOL.to_string(),
        arguments: Some(arguments.into()),
    };
    let prepared = Dialect::new(revision, client)
        .prepare(&operation, &ToolCatalog::empty())
        .map_err(|error| error.to_string())?;
    let mut body = RequestBody::default();
    prepared.render(ID, &[], &mut body);
    let mut headers = Vec::new();
    let mut header = |name: &str, value: &str| headers.push((name.to_string(), value.to_string()));
    header("Accept", "application/json, text/event-stream");
    header("Content-Type", "application/json");
    if era == Era::Legacy {
        header("Mcp-Session-Id", SESSION);
    }
    for (name, value) in prepared.headers() {
        header(name, value);
    }
    Ok((String::from_utf8_lossy(body.bytes()).into_owned(), headers))
}

/// The request as a script.
fn wrk_script(era: Era) -> Result<String, String> {
    let (body, headers) = request(era)?;
    let mut script = format!("wrk.method = \"POST\"\nwrk.body = [==[{body}]==]\n");
    for (name, value) in headers {
        script.push_str(&format!("wrk.headers[\"{name}\"] = [==[{value}]==]\n"));
    }
    script.push_str(&format!(
        "done = function(summary, latency, requests)\n  \
           local e = summary.errors\n  \
           local failed = e.connect + e.read + e.write + e.status + e.timeout\n  \
           io.write(string.format(\"{WRK_FIGURES} %d %d %d\\n\",\n    \
             summary.requests, failed, summary.duration))\n\
         end\n"
    ));
    Ok(script)
}

fn read_wrk(output: &str) -> Option<Calls> {
    let line = output
        .lines()
        .find_map(|line| line.strip_prefix(WRK_FIGURES))?;
    let mut numbers = line.split_whitespace().map(str::parse::<u64>);
    let mut next = || numbers.next()?.ok();
    Some(Calls {
        n_calls: next()?,
        n_failed: next()?,
        seconds: next()? as f64 / 1e6,
    })
}

fn oha_command(target: &Target, load: Load) -> Result<Command, String> {
    let (body, headers) = request(target.era)?;
    let mut command = Command::new("oha");
    command
        .args(["--no-tui", "--output-format", "json", "-m", "POST"])
        .args(["-c", &load.n_vus.to_string()])
        .args(["-z", &format!("{}s", load.seconds)])
        .args(["-d", &body])
        .args(target.is_tls().then_some("--insecure"));
    for (name, value) in headers {
        command.args(["-H", &format!("{name}: {value}")]);
    }
    command.arg(&target.url);
    Ok(command)
}

/// Requests that the end cut off are among its errors; they are not calls.
fn read_oha(output: &str) -> Option<Calls> {
    let start = output.find('{')?;
    let report: Value = serde_json::from_str(&output[start..]).ok()?;
    let by_status = report["statusCodeDistribution"].as_object()?;
    let sum = |wanted: fn(&str) -> bool| -> Option<u64> {
        by_status
            .iter()
            .filter(|(status, _)| wanted(status))
            .map(|(_, n)| n.as_u64())
            .sum()
    };
    Some(Calls {
        n_calls: sum(|_| true)?,
        n_failed: sum(|status| status != "200")?,
        seconds: report["summary"]["total"].as_f64()?,
    })
}
