//! Whole configs and flags, against the plan or the faults that they give.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::error::UserError;
use crate::load::{Burst, Distribution, RateStage, ThinkTime, VuStage};
use crate::protocol::{Arguments, Operation, ProtocolChoice, Revision};
use crate::template::ACCEPTED;

const STEP: &str = "[[scenario]]\ntype = \"ping\"\n";

fn environment(name: &str) -> Option<OsString> {
    let text = match name {
        "API_KEY" => Some("sk-hunter2hunter2".to_string()),
        "HOST" => Some("secret-host.example.org".to_string()),
        "SERVER" => Some("https://server.test/mcp?key=hunter2hunter2".to_string()),
        "BREAK" => Some("hunter2\r\nX: y".to_string()),
        "USERINFO" => Some("http://root:hunter2@example.org/".to_string()),
        _ => None,
    };
    text.map(Into::into)
}

fn arguments(values: &Value) -> Option<Arguments> {
    Some(values.as_object()?.clone().into())
}

fn with_url() -> Overrides {
    Overrides {
        url: Some("http://127.0.0.1:8080/mcp".to_string()),
        ..Overrides::default()
    }
}

fn load_with(text: &str, overrides: &Overrides) -> Result<Plan, PlanFaults> {
    let source = Source {
        path: PathBuf::from("a.toml"),
        text: text.to_string(),
    };
    load(Some(&source), overrides, &environment, 7)
}

fn plan_of(text: &str) -> Plan {
    match load_with(text, &with_url()) {
        Ok(plan) => plan,
        Err(faults) => panic!("{text}\n{faults}"),
    }
}

fn faults_with(text: &str, overrides: &Overrides) -> Vec<String> {
    match load_with(text, overrides) {
        Ok(plan) => panic!("{text}\n{plan:?}"),
        Err(faults) => faults.iter().map(ToString::to_string).collect(),
    }
}

/// The config has these faults and no others, beside a step that has none.
fn check(text: &str, expected: &[&str]) {
    let text = format!("{text}\n{STEP}");
    assert_eq!(faults_with(&text, &with_url()), expected, "{text}");
}

/// The same for one line under `[settings]`, which stands in line 2.
fn check_setting(line: &str, expected: &str) {
    check(
        &format!("[settings]\n{line}"),
        &[&format!("a.toml:2:{expected}")],
    );
}

#[test]
fn a_config_of_the_old_program_loads_unchanged() {
    let plan = plan_of(
        r#"
[settings]
virtual_users = 20
duration_secs = 120
timeout_ms = 3000
expected_interval_ms = 100
request_interval_ms = 15000

[[scenario]]
type = "tools/call"
weight = 60
tool = "calculate"
arguments = { expression = "2+2" }

[[scenario]]
type = "resources/read"
weight = 25
uri = "file:///data/config.json"

[[scenario]]
type = "prompts/get"
weight = 10
prompt = "summarize"
arguments = { text = "Hello world" }

[[scenario]]
type = "code_mode"
weight = 5
code = "query { users { id } }"
"#,
    );
    assert_eq!(
        plan.load,
        Load::Closed {
            vus: 20,
            ramp_up: Duration::ZERO,
            pacing: None
        }
    );
    assert_eq!(plan.stop.duration, Some(Duration::from_secs(120)));
    assert_eq!(plan.stop.iterations, None);
    assert_eq!(plan.timeout, Duration::from_secs(3));
    assert_eq!(plan.graceful_stop, Duration::from_secs(3));
    assert_eq!(plan.pause_after_call, Duration::from_secs(15));
    assert_eq!(plan.seed, 7);
    let weights: Vec<u32> = plan.flows.iter().map(|flow| flow.weight).collect();
    assert_eq!(weights, [60, 25, 10, 5]);
    assert_eq!(
        plan.flows[0].steps[0].calls[0].action.value,
        Action::Call(Operation::CallTool {
            name: "calculate".to_string(),
            arguments: arguments(&json!({"expression": "2+2"})),
        })
    );
    assert_eq!(
        plan.flows[3].steps[0].calls[0].action.value,
        Action::CodeMode {
            code: "query { users { id } }".to_string(),
            format: "graphql".to_string(),
        }
    );
    assert_eq!(
        plan.notices,
        ["`settings.expected_interval_ms` is ignored: samples are never invented"]
    );
}

#[test]
fn an_old_config_with_stages_may_say_what_stages_say_better() {
    let config = |settings: &str| {
        format!(
            "[settings]\n{settings}\ntimeout_ms = 5000\n{STEP}weight = 70\n\
             [[stage]]\ntarget_vus = 5\nduration_secs = 10\n\
             [[stage]]\ntarget_vus = 10\nduration_secs = 80\n"
        )
    };
    let plan = plan_of(&config("virtual_users = 10\nduration_secs = 60"));
    let stage = |secs, target_vus| VuStage {
        duration: Duration::from_secs(secs),
        target_vus,
    };
    assert_eq!(
        plan.load,
        Load::Staged {
            stages: vec![stage(10, 5), stage(80, 10)],
            pacing: None
        }
    );
    assert_eq!(plan.stop.duration, Some(Duration::from_secs(90)));
    assert_eq!(
        plan.notices,
        ["`settings.duration_secs` is ignored: the stages last 1m30s in all"]
    );
    let plan = plan_of(&config("virtual_users = 0\nduration_secs = 90"));
    assert!(plan.notices.is_empty());
    let plan = plan_of(&config("virtual_users = 0\nduration_secs = 0"));
    assert_eq!(plan.stop.duration, Some(Duration::from_secs(90)));
}

#[test]
fn every_setting_is_read() {
    let plan = plan_of(
        r#"
[settings]
url = "HTTP://127.0.0.1:8080/other"
virtual_users = 5
duration = "1m30s"
timeout = "2s"
graceful_stop = "500ms"
ramp_up = "10s"
iterations = 1000
seed = 18446744073709551615
workers = 3
pin = false
busy_poll = true
strict = true
protocol = "2025-06-18"
request_interval_ms = 0
think = { distribution = "uniform", low = "1s", high = "3s" }
warm_up = "5s"
session = { iterations = 10, lifetime = "30s", leave = { abandon = 0.25 } }
on_break = "stop"
break_p99 = "250ms"
break_error_share = "2.5%"
message_bytes_max = "1MiB"

[headers]
Authorization = "Bearer ${API_KEY}"

[[scenario]]
type = "resources/templates/list"
parallel = 4
"#,
    );
    // The command line's address takes the place of the config's.
    assert_eq!(plan.target.url.value, "http://127.0.0.1:8080/mcp");
    assert_eq!(
        plan.target.protocol,
        ProtocolChoice::Revision(Revision::V2025_06_18)
    );
    assert_eq!(plan.target.headers[0].value, "Bearer sk-hunter2hunter2");
    assert_eq!(
        plan.load,
        Load::Closed {
            vus: 5,
            ramp_up: Duration::from_secs(10),
            pacing: None
        }
    );
    assert_eq!(
        plan.stop,
        StopRule {
            duration: Some(Duration::from_secs(90)),
            iterations: Some(1000)
        }
    );
    assert_eq!(plan.timeout, Duration::from_secs(2));
    assert_eq!(plan.graceful_stop, Duration::from_millis(500));
    assert_eq!(plan.warm_up, Duration::from_secs(5));
    assert_eq!(plan.seed, u64::MAX);
    assert_eq!(
        plan.workers,
        WorkerRule {
            count: Some(3),
            pin: false,
            busy_poll: true
        }
    );
    assert_eq!(
        plan.think,
        ThinkTime::Uniform {
            low: Duration::from_secs(1),
            high: Duration::from_secs(3)
        }
    );
    assert_eq!(
        plan.session,
        SessionRule {
            iterations: Some(10),
            lifetime: Some(Duration::from_secs(30)),
            abandon: 0.25
        }
    );
    assert_eq!(
        plan.breaking,
        BreakRule {
            stop: true,
            latency_max: Some(Duration::from_millis(250)),
            error_share_max: 0.025
        }
    );
    assert_eq!(plan.message_bytes_max, 1 << 20);
    assert!(plan.strict);
    assert_eq!(plan.flows[0].steps[0].parallel, 4);
    assert_eq!(plan.flows[0].weight, 1);
}

#[test]
fn defaults_hold_where_nothing_is_said() {
    let plan = plan_of(STEP);
    assert_eq!(
        plan.load,
        Load::Closed {
            vus: defaults::VUS,
            ramp_up: Duration::ZERO,
            pacing: None
        }
    );
    assert_eq!(plan.stop.duration, Some(defaults::DURATION));
    assert_eq!(plan.timeout, defaults::TIMEOUT);
    assert_eq!(plan.graceful_stop, defaults::TIMEOUT);
    assert_eq!(plan.breaking.error_share_max, defaults::BREAK_ERROR_SHARE);
    assert_eq!(plan.message_bytes_max, defaults::MESSAGE_BYTES_MAX);
    assert_eq!(plan.target.protocol, ProtocolChoice::Auto);
    assert!(plan.workers.pin && plan.notices.is_empty() && !plan.strict);

    let plan = plan_of(&format!("[settings]\niterations = 5\n{STEP}"));
    assert_eq!(plan.stop.duration, None);
    let plan = plan_of(&format!("[settings]\ntimeout = \"10m\"\n{STEP}"));
    assert_eq!(plan.graceful_stop, defaults::GRACEFUL_STOP_MAX);
}

#[test]
fn thinking_time_has_four_forms() {
    let think = |text: &str| plan_of(&format!("[settings]\nthink = {text}\n{STEP}")).think;
    assert_eq!(think("\"0s\""), ThinkTime::None);
    assert_eq!(
        think("\"500ms\""),
        ThinkTime::Constant(Duration::from_millis(500))
    );
    assert_eq!(
        think("{ distribution = \"exponential\", mean = \"2s\" }"),
        ThinkTime::Exponential {
            mean: Duration::from_secs(2)
        }
    );
    assert_eq!(
        think("{ distribution = \"lognormal\", median = \"2s\", sigma = 1 }"),
        ThinkTime::LogNormal {
            median: Duration::from_secs(2),
            sigma: 1.0
        }
    );
}

#[test]
fn sessions_are_left_in_three_ways() {
    let abandon = |text: &str| {
        plan_of(&format!("[settings]\nsession = {text}\n{STEP}"))
            .session
            .abandon
    };
    assert_eq!(abandon("{ iterations = 1 }"), 0.0);
    assert_eq!(abandon("{ lifetime = \"1s\", leave = \"delete\" }"), 0.0);
    assert_eq!(abandon("{ leave = \"abandon\" }"), 1.0);
    assert_eq!(abandon("{ leave = { abandon = 0.2 } }"), 0.2);
}

#[test]
fn arrivals_have_three_forms() {
    let open = |text: &str| match plan_of(&format!("{text}\n{STEP}")).load {
        Load::Open {
            arrivals,
            max_vus,
            queue_max,
        } => (arrivals, max_vus, queue_max),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        open("[arrivals]\nrate = \"90/m\""),
        (
            Arrivals::Rate {
                per_second: 1.5,
                distribution: Distribution::Constant
            },
            defaults::MAX_VUS,
            defaults::MAX_VUS * defaults::QUEUE_PER_VU
        )
    );
    assert_eq!(
        open("[arrivals]\nburst = 500\nevery = \"5s\"\nqueue_max = 0"),
        (
            Arrivals::Bursts(Burst {
                size: 500,
                every: Duration::from_secs(5)
            }),
            500,
            0
        )
    );
    assert_eq!(
        open(
            "[arrivals]\ndistribution = \"poisson\"\nmax_vus = 5\n\
             [[stage]]\ntarget_rate = \"200/s\"\nduration = \"10s\"\n\
             [[stage]]\ntarget_rate = \"0/s\"\nduration_secs = 5"
        ),
        (
            Arrivals::Staged {
                stages: vec![
                    RateStage {
                        duration: Duration::from_secs(10),
                        target_rate: 200.0
                    },
                    RateStage {
                        duration: Duration::from_secs(5),
                        target_rate: 0.0
                    }
                ],
                distribution: Distribution::Poisson
            },
            5,
            50
        )
    );
}

#[test]
fn all_faults_are_reported_at_once_in_the_order_of_the_file() {
    let text = r#"
[settings]
virtual_users = 0
timeuot_ms = 5000
duration = "5 parsecs"
protocol = "2.0"
think = { distribution = "uniforn", low = "1s", hihg = "2s" }

[headers]
"Content-Length" = "5"
X-Key = "${MISSING_KEY}"

[[scenario]]
type = "tools/call"
weight = 0
tol = "echo"

[[scenario]]
type = "resource/read"
weight = 0
uri = "x"
wieght = 3

[extra]
"#;
    assert_eq!(
        faults_with(text, &Overrides::default()),
        [
            "a.toml:3:17: settings.virtual_users: is zero; expected a whole number from 1 to 1000000",
            "a.toml:4:1: settings.timeuot_ms: unknown key; did you mean `timeout_ms`?",
            "a.toml:5:12: settings.duration: `5 parsecs` is not possible; expected a duration \
                 such as `30s`, `1m30s`, `250ms` or `1.5h`",
            "a.toml:6:12: settings.protocol: `2.0` is not possible; expected `auto`, `legacy`, \
                 `modern` or a revision such as `2025-11-25`",
            "a.toml:7:26: settings.think.distribution: `uniforn` is not known; expected one of \
                 `uniform`, `exponential`, `lognormal`; did you mean `uniform`?",
            "a.toml:7:49: settings.think.hihg: unknown key; did you mean `high`?",
            "a.toml:10:20: headers.Content-Length: frames the request and is set by this program",
            "a.toml:11:9: headers.X-Key: the environment variable `MISSING_KEY` is not set; \
                 expected it to be set, or a default: `${MISSING_KEY:-default}`",
            "a.toml:13:1: scenario: every weight is zero; expected a `weight` above 0 for at \
                 least one entry",
            "a.toml:16:1: scenario[1].tol: unknown key; did you mean `tool`?",
            "a.toml:19:8: scenario[2].type: `resource/read` is not known; expected one of \
                 `tools/call`, `resources/read`, `prompts/get`, `code_mode`, `tools/list`, \
                 `resources/list`, `resources/templates/list`, `prompts/list`, `ping`, \
                 `request`; did you mean `resources/read`?",
            "a.toml:22:1: scenario[2].wieght: unknown key; did you mean `weight`?",
            "a.toml:24:2: extra: unknown key; expected one of `settings`, `headers`, `scenario`, \
                 `flow`, `data`, `stage`, `arrivals`, `population`, `threshold`",
            "URL: there is no server to test; expected an address such as \
                 `http://127.0.0.1:8080/mcp` as an argument, or as `url` under `[settings]`",
        ]
    );
}

#[test]
fn faults_become_one_error_of_usage() {
    let faults = load_with("a = 1", &with_url()).expect_err("there are two faults");
    let error = UserError::from(faults);
    assert_eq!(
        error.what(),
        "2 faults\n  a.toml:1:1: a: unknown key; expected one of `settings`, `headers`, \
             `scenario`, `flow`, `data`, `stage`, `arrivals`, `population`, `threshold`\
         \n  a.toml: scenario: there is nothing to do; expected at least one entry that begins \
         with `[[scenario]]` or `[[flow]]`"
    );
}

#[test]
fn syntax_is_one_fault_with_its_place() {
    let faults = faults_with("[settings]\nvirtual_users 5\nx = [\n", &with_url());
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(faults[0].starts_with("a.toml:2:"), "{faults:?}");
    check(
        "[settings]\nseed = 1\nseed = 2",
        &["a.toml:3:1: the key is given twice"],
    );
    let deep = format!("[settings]\nseed = {}", "[".repeat(300));
    let faults = faults_with(&deep, &with_url());
    assert!(faults[0].starts_with("a.toml:2:"), "{faults:?}");
    assert!(faults[0].ends_with("it nests too deeply"), "{faults:?}");
}

#[test]
fn settings_of_another_type_or_out_of_bounds() {
    check_setting(
        "virtual_users = \"5\"",
        "17: settings.virtual_users: found text; expected a whole number from 0 to 1000000",
    );
    check_setting(
        "virtual_users = -1",
        "17: settings.virtual_users: `-1` is out of bounds; expected a whole number from 0 to 1000000",
    );
    check_setting(
        "virtual_users = 4294967297",
        "17: settings.virtual_users: `4294967297` is out of bounds; expected a whole number from \
             0 to 1000000",
    );
    check_setting(
        "duration_secs = 99999999999999999999999",
        "17: settings.duration_secs: `99999999999999999999999` is out of bounds; expected a whole \
             number from 0 to 31622400",
    );
    check_setting(
        "duration_secs = 0",
        "17: settings.duration_secs: is zero; expected a duration such as `30s`, `1m30s`, `250ms` \
             or `1.5h`",
    );
    check_setting(
        "duration = 60",
        "12: settings.duration: found a whole number; expected a duration such as `30s`, `1m30s`, \
             `250ms` or `1.5h`",
    );
    check_setting(
        "duration = \"0s\"",
        "12: settings.duration: is zero; expected a duration such as `30s`, `1m30s`, `250ms` or `1.5h`",
    );
    check_setting(
        "timeout_ms = 0",
        "14: settings.timeout_ms: `0` is out of bounds; expected a whole number from 1 to 31622400000",
    );
    check_setting(
        "iterations = 1.5",
        "14: settings.iterations: found a fraction; expected a whole number from 1",
    );
    check_setting(
        "pin = \"no\"",
        "7: settings.pin: found text; expected `true` or `false`",
    );
    check_setting(
        "on_break = \"halt\"",
        "12: settings.on_break: `halt` is not known; expected one of `continue`, `stop`",
    );
    check_setting(
        "break_error_share = 0",
        "21: settings.break_error_share: is zero; expected a share above 0 such as `0.05` or `\"5%\"`",
    );
    check_setting(
        "break_error_share = \"200%\"",
        "21: settings.break_error_share: `200%` is not possible; expected a share above 0 such as \
             `0.05` or `\"5%\"`",
    );
    check_setting(
        "message_bytes_max = \"2GiB\"",
        "21: settings.message_bytes_max: `2GiB` is not possible; expected a size from `1KiB` to `1GiB`",
    );
    let rate_of_a_probe = "expected a rate above zero such as `10/s`, at most `1000/s`";
    for (line, place_and_message) in [
        (
            "probe = \"0/s\"",
            "9: settings.probe: `0/s` is not possible",
        ),
        (
            "probe = \"5000/s\"",
            "9: settings.probe: `5000/s` is not possible",
        ),
        ("probe = \"10\"", "9: settings.probe: `10` is not possible"),
        ("probe = true", "9: settings.probe: found a truth value"),
    ] {
        let expected = format!("{place_and_message}; {rate_of_a_probe}");
        check_setting(line, &expected);
    }
    check_setting(
        "workers = 0",
        "11: settings.workers: `0` is out of bounds; expected a whole number from 1 to 4096",
    );
    check_setting(
        "session = { }",
        "11: settings.session: is empty; expected a table such as `{ iterations = 10 }` or `{ \
             lifetime = \"30s\" }`",
    );
    check_setting(
        "session = { leave = 5 }",
        "21: settings.session.leave: found a whole number; expected `\"delete\"`, `\"abandon\"` \
             or `{ abandon = 0.2 }`",
    );
    check_setting(
        "session = { leave = { abandon = nan } }",
        "33: settings.session.leave.abandon: `nan` is out of bounds; expected a number from 0 to 1",
    );
    check_setting(
        "think = { distribution = \"uniform\", low = \"2s\", high = \"1s\" }",
        "56: settings.think.high: is below `low`; expected a duration not below `low`",
    );
    check_setting(
        "think = { mean = \"1s\" }",
        "9: settings.think: the key `distribution` is missing; expected `uniform`, `exponential` \
             or `lognormal`",
    );
    check_setting(
        "think = { distribution = \"exponential\", mean = \"1s\", sigma = 1 }",
        "54: settings.think.sigma: unknown key; expected one of `distribution`, `mean`",
    );
    check(
        "settings = 5",
        &["a.toml:1:12: settings: found a whole number; expected the table `[settings]`"],
    );
    check(
        "[stage]\ntarget_vus = 5",
        &["a.toml:1:1: stage: found a table; expected entries that begin with `[[stage]]`"],
    );
}

#[test]
fn settings_that_exclude_each_other() {
    check(
        "[settings]\nduration_secs = 5\nduration = \"5s\"\ntimeout_ms = 5\ntimeout = \
             \"5s\"\npacing = \"1s\"\nthink = \"1s\"\nramp_up = \"6s\"\nwarm_up = \"5s\"",
        &[
            "a.toml:3:12: settings.duration: says the same as `duration_secs`, which is there \
                 too; expected one of the two",
            "a.toml:5:11: settings.timeout: says the same as `timeout_ms`, which is there too; \
                 expected one of the two",
            "a.toml:7:9: settings.think: does not go with `pacing`, which says when the next \
                 iteration starts; expected one of the two",
            "a.toml:8:11: settings.ramp_up: is longer than the run; expected at most the run's 5s",
            "a.toml:9:11: settings.warm_up: leaves nothing to measure; expected less than the run's 5s",
        ],
    );
    check(
        "[settings]\nduration = \"5s\"\nramp_up = \"1s\"\n[[stage]]\ntarget_vus = 5\nduration = \"1m\"",
        &[
            "a.toml:2:12: settings.duration: does not go with stages, which last 1m in all; \
                 expected the duration of each stage",
            "a.toml:3:11: settings.ramp_up: does not go with stages, which ramp by themselves; \
                 expected a first stage",
        ],
    );
    check(
        "[settings]\nthink = \"1s\"\npacing = \"1s\"\nrequest_interval_ms = 5\nramp_up = \
             \"1s\"\n[arrivals]\nrate = \"5/s\"",
        &[
            "a.toml:2:9: settings.think: does not go with arrivals, which say when iterations \
                 start; expected either arrivals or this",
            "a.toml:3:10: settings.pacing: does not go with arrivals, which say when iterations \
                 start; expected either arrivals or this",
            "a.toml:4:23: settings.request_interval_ms: does not go with arrivals, which say when \
                 iterations start; expected either arrivals or this",
            "a.toml:5:11: settings.ramp_up: does not go with arrivals; stages with `target_rate` \
                 ramp them; expected either arrivals or this",
        ],
    );
}

#[test]
fn stages_at_fault() {
    check(
        "[[stage]]\ntarget_vus = 5\nduration_secs = 0\n[[stage]]\ntarget_rate = \
             \"5/s\"\n[[stage]]\nduration = \"1s\"",
        &[
            "a.toml:3:17: stage[1].duration_secs: `0` is out of bounds; expected a whole number \
                 from 1 to 31622400",
            "a.toml:4:1: stage[2]: the stage has no duration; expected a key such as `duration = \
                 \"30s\"`",
            "a.toml:5:15: stage[2].target_rate: is for arrivals, and this run has no arrivals; \
                 expected `target_vus`, or the table `[arrivals]` beside it",
            "a.toml:6:1: stage[3]: the stage has no target; expected the users at its end, such \
                 as `target_vus = 10`",
        ],
    );
    check(
        "[[stage]]\ntarget_vus = 0\nduration = \"1s\"",
        &["a.toml:1:1: stage: never has a user; expected a stage with at least 1 user"],
    );
    check(
        "[[stage]]\ntarget_vus = 1\nduration = \"366d\"\n[[stage]]\ntarget_vus = 1\nduration = \"1s\"",
        &["a.toml:1:1: stage: lasts longer than a year in all"],
    );
    check(
        "[arrivals]\n[[stage]]\ntarget_vus = 1\nduration = \"1s\"\n[[stage]]\nduration = \
             \"1s\"\ntarget_rate = \"5\"",
        &[
            "a.toml:3:14: stage[1].target_vus: does not go with arrivals, which are served by a \
                 pool of users; expected `target_rate`, and `max_vus` under `[arrivals]`",
            "a.toml:7:15: stage[2].target_rate: `5` is not possible; expected a rate such as \
                 `200/s`, `90/m` or `1000/h`",
        ],
    );
    check(
        "[arrivals]\n[[stage]]\ntarget_rate = \"0/m\"\nduration = \"1s\"",
        &["a.toml:2:1: stage: never has an arrival; expected a stage with a rate above `0/s`"],
    );
}

#[test]
fn arrivals_at_fault() {
    let none = "a.toml:1:1: arrivals: nothing says when iterations start; expected `rate = \
         \"200/s\"`, `burst = 10` with `every = \"5s\"`, or stages with `target_rate`";
    check("[arrivals]", &[none]);
    check(
        "[arrivals]\nrate = \"0/s\"\nmax_vus = 0\nburst = 0",
        &[
            "a.toml:2:8: arrivals.rate: `0/s` is not possible; expected a rate such as `200/s`, \
                 `90/m` or `1000/h`",
            "a.toml:2:8: arrivals.rate: does not go with `arrivals.burst`; expected one of a \
                 rate, bursts and stages",
            "a.toml:3:11: arrivals.max_vus: `0` is out of bounds; expected a whole number from 1 \
                 to 1000000",
            "a.toml:4:9: arrivals.burst: `0` is out of bounds; expected a whole number from 1 to \
                 1000000",
            "a.toml:4:9: arrivals.burst: says how many arrivals, but not when; expected `every = \
                 \"5s\"` beside it",
        ],
    );
    check(
        "[arrivals]\nburst = 5\ndistribution = \"poisson\"",
        &[
            "a.toml:2:9: arrivals.burst: says how many arrivals, but not when; expected `every = \
                 \"5s\"` beside it",
            "a.toml:3:16: arrivals.distribution: does not go with bursts, which come at fixed times",
        ],
    );
    check(
        "[arrivals]\nburst = 1000\nevery = \"1us\"",
        &["a.toml:3:9: arrivals.every: is too short; expected at most 10000000 arrivals a second"],
    );
    let plan = plan_of(&format!(
        "[settings]\nvirtual_users = 5\n[arrivals]\nrate = \"5/s\"\n{STEP}"
    ));
    assert_eq!(plan.notices.len(), 1);
}

/// The step has these faults; it begins in line 1.
fn check_step(lines: &str, expected: &[&str]) {
    let text = format!("[[scenario]]\n{lines}");
    assert_eq!(faults_with(&text, &with_url()), expected, "{text}");
}

#[test]
fn steps_at_fault() {
    check_step(
        "tool = \"echo\"",
        &[
            "a.toml:1:1: scenario[1]: the key `type` is missing; expected a method such as \
                 `tools/call` or `resources/read`",
        ],
    );
    check_step(
        "type = \"tools/call\"\ntool = \" \"\nuri = \"x\"\nparallel = 0\narguments = [1]",
        &[
            "a.toml:3:8: scenario[1].tool: is empty; expected the name of a tool",
            "a.toml:4:1: scenario[1].uri: unknown key; expected one of `type`, `weight`, \
                 `name`, `repeat`, `until`, `think`, `parallel`, `tool`, `arguments`, `generate`, \
                 `isolation`, `progress`, `task`, `extract`, `secret`, `expect`",
            "a.toml:5:12: scenario[1].parallel: `0` is out of bounds; expected a whole number \
                 from 1 to 256",
            "a.toml:6:13: scenario[1].arguments: found a list; expected a table such as `{ text = \
                 \"hello\" }`",
        ],
    );
    check_step(
        "type = \"prompts/get\"\nprompt = \"p\"\narguments = { a = 1, b = \"x\", c = true }",
        &[
            "a.toml:4:19: scenario[1].arguments.a: found a whole number; expected text: a prompt \
                 takes nothing else",
            "a.toml:4:35: scenario[1].arguments.c: found a truth value; expected text: a prompt \
                 takes nothing else",
        ],
    );
    check_step(
        "type = \"code_mode\"\nparallel = 2\nformat = 5",
        &[
            "a.toml:1:1: scenario[1]: the key `code` is missing; expected the code to validate and run",
            "a.toml:3:1: scenario[1].parallel: unknown key; expected one of `type`, `weight`, \
                 `name`, `repeat`, `think`, `code`, `format`",
            "a.toml:4:10: scenario[1].format: found a whole number; expected a language such as \
                 `graphql` or `sql`",
        ],
    );
    check_step(
        "type = \"tools/call\"\ntool = \"t\"\narguments = { deep = [{ a = inf, b = \"${NOPE}\" }] }",
        &[
            "a.toml:4:29: scenario[1].arguments.deep[1].a: `inf` has no form in JSON; expected a \
                 finite number",
            "a.toml:4:38: scenario[1].arguments.deep[1].b: the environment variable `NOPE` is not \
                 set; expected it to be set, or a default: `${NOPE:-default}`",
        ],
    );
    check_step(
        "type = \"tools/list\"\nweight = 4294967295\n[[scenario]]\ntype = \
             \"ping\"\n[settings]\nprotocol = \"modern\"",
        &[
            "a.toml:1:1: scenario: the weights are too large; expected a sum of at most 4294967295",
            "a.toml:4:1: scenario[2]: is a `ping`, which the chosen protocol does not know; \
                 expected another step, or a legacy protocol",
        ],
    );
    assert_eq!(
        faults_with("scenario = []", &with_url()),
        ["a.toml:1:12: scenario: there is nothing to do"]
    );
    assert_eq!(
        faults_with("scenario = [5]", &with_url()),
        [
            "a.toml:1:12: scenario: there is nothing to do",
            "a.toml:1:13: scenario[1]: found a whole number; expected entries that begin with \
                 `[[scenario]]`",
        ]
    );
}

#[test]
fn flows_are_read() {
    let text = r#"
[settings]
preflight = false
[[flow]]
name = "checkout"
weight = 3
on_error = "end-session"
[[flow.step]]
name = "sign in"
once = "session"
type = "tools/call"
tool = "login"
arguments = { user = "u" }
[[flow.step]]
type = "tools/call"
tool = "whoami"
think = "1s"
repeat = 3
generate = true
[[flow.step]]
name = "both"
[[flow.step.call]]
name = "left"
type = "ping"
[[flow.step.call]]
type = "request"
method = "tasks/get"
params = { taskId = "7", token = "hunter2hunter2" }
name_header = "params.taskId"
[[scenario]]
name = "alone"
type = "tools/list"
"#;
    let plan = plan_of(text);
    assert!(!plan.preflight);
    let [alone, checkout] = &plan.flows[..] else {
        panic!("{:?}", plan.flows);
    };
    assert_eq!((&alone.name, alone.weight), (&None, 1));
    assert_eq!(alone.steps[0].name.as_deref(), Some("alone"));
    assert_eq!(checkout.name.as_deref(), Some("checkout"));
    assert_eq!(
        (checkout.weight, checkout.on_error),
        (3, OnError::EndSession)
    );
    let [sign_in, whoami, both] = &checkout.steps[..] else {
        panic!("{checkout:?}");
    };
    assert!(sign_in.is_once && !whoami.is_once);
    assert_eq!((whoami.repeat, whoami.calls[0].generate), (3, true));
    assert_eq!(
        whoami.think,
        Some(ThinkTime::Constant(Duration::from_secs(1)))
    );
    assert_eq!((both.calls.len(), both.calls_at_once()), (2, 2));
    assert_eq!(both.calls[0].name.as_deref(), Some("left"));
    let Action::Call(request) = &both.calls[1].action.value else {
        panic!("{both:?}");
    };
    assert_eq!(request.label(), "tasks/get 7");
    let json = to_json(&plan);
    assert_eq!(
        json["scenario"],
        json!([{"name": "alone", "type": "tools/list", "parallel": 1, "weight": 1}])
    );
    assert_eq!(
        json["flow"],
        json!([{
            "name": "checkout",
            "weight": 3,
            "on_error": "end-session",
            "step": [
                {"name": "sign in", "type": "tools/call", "tool": "login",
                 "arguments": {"user": "u"}, "once": "session", "parallel": 1},
                {"type": "tools/call", "tool": "whoami", "generate": true, "repeat": 3,
                 "think": {"distribution": "constant", "value_ms": 1000.0}, "parallel": 1},
                {"name": "both", "call": [
                    {"name": "left", "type": "ping"},
                    {"type": "request", "method": "tasks/get",
                     "params": {"taskId": "7", "token": "***"}, "name_header": "params.taskId"},
                ], "parallel": 1},
            ],
        }])
    );
    assert!(!all_shown(&plan).contains("hunter2"));
    let lines: Vec<String> = describe(&plan)
        .into_iter()
        .filter(|(label, _)| ["flow", "step", "preflight"].contains(&label.as_str()))
        .map(|(label, text)| format!("{label}: {text}"))
        .collect();
    assert_eq!(
        lines,
        [
            "step: alone: tools/list, 25% of the iterations",
            "flow: checkout, 75% of the iterations; a step that fails ends the session",
            "step: sign in: tools/call login {\"user\":\"u\"}, once in a session",
            "step: tools/call whoami with arguments made from its schema, 3 times, then a pause: 1s",
            "step: both: left: ping + tasks/get 7 {\"taskId\":\"7\",\"token\":\"***\"}, 2 at once",
            "preflight: nothing is held against what the server lists",
        ]
    );
}

#[test]
fn flows_at_fault() {
    let step = "[[flow.step]]\ntype = \"tools/list\"\n";
    let check = |text: &str, expected: &[&str]| {
        assert_eq!(faults_with(text, &with_url()), expected, "{text}");
    };
    check(
        "[[flow]]\nwieght = 2\non_error = \"stop\"\n",
        &[
            "a.toml:1:1: flow[1]: the key `name` is missing; expected a name such as `checkout`",
            "a.toml:1:1: flow[1]: the key `step` is missing; expected entries that begin with \
                 `[[flow.step]]`",
            "a.toml:2:1: flow[1].wieght: unknown key; did you mean `weight`?",
            "a.toml:3:12: flow[1].on_error: `stop` is not known; expected one of \
                 `end-iteration`, `continue`, `end-session`",
        ],
    );
    check(
        &format!(
            "[[flow]]\nname = \"a\"\n{step}name = \"b\"\n{step}name = \"b\"\n\
                  [[flow]]\nname = \"a\"\n{step}name = \"b\"\n"
        ),
        &[
            "a.toml:8:8: flow[1].step[2].name: `b` is `flow[1].step[1].name` already; expected a \
                 name of its own",
            "a.toml:10:8: flow[2].name: `a` is `flow[1].name` already; expected a name of its own",
        ],
    );
    check(
        &format!("[[flow]]\nname = \"a\"\n{step}once = \"session\"\n"),
        &[
            "a.toml:1:1: flow[1]: every step is done once in a session: an iteration has none; \
                 expected a step without `once`",
        ],
    );
    check(
        &format!("[[flow]]\nname = \"a\"\n{step}{step}once = \"session\"\n{step}once = \"run\"\n"),
        &[
            "a.toml:7:8: flow[1].step[2].once: comes after a step of each iteration; expected \
                 steps with `once` before all others",
            "a.toml:10:8: flow[1].step[3].once: `run` is not known; expected one of `session`",
            "a.toml:10:8: flow[1].step[3].once: comes after a step of each iteration; expected \
                 steps with `once` before all others",
        ],
    );
    check(
        "[[flow]]\nname = \"a\"\n[[flow.step]]\nname = \"x\"\n[[flow.step]]\ntype = \"request\"\n\
         method = \"a\"\nname_header = \"params.n\"\nparams = { n = 1 }\n",
        &[
            "a.toml:3:1: flow[1].step[1]: the key `type` is missing; expected a method such as \
                 `tools/call` or `resources/read`, or entries that begin with `[[flow.step.call]]`",
            "a.toml:8:15: flow[1].step[2].name_header: leads to no text; expected the path of a \
                 text in `params`, such as `params.name`",
        ],
    );
    let many: String = (0..2001)
        .map(|i| format!("[[scenario]]\ntype = \"tools/call\"\ntool = \"t{i}\"\n"))
        .collect();
    check(
        &many,
        &[
            "a.toml:1:1: scenario: the steps make 2001 rows of figures; expected at most 2000: one \
                 for each name or operation of a flow",
        ],
    );
    let (one_less, _) = many.split_at(many.rfind("[[scenario]]").expect("an entry"));
    assert_eq!(plan_of(one_less).flows.len(), 2000);
}

const FLOW: &str = r#"
[[flow]]
name = "checkout"
[[flow.step]]
name = "sign in"
once = "session"
type = "tools/call"
tool = "login"
arguments = { user = "{{data.users.name}}", at = "{{now}}", password = "{{data.users.password}}" }
extract = { token = "$.structuredContent.token", id = "$.content[0].text | json | $.id" }
secret = ["id"]
[[flow.step]]
type = "tools/call"
tool = "whoami {{vu}}"
arguments = { token = "{{token}}", "{{id}}" = [{ a = "{{{{x}} {{id}} ${API_KEY}" }] }
expect = [
    { contains = "u", max_bytes = "20KiB", schema = "10%" },
    { path = "$.structuredContent.name", equals = { a = [1, 2.5] }, matches = ["a+", "b"] },
]
[[flow.step]]
type = "resources/read"
uri = "user://{{token}}"
until = { path = "$.contents[0].text", equals = "done", every = "10ms", at_most = 7 }
[[flow.step]]
type = "tools/call"
tool = "broken"
expect = { is_error = true, status = 200 }
[data.users]
rows = [{ name = "a", password = "hunter2hunter2" }, { name = "b", password = "p" }]
"#;

#[test]
fn values_and_expectations_are_read() {
    let plan = plan_of(FLOW);
    let [flow] = &plan.flows[..] else {
        panic!("{:?}", plan.flows);
    };
    let calls: Vec<&Call> = flow.calls().collect();
    let values = calls[0].extracts.iter();
    let values: Vec<_> = values
        .map(|value| {
            (
                value.name.as_str(),
                value.source.to_string(),
                value.is_secret,
            )
        })
        .collect();
    assert_eq!(
        values,
        [
            ("token", "$.structuredContent.token".to_string(), true),
            ("id", "$.content[0].text | json | $.id".to_string(), true),
        ]
    );
    let Action::Call(whoami) = &calls[1].action.value else {
        panic!("{:?}", calls[1]);
    };
    assert_eq!(whoami.subject(), Some("whoami {{vu}}"));
    // What comes from the environment, and what stands for braces, fills nothing in.
    assert_eq!(
        whoami.arguments().map(Arguments::json),
        Some(r#"{"token":"{{token}}","{{id}}":[{"a":"{{{{x}} {{id}} sk-hunter2hunter2"}]}"#)
    );
    let awaited = &calls[1].expectations;
    assert_eq!((awaited.contains.len(), awaited.matches.len()), (1, 2));
    assert_eq!(awaited.equals[0].value, json!({"a": [1, 2.5]}));
    assert!(awaited.equals[0].source.is_some() && awaited.contains[0].source.is_none());
    assert_eq!(awaited.schema, crate::expect::SchemaShare::new(0.1));
    assert_eq!(awaited.max_bytes, Some(20 << 10));
    let until = flow.steps[2].until.as_ref().expect("it is given");
    assert_eq!((until.every, until.at_most), (Duration::from_millis(10), 7));
    assert!(calls[3].expectations.awaits_failure());
    // The set is used up after two iterations.
    assert_eq!((plan.data.len(), plan.stop.iterations), (1, Some(2)));
    assert!(
        plan.redactor()
            .secrets()
            .any(|secret| secret == "hunter2hunter2")
    );
    assert!(!all_shown(&plan).contains("hunter2"));
    let json = to_json(&plan);
    let step = &json["flow"][0]["step"];
    assert_eq!(
        step[0]["arguments"],
        json!({"user": "{{data.users.name}}", "at": "{{now}}", "password": "{{data.users.password}}"})
    );
    assert_eq!(step[0]["secret"], json!(["token", "id"]));
    // As it is written: what stands for braces is not a template.
    assert_eq!(
        step[1]["arguments"]["{{id}}"][0]["a"],
        "{{{{x}} {{id}} ${API_KEY}"
    );
    let told = "`password` in 1 row of the data set `users` has fewer than 4 characters";
    assert!(plan.notices[0].starts_with(told), "{:?}", plan.notices);
    assert_eq!(
        step[1]["expect"],
        json!([
            {"contains": "u"},
            {"path": "$.structuredContent.name", "matches": "a+"},
            {"path": "$.structuredContent.name", "matches": "b"},
            {"path": "$.structuredContent.name", "equals": {"a": [1, 2.5]}},
            {"schema": 0.1},
            {"max_bytes": 20480},
        ])
    );
    assert_eq!(
        step[2]["until"],
        json!({"path": "$.contents[0].text", "equals": "done", "every_ms": 10.0, "at_most": 7})
    );
    assert_eq!(
        json["data"],
        json!([{"name": "users", "rows": 2, "columns": ["name", "password"],
                "mode": "sequential", "at_end": "stop"}])
    );
    let lines = describe(&plan);
    let line = |label: &str| {
        let found = lines.iter().filter(|(name, _)| name == label);
        found.map(|(_, text)| text.as_str()).collect::<Vec<_>>()
    };
    assert_eq!(
        line("data"),
        ["users: 2 rows of name, password, one for each iteration; the last ends the run"]
    );
    assert!(
        line("step")[0].ends_with(", takes token, id, once in a session"),
        "{lines:?}"
    );
    assert!(
        line("step")[3].ends_with("tools/call broken, awaits is_error, status"),
        "{lines:?}"
    );
}

#[test]
fn templates_and_paths_at_fault_are_all_told() {
    let text = r#"
[headers]
X-A = "{{token}}"
X-B = "{{data.user.name}}"
[[flow]]
name = "f"
[[flow.step]]
type = "tools/call"
tool = "{{later}}"
arguments = { a = "{{random.int 5}}", b = "{{vuu}}", c = "{{tokn}}", d = "{{data.users.nme}}" }
extract = { token = "$.a[", now = "$.b", x = "structuredContent" }
secret = ["tokne"]
[[flow.step]]
type = "ping"
extract = { later = "$", later2 = "$.a" }
secret = ["later3"]
expect = { path = "$.a" }
until = { equals = 1 }
parallel = 2
[[flow.step]]
type = "ping"
extract = { later = "$" }
expect = [{ code = 1 }, { code = 2, is_error = true, matches = "(" }]
[data.users]
rows = [{ name = "a" }, { nam = "b" }]
[data.files]
file = "no-such.csv"
at_end = "stop"
mode = "random"
[data.none]
"#;
    // What a path may be is told by who reads them.
    let of_path = |fault: &String| {
        let is_there = ["a.toml:11:21: ", "a.toml:11:46: "];
        is_there.iter().any(|place| fault.starts_with(place))
    };
    let (of_paths, others): (Vec<_>, Vec<_>) = faults_with(text, &with_url())
        .into_iter()
        .partition(of_path);
    assert_eq!(of_paths.len(), 2);
    for (fault, of) in of_paths.iter().zip(["$.a[", "structuredContent"]) {
        assert!(
            fault.contains(of) && fault.contains("expected a path such as"),
            "{fault}"
        );
    }
    assert_eq!(
        others,
        [
            "a.toml:3:7: headers.X-A: what goes with each request is filled in before the first \
                step of a session: no answer brings `{{token}}` by then; expected a template that \
                needs no answer, such as `{{vu}}`, or a column of a data set \
                (`{{data.SET.COLUMN}}`); a token comes from `--token-command`, `--token-file` or \
                OAuth"
                .to_string(),
            "a.toml:4:7: headers.X-B: there is no data set `user`; expected one of `users`, \
                `files`, `none`; did you mean `users`?"
                .to_string(),
            "a.toml:9:8: flow[1].step[1].tool: `{{later}}` is not there yet: \
                `flow[1].step[2].extract.later` brings it; expected a step after the one that \
                extracts it"
                .to_string(),
            "a.toml:10:19: flow[1].step[1].arguments.a: `{{random.int 5}}` is incomplete or \
                wrong; expected `{{random.int LOW HIGH}}`, two whole numbers of 64 bits, the \
                lower first"
                .to_string(),
            "a.toml:10:43: flow[1].step[1].arguments.b: `{{vuu}}` is not a template; did you mean \
                `vu`?"
                .to_string(),
            "a.toml:10:58: flow[1].step[1].arguments.c: `{{tokn}}` is not a template; did you mean \
                `token`?"
                .to_string(),
            "a.toml:11:35: flow[1].step[1].extract.now: is not a name for a value; expected letters, \
                digits, `_` and `-`, no digit first, and no word of the language of templates \
                such as `now`"
                .to_string(),
            "a.toml:12:11: flow[1].step[1].secret[1]: `tokne` is not extracted here; expected the \
                name of a value in `extract`; did you mean `token`?"
                .to_string(),
            "a.toml:15:11: flow[1].step[2].extract: looks at one answer, and the step makes \
                several calls at once; expected no `parallel` beside it"
                .to_string(),
            "a.toml:16:11: flow[1].step[2].secret[1]: `later3` is not extracted here; expected \
                the name of a value in `extract`; did you mean `later`?"
                .to_string(),
            "a.toml:17:19: flow[1].step[2].expect.path: has nothing to be compared with; expected one of \
                `contains`, `matches`, `equals` beside it"
                .to_string(),
            "a.toml:18:9: flow[1].step[2].until: the key `path` is missing; expected a path such \
                as `$.structuredContent.id` or `$.content[0].text | json | $.id`, or `header \
                NAME`"
                .to_string(),
            "a.toml:18:9: flow[1].step[2].until: looks at one answer, and the step makes several \
                calls at once; expected no `parallel` beside it"
                .to_string(),
            "a.toml:22:21: flow[1].step[3].extract.later: is `flow[1].step[2].extract.later` \
                already; expected a name of its own"
                .to_string(),
            "a.toml:23:25: flow[1].step[3].expect[2]: awaits a tool's failure and an error of \
                JSON-RPC: an answer has one; expected one of `is_error`, `code`"
                .to_string(),
            "a.toml:23:34: flow[1].step[3].expect[2].code: is given twice; expected it in one of \
                the tables"
                .to_string(),
            "a.toml:23:64: flow[1].step[3].expect[2].matches: unclosed group; expected a regular \
                expression, or a list"
                .to_string(),
            "a.toml:25:8: data.users.rows: row 2: has `nam`, which the first row does not have"
                .to_string(),
            "a.toml:27:8: data.files.file: `no-such.csv` cannot be read: no such file or \
                directory; expected a path relative to this config, or an absolute one"
                .to_string(),
            "a.toml:28:10: data.files.at_end: goes with `mode = \"sequential\"`: other modes have \
                no end"
                .to_string(),
            "a.toml:30:1: data.none: has no rows; expected one of `file = \"users.csv\"`, `rows = \
                [{ name = \"a\" }]`"
                .to_string()
        ]
    );
}

#[test]
fn what_is_no_template_is_sent_as_it_stands_without_flows_and_data() {
    let plan = plan_of(
        "[headers]\nX-A = \"{{a}}\"\n[[scenario]]\ntype = \"tools/call\"\ntool = \"t\"\n\
         arguments = { a = \"{{name}} {{uuid}} {{data.a.b}}\", b = \"{{\" }\n",
    );
    let Action::Call(call) = &plan.flows[0].steps[0].calls[0].action.value else {
        panic!("{:?}", plan.flows);
    };
    assert_eq!(
        call.arguments().map(Arguments::json),
        Some(r#"{"a":"{{{{name}} {{uuid}} {{{{data.a.b}}","b":"{{{{"}"#)
    );
    assert_eq!(plan.target.headers[0].value, "{{{{a}}");
    assert_eq!(
        plan.notices,
        [
            "what is not a template is sent as it stands in a config without `[[flow]]` and \
             `[data]`: `{{a}}` (headers.X-A), `{{name}}` (scenario[1].arguments.a), \
             `{{data.a.b}}` (scenario[1].arguments.a), `{{` (scenario[1].arguments.b)"
        ]
    );
}

#[test]
fn a_tool_on_the_command_line_keeps_the_steps_that_bring_its_values() {
    let overrides = |tool: &str| Overrides {
        tool: Some((tool.to_string(), None)),
        ..with_url()
    };
    let labels = |tool: &str| {
        let plan = load_with(FLOW, &overrides(tool)).expect("no faults");
        let calls = plan.flows.iter().flat_map(Flow::calls);
        let label = |call: &Call| match &call.action.shown {
            Action::Call(operation) => (operation.label(), call.generate),
            Action::CodeMode { .. } => panic!("{call:?}"),
        };
        (calls.map(label).collect::<Vec<_>>(), plan.data.len())
    };
    let call = |label: &str, generate| (format!("tools/call {label}"), generate);
    assert_eq!(
        labels("whoami {{vu}}"),
        (vec![call("login", false), call("whoami {{vu}}", false)], 1)
    );
    assert_eq!(labels("login"), (vec![call("login", false)], 1));
    assert_eq!(labels("broken"), (vec![call("broken", false)], 0));
    // Arguments are made for one that the config does not call.
    assert_eq!(labels("other"), (vec![call("other", true)], 0));
    let plan = load_with(FLOW, &overrides("login")).expect("no faults");
    assert!(!plan.flows[0].steps[0].is_once);
    let arguments = Arguments::read(r#"{"a": "{{data.users.name}}", "n": 1.10, "b": "{{{{x"}"#);
    let flags = Overrides {
        tool: Some(("t{{".to_string(), arguments.ok())),
        ..with_url()
    };
    let plan = load_with(FLOW, &flags).expect("no faults");
    let Action::Call(call) = &plan.flows[0].steps[0].calls[0].action.value else {
        panic!("{:?}", plan.flows);
    };
    assert_eq!(call.subject(), Some("t{{{{"));
    assert_eq!(
        call.arguments().map(Arguments::json),
        Some(r#"{"a": "{{data.users.name}}", "n": 1.10, "b": "{{{{x"}"#)
    );
    assert_eq!(plan.data.len(), 1);
    let arguments = Arguments::read(r#"{"a": "{{token}}", "b": "{{data.users.nme}}"}"#);
    let flags = Overrides {
        tool: Some(("t".to_string(), arguments.ok())),
        ..with_url()
    };
    assert_eq!(
        faults_with(FLOW, &flags),
        [
            "--args: `--tool` with `--args` makes one call and no other step: no answer brings \
                `{{token}}` by then; expected a template that needs no answer, such as `{{vu}}`, \
                or a column of a data set (`{{data.SET.COLUMN}}`); without `--args`, the steps of \
                the config that bring the values of its call are made as well"
                .to_string(),
            "--args: the data set `users` has no column `nme`; expected one of `name`, \
                `password`; did you mean `name`?"
                .to_string(),
        ]
    );
}

#[test]
fn operations_that_share_a_name_have_their_own_behind_it() {
    let plan = plan_of(
        "[[flow]]\nname = \"f\"\n[[flow.step]]\nname = \"page\"\n[[flow.step.call]]\nname = \"own\"\n\
         type = \"tools/list\"\n[[flow.step.call]]\ntype = \"tools/call\"\ntool = \"{{vu}}\"\n\
         [[flow.step]]\nname = \"single\"\ntype = \"tools/list\"\n[[flow.step]]\ntype = \"ping\"\n",
    );
    let names: Vec<Option<String>> = plan
        .steps()
        .flat_map(|step| step.calls.iter().map(move |call| (step, call)))
        .map(|(step, call)| match &call.action.shown {
            Action::Call(operation) => step.row_name(call, operation),
            Action::CodeMode { .. } => None,
        })
        .collect();
    let expected = ["own", "page: tools/call {{vu}}", "single"];
    let expected = expected.map(|name| Some(name.to_string())).into_iter();
    assert_eq!(names, expected.chain([None]).collect::<Vec<_>>());
}

#[test]
fn headers_go_by_the_number_of_the_user_and_that_is_told() {
    let plan = plan_of(&format!(
        "[headers]\nA = \"{{{{data.a.n}}}}-{{{{vu}}}}\"\nB = \"{{{{data.b.n}}}}{{{{iteration}}}}\"\n\
         [data.a]\nrows = [{{ n = 1 }}]\nat_end = \"repeat\"\n\
         [data.b]\nrows = [{{ n = 1 }}]\nmode = \"random\"\n{STEP}"
    ));
    assert_eq!(
        plan.notices,
        [
            "what fills headers is fixed before a session's first iteration, so the user's number \
             stands for that of the iteration, and its row is the user's in each session: \
             `{{data.a.n}}` (headers.A), `{{iteration}}` (headers.B)"
        ]
    );
}

#[test]
fn a_value_of_another_flow_is_told_from_what_is_no_template() {
    let flow = |name: &str, keys: &str| {
        format!("[[flow]]\nname = \"{name}\"\n[[flow.step]]\ntype = \"tools/call\"\n{keys}\n")
    };
    let brings = flow("a", "tool = \"t\"\nextract = { tok = \"$.a\" }");
    let takes = flow("b", "tool = \"{{tok}}\"\narguments = { a = \"{{tokk}}\" }");
    check(
        &(brings + &takes),
        &[
            "a.toml:11:8: flow[2].step[1].tool: `{{tok}}` is a value of another flow: \
             `flow[1].step[1].extract.tok` brings it, and values stay within their flow; expected \
             a step before this one in its flow that extracts it",
            &format!(
                "a.toml:12:19: flow[2].step[1].arguments.a: `{{{{tokk}}}}` is not a template; \
                 expected {ACCEPTED}"
            ),
        ],
    );
}

#[test]
fn files_of_no_known_kind_are_refused_before_they_are_read() {
    check(
        "[data.a]\nfile = \"users.json\"\n[data.b]\nfile = \"no-such.CSV\"\n",
        &[
            "a.toml:2:8: data.a.file: `users.json` is of no kind that is known; expected a file \
             with rows of CSV (`.csv`) or of JSON (`.jsonl`)",
            "a.toml:4:8: data.b.file: `no-such.CSV` cannot be read: no such file or directory; \
             expected a path relative to this config, or an absolute one",
        ],
    );
}

#[test]
fn one_mistake_is_one_fault() {
    let step = "[[scenario]]\ntype = \"ping\"\n";
    for (text, expected) in [
        (
            "[[population]]\nname = \"a\"\nshre = 0.5\n[[population]]\nname = \"b\"\nshare = 0.5\n",
            "a.toml:3:1: population[1].shre: unknown key; did you mean `share`?",
        ),
        (
            "[[population]]\nnme = \"a\"\nshare = 1\n",
            "a.toml:2:1: population[1].nme: unknown key; did you mean `name`?",
        ),
        (
            "[[stage]]\ntarget_vs = 3\nduration = \"1s\"\n",
            "a.toml:2:1: stage[1].target_vs: unknown key; did you mean `target_vus`?",
        ),
        (
            "[[stage]]\ntarget_vus = 3\nduraton = \"1s\"\n",
            "a.toml:3:1: stage[1].duraton: unknown key; did you mean `duration`?",
        ),
        (
            "[arrivls]\nmax_vus = 3\n[[stage]]\ntarget_rate = \"3/s\"\nduration = \"1s\"\n",
            "a.toml:1:2: arrivls: unknown key; did you mean `arrivals`?",
        ),
        (
            "[[scenario]]\ntype = \"tools/call\"\ntol = \"a\"\n",
            "a.toml:3:1: scenario[1].tol: unknown key; did you mean `tool`?",
        ),
        (
            "[[threshold]]\nasert = \"p99<1s\"\n",
            "a.toml:2:1: threshold[1].asert: unknown key; did you mean `assert`?",
        ),
        (
            "[[scenario]]\ntype = \"tools/call\"\ntool = \"a\"\narguments = { x = \"{{data.u.a}}\" }\n\
             [dta.u]\nfile = \"u.csv\"\n",
            "a.toml:5:2: dta: unknown key; did you mean `data`?",
        ),
        (
            "[[flow]]\nname = \"f\"\n[[flow.step]]\ntype = \"tools/call\"\ntool = \"a\"\n\
             extrct = { t = \"$.a\" }\n[[flow.step]]\ntype = \"tools/call\"\ntool = \"b\"\n\
             arguments = { x = \"{{t}}\" }\n",
            "a.toml:6:1: flow[1].step[1].extrct: unknown key; did you mean `extract`?",
        ),
    ] {
        let text = match text.contains("[[scenario]]") || text.contains("[[flow]]") {
            true => text.to_string(),
            false => format!("{text}{step}"),
        };
        check(&text, &[expected]);
    }
    check(
        "[[scenaro]]\ntype = \"ping\"\n",
        &["a.toml:1:3: scenaro: unknown key; did you mean `scenario`?"],
    );
    // Where the key is there as well, what is mistyped is another thing.
    check(
        &format!("[[population]]\nname = \"a\"\nnam = \"a\"\n{step}"),
        &[
            "a.toml:1:1: population[1]: the population has neither `share` nor `vus`; expected a \
             `share` for each population, or `vus` for each",
            "a.toml:3:1: population[1].nam: unknown key; did you mean `name`?",
        ],
    );
}

#[test]
fn data_files_without_an_ending_are_told_to_be_read_as_csv() {
    let folder = std::env::temp_dir().join(format!("data-endless-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder for the test");
    std::fs::write(folder.join("users"), "name\nx\n").expect("a file");
    std::fs::write(
        folder.join("lines"),
        "{\"name\":\"x\",\"n\":1}\n{\"n\":1}\n",
    )
    .expect("a file");
    let load_in = |file: &str| {
        let source = Source {
            path: folder.join("a.toml"),
            text: format!(
                "[[scenario]]\ntype = \"tools/call\"\ntool = \"t\"\n\
                 arguments = {{ a = \"{{{{data.a.name}}}}\" }}\n\
                 [data.a]\nfile = \"{file}\"\nat_end = \"repeat\"\n"
            ),
        };
        load(Some(&source), &with_url(), &environment, 7)
    };
    let plan = load_in("users").expect("no faults");
    let faults = load_in("lines").expect_err("no CSV").to_string();
    std::fs::remove_dir_all(&folder).expect("the test's own folder");
    let told = "the data file `users` has no ending and is read as CSV";
    assert!(
        plan.notices.iter().any(|notice| notice.starts_with(told)),
        "{:?}",
        plan.notices
    );
    assert!(
        faults.contains("(the file has no ending and is read as CSV;"),
        "{faults}"
    );
}

#[test]
fn data_files_lie_beside_the_config() {
    let folder = std::env::temp_dir().join(format!("data-beside-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder for the test");
    std::fs::write(folder.join("a.csv"), "name,token\nx,hunter2hunter2\ny,z\n").expect("a file");
    std::fs::write(folder.join("b.jsonl"), "{\"n\":12345678901234567890123}\n").expect("a file");
    std::fs::write(folder.join("c.csv"), "name\nx\ny,z\n").expect("a file");
    let load_in = |text: &str| {
        let source = Source {
            path: folder.join("a.toml"),
            text: text.to_string(),
        };
        load(Some(&source), &with_url(), &environment, 7)
    };
    let step = "[[scenario]]\ntype = \"tools/call\"\ntool = \"t\"\n\
                arguments = { a = \"{{data.a.name}}\", b = \"{{data.b.n}}\" }\n";
    let plan = load_in(&format!(
        "{step}[data.a]\nfile = \"a.csv\"\nat_end = \"repeat\"\n\
         [data.b]\nfile = \"b.jsonl\"\nmode = \"random\"\n"
    ));
    let plan = plan.expect("no faults");
    assert_eq!(plan.data[1].cell(0, 0), "12345678901234567890123");
    assert_eq!(plan.stop.iterations, None);
    assert!(
        plan.redactor()
            .secrets()
            .any(|secret| secret == "hunter2hunter2")
    );
    let faults = load_in(&format!(
        "{step}[data.a]\nfile = \"c.csv\"\n[data.b]\nfile = \"b.jsonl\"\nmode = \"unique-per-vu\"\n"
    ));
    let faults = faults
        .expect_err("too many cells, too few rows")
        .to_string();
    let faults = faults.replace(&folder.display().to_string(), "");
    std::fs::remove_dir_all(&folder).expect("the test's own folder");
    assert_eq!(
        faults,
        "/c.csv:3: has 2 columns where the first row names 1\n/a.toml:7:1: data.b: has 1 row for \
         10 users, and each needs one; expected as many rows as users, or another `mode`"
    );
}

#[test]
fn headers_at_fault_do_not_show_their_value() {
    check(
        "[headers]\nX-A = 5\n\"X B\" = \"hunter2\"\nX-C = \"${BREAK}\"\nX-D = \"hunter2 ${\"\nx-e \
             = \"1\"\nX-E = \"hunter2\"",
        &[
            "a.toml:2:7: headers.X-A: found a whole number; expected text such as `\"Bearer \
                 ${API_KEY}\"`",
            "a.toml:3:9: headers.\"X B\": is not a header name: letters, digits and `-` are",
            "a.toml:4:7: headers.X-C: has a line break in its value",
            "a.toml:5:7: headers.X-D: a `${` begins no reference; expected `${NAME}`, \
                 `${NAME:-default}`, or `$${` for a literal `${`",
            "a.toml:7:7: headers.X-E: is given twice: letters of either case make the same header",
        ],
    );
}

#[test]
fn addresses_at_fault_are_not_shown() {
    let check = |line: &str, expected: &str| {
        let text = format!("[settings]\n{line}\n{STEP}");
        let faults = faults_with(&text, &Overrides::default());
        assert_eq!(faults, [format!("a.toml:2:7: settings.url: {expected}")]);
    };
    let form = "expected an address such as `http://127.0.0.1:8080/mcp`";
    let userinfo = "holds a user name or password; send a header instead: `-H 'Authorization: …'`, \
         or `Authorization = \"Bearer ${API_KEY}\"` under `[headers]`";
    check(
        "url = \"http://root:hunter2@a/\"",
        &format!("{userinfo}; {form}"),
    );
    check("url = \"${USERINFO}\"", &format!("{userinfo}; {form}"));
    check("url = \"${HOST}/mcp\"", &format!("has no scheme; {form}"));
    check(
        "url = \"localhost:80/mcp\"",
        "has no scheme; expected `http://localhost:80/mcp`",
    );
    check(
        "url = \"ftp://localhost\"",
        &format!("has a scheme other than `http` and `https`; {form}"),
    );
    check("url = 5", &format!("found a whole number; {form}"));

    let flag = |url: &str| {
        let overrides = Overrides {
            url: Some(url.to_string()),
            ..Overrides::default()
        };
        faults_with(STEP, &overrides)
    };
    assert_eq!(
        flag("http://hunter2@a/"),
        [format!("URL: {userinfo}; {form}")]
    );
}

#[test]
fn references_are_filled_in_anywhere() {
    let text = r#"
[settings]
url = "https://${HOST}:${PORT:-8443}/mcp?api_key=${API_KEY}"
duration = "${SECS:-90}s"

[[scenario]]
type = "tools/call"
tool = "${TOOL:-echo}"
arguments = { a = [{ b = "<${API_KEY}>" }], c = "$${API_KEY}", password = "hunter2hunter2" }
"#;
    let plan = load_with(text, &Overrides::default()).expect("no faults");
    assert_eq!(
        plan.target.url.value,
        "https://secret-host.example.org:8443/mcp?api_key=sk-hunter2hunter2"
    );
    assert_eq!(plan.stop.duration, Some(Duration::from_secs(90)));
    assert_eq!(
        plan.flows[0].steps[0].calls[0].action.value,
        Action::Call(Operation::CallTool {
            name: "echo".to_string(),
            arguments: arguments(&json!({
                "a": [{"b": "<sk-hunter2hunter2>"}],
                "c": "${API_KEY}",
                "password": "hunter2hunter2",
            })),
        })
    );
    assert_eq!(
        plan.target.url.shown,
        "https://${HOST}:${PORT:-8443}/mcp?api_key=***"
    );
    let shown = to_json(&plan);
    assert_eq!(shown["scenario"][0]["tool"], "${TOOL:-echo}");
    assert_eq!(
        shown["scenario"][0]["arguments"],
        json!({"a": [{"b": "<${API_KEY}>"}], "c": "${API_KEY}", "password": "***"})
    );
    for secret in ["sk-hunter2hunter2", "hunter2hunter2"] {
        let known = plan.redactor();
        assert!(known.secrets().any(|known| known == secret), "{secret}");
    }
}

/// Everything of a plan that somebody may see.
fn all_shown(plan: &Plan) -> String {
    format!(
        "{plan:?} {plan:#?} {:?} {:?} {} {:?}",
        plan.target,
        describe(plan),
        to_json(plan),
        plan.notices,
    )
}

#[test]
fn secrets_are_never_shown() {
    let text = r#"
[settings]
url = "https://${HOST}/mcp?token=hunter2hunter2"
[headers]
Authorization = "Bearer ${API_KEY}"
X-Literal = "hunter2"
[[scenario]]
type = "tools/call"
tool = "t-${API_KEY}"
arguments = { nested = { api_key = "hunter2", list = ["${API_KEY}"] } }
[[scenario]]
type = "resources/read"
uri = "file:///${API_KEY}"
[[scenario]]
type = "code_mode"
code = "login ${API_KEY}"
"#;
    let overrides = Overrides {
        headers: vec![Header {
            name: "X-Flag".to_string(),
            value: "hunter2".to_string(),
        }],
        ..Overrides::default()
    };
    let plan = load_with(text, &overrides).expect("no faults");
    let shown = all_shown(&plan);
    assert!(!shown.contains("hunter2"), "{shown}");
    assert!(!shown.contains("secret-host"), "{shown}");

    let overrides = Overrides {
        url: Some("http://a/mcp?key=hunter2".to_string()),
        tool: Some(("t".to_string(), arguments(&json!({"token": "hunter2"})))),
        ..Overrides::default()
    };
    let plan = load(None, &overrides, &environment, 7).expect("no faults");
    let shown = all_shown(&plan);
    assert!(!shown.contains("hunter2"), "{shown}");
    let redactor = plan.redactor();
    assert_eq!(redactor.secrets().collect::<Vec<_>>(), ["hunter2"]);
}

#[test]
fn headers_go_to_the_origin_of_the_config_only() {
    let with_headers = |url: &str| {
        format!(
            "[settings]\n{url}\n[headers]\nAuthorization = \"Bearer ${{API_KEY}}\"\nX-A = \
                \"${{NOPE:-a-value}}\"\n{STEP}"
        )
    };
    let load_at = |text: &str, url: Option<&str>| {
        let overrides = Overrides {
            url: url.map(str::to_string),
            default_headers: vec![Header {
                name: "authorization".to_string(),
                value: "Bearer from-the-environment".to_string(),
            }],
            ..Overrides::default()
        };
        load_with(text, &overrides).expect("no faults")
    };
    let own = "url = \"http://a/mcp\"";
    let check = |text: &str, url: Option<&str>, is_sent: bool| {
        let plan = load_at(text, url);
        assert_eq!(
            plan.target.headers.len(),
            if is_sent { 2 } else { 0 },
            "{url:?}"
        );
        let is_told = plan
            .notices
            .iter()
            .any(|notice| notice.contains("are not sent"));
        assert_eq!(is_told, !is_sent, "{:?}", plan.notices);
    };
    let text = with_headers(own);
    check(&text, None, true);
    check(&text, Some("http://a:80/elsewhere?x=1"), true);
    check(&text, Some("HTTP://A/mcp"), true);
    check(&text, Some("https://a/mcp"), false);
    check(&text, Some("http://a:8080/mcp"), false);
    check(&text, Some("http://b/mcp"), false);
    // A config without an address leaves it to the user where they go.
    check(&with_headers(""), Some("http://b/mcp"), true);

    let plan = load_at(&text, Some("http://b/mcp"));
    assert_eq!(
        plan.notices[0],
        "the headers of the config (`Authorization`, `X-A`) are not sent: they belong to its own \
         address, http://a:80, and this run goes to http://b:80; give the headers for it with `-H`"
    );
    let plan = load_at(&with_headers("url = \"\""), Some("http://b/mcp"));
    assert_eq!(
        plan.notices[0],
        "the headers of the config (`Authorization`, `X-A`) are not sent: the config has no \
         address (`settings.url`) that they belong to, and this run goes to http://b:80; give the \
         headers for it with `-H`"
    );
    // Where it cannot be told what the config's own address is, it is another.
    let unknown = with_headers("url = \"${NOPE}\"");
    check(&unknown, Some("http://b/mcp"), false);
}

#[test]
fn what_is_not_used_needs_no_variable() {
    let text = "[settings]\nurl = \"http://a/${NOPE}\"\n[headers]\nX-A = \"${NOPE}\"\n\
                [[scenario]]\ntype = \"tools/call\"\ntool = \"t\"\narguments = { a = \"${NOPE}\" }\n\
                [[scenario]]\ntype = \"tools/call\"\ntool = \"u\"\narguments = { b = 1 }\n";
    let overrides = |tool: Option<&str>| Overrides {
        url: Some("http://b/mcp".to_string()),
        tool: tool.map(|tool| (tool.to_string(), None)),
        ..Overrides::default()
    };
    let plan = load_with(text, &overrides(Some("u"))).expect("nothing of it is used");
    assert!(plan.target.headers.is_empty());
    assert!(load_with(text, &overrides(Some("other"))).is_ok());
    let key = |tool| {
        let faults = load_with(text, &overrides(tool)).expect_err("it is used");
        let keys: Vec<String> = faults.iter().map(|fault| fault.key.clone()).collect();
        keys
    };
    assert_eq!(key(None), ["scenario[1].arguments.a"]);
    assert_eq!(key(Some("t")), ["scenario[1].arguments.a"]);
    // The config's own address is used where there is no other.
    assert!(load_with(text, &Overrides::default()).is_err());
}

#[test]
fn a_tool_on_the_command_line_is_called_as_the_config_does() {
    let text = "[[scenario]]\ntype = \"tools/call\"\ntool = \"t\"\nweight = 3\nparallel = 2\n\
                arguments = { a = 1 }\n\
                [[scenario]]\ntype = \"tools/list\"\n\
                [[scenario]]\ntype = \"tools/call\"\ntool = \"t\"\narguments = { a = 2 }\n\
                [[scenario]]\ntype = \"tools/call\"\ntool = \"never\"\nweight = 0\n";
    let steps = |tool: &str, arguments: Option<Value>| {
        let overrides = Overrides {
            tool: Some((
                tool.to_string(),
                arguments.and_then(|arguments| arguments.as_object().cloned().map(Into::into)),
            )),
            ..with_url()
        };
        let plan = load_with(text, &overrides).expect("no faults");
        let step = |flow: &Flow| {
            let step = &flow.steps[0];
            let action = &step.calls[0].action.shown;
            let Action::Call(Operation::CallTool { name, arguments }) = action else {
                panic!("no call of a tool: {action:?}");
            };
            (
                name.clone(),
                json!(arguments.as_ref().map(crate::protocol::Arguments::values)),
                flow.weight,
                step.parallel,
            )
        };
        plan.flows.iter().map(step).collect::<Vec<_>>()
    };
    let call =
        |name: &str, arguments, weight, parallel| (name.to_string(), arguments, weight, parallel);
    assert_eq!(
        steps("t", None),
        [
            call("t", json!({"a": 1}), 3, 2),
            call("t", json!({"a": 2}), 1, 1)
        ]
    );
    assert_eq!(
        steps("t", Some(json!({"b": 1}))),
        [call("t", json!({"b": 1}), 1, 1)]
    );
    assert_eq!(steps("never", None), [call("never", Value::Null, 1, 1)]);
    assert_eq!(steps("other", None), [call("other", Value::Null, 1, 1)]);
}

#[test]
fn a_name_is_shown_as_it_is_called() {
    let label = |action: &Action| match action {
        Action::Call(operation) => operation.label(),
        Action::CodeMode { .. } => String::new(),
    };
    let check = |key: &str, written: &str, shown: &str, called: &str| {
        let (kind, key) = key.split_once(' ').expect("a method and its key");
        let plan = plan_of(&format!(
            "[[scenario]]\ntype = \"{kind}\"\n{key} = '{written}'\n"
        ));
        let action = &plan.flows[0].steps[0].calls[0].action;
        assert_eq!(label(&action.shown), format!("{kind} {shown}"));
        assert_eq!(label(&action.value), format!("{kind} {called}"));
    };
    for key in [
        "tools/call tool",
        "resources/read uri",
        "prompts/get prompt",
    ] {
        check(key, "a$${b}", "a${b}", "a${b}");
        // What is called is kept in canonical form: nothing in it fills itself in.
        check(key, "a \"b\" {{c}}", "a \"b\" {{c}}", "a \"b\" {{{{c}}");
        // What is filled in may be a secret; the rest is as the server spells it.
        check(key, "$${a} ${NO:-x}", "${a} ${NO:-x}", "${a} x");
    }
}

#[test]
fn flags_take_the_place_of_keys() {
    let text = format!(
        "[settings]\nvirtual_users = 5\nduration_secs = 60\ntimeout = \"1s\"\nseed = 1\npin = true\n\
         [headers]\nX-A = \"config\"\nX-B = \"config\"\n{STEP}"
    );
    let header = |name: &str, value: &str| Header {
        name: name.to_string(),
        value: value.to_string(),
    };
    let overrides = Overrides {
        vus: Some(50),
        duration: Some(Duration::from_secs(5)),
        iterations: Some(10),
        timeout: Some(Duration::from_secs(40)),
        ramp_up: Some(Duration::from_secs(1)),
        think: Some(Duration::from_secs(1)),
        warm_up: Some(Duration::from_secs(2)),
        headers: vec![header("x-a", "flag"), header("X-C", " flag ")],
        default_headers: vec![
            header("X-B", "default"),
            header("Authorization", "Bearer d"),
        ],
        seed: Some(2),
        pin: Some(false),
        stop_on_break: Some(true),
        tool: Some(("add".to_string(), None)),
        ..with_url()
    };
    let plan = load_with(&text, &overrides).expect("no faults");
    assert_eq!(
        plan.load,
        Load::Closed {
            vus: 50,
            ramp_up: Duration::from_secs(1),
            pacing: None
        }
    );
    assert_eq!(
        plan.stop,
        StopRule {
            duration: Some(Duration::from_secs(5)),
            iterations: Some(10)
        }
    );
    assert_eq!(plan.timeout, Duration::from_secs(40));
    assert_eq!(plan.graceful_stop, defaults::GRACEFUL_STOP_MAX);
    assert_eq!(plan.think, ThinkTime::Constant(Duration::from_secs(1)));
    assert_eq!((plan.seed, plan.workers.pin), (2, false));
    assert!(plan.breaking.stop);
    assert_eq!(
        plan.target.headers,
        [
            header("X-B", "config"),
            header("x-a", "flag"),
            header("X-C", "flag"),
            header("Authorization", "Bearer d"),
        ]
    );
    assert_eq!(plan.flows.len(), 1);
    assert_eq!(
        plan.flows[0].steps[0].calls[0].action.shown,
        Action::Call(Operation::CallTool {
            name: "add".to_string(),
            arguments: None
        })
    );
}

#[test]
fn flags_at_fault() {
    let check = |text: &str, overrides: Overrides, expected: &[&str]| {
        let overrides = Overrides {
            url: with_url().url,
            ..overrides
        };
        assert_eq!(
            faults_with(&format!("{text}\n{STEP}"), &overrides),
            expected
        );
    };
    check(
        "",
        Overrides {
            vus: Some(0),
            duration: Some(Duration::ZERO),
            iterations: Some(0),
            timeout: Some(Duration::ZERO),
            pacing: Some(Duration::ZERO),
            workers: Some(0),
            max_vus: Some(5),
            tool: Some((String::new(), None)),
            headers: vec![Header {
                name: "X\n".to_string(),
                value: "hunter2".to_string(),
            }],
            ..Overrides::default()
        },
        &[
            "--header: `X\\n` is not a header name: letters, digits and `-` are",
            "--tool: is empty; expected the name of a tool",
            "--max-vus: bounds the users that serve arrivals, and this run has no arrivals; expected \
                 `--vus`, or `--rate` beside it",
            "--pacing: is zero; expected a duration such as `30s`, `1m30s`, `250ms` or `1.5h`",
            "--vus: is zero; expected a whole number from 1 to 1000000",
            "--iterations: is zero; expected at least 1",
            "--duration: is zero; expected a duration such as `30s`, `1m30s`, `250ms` or `1.5h`",
            "--timeout: is zero; expected a duration such as `30s`, `1m30s`, `250ms` or `1.5h`",
            "--workers: is out of bounds; expected a whole number from 1 to 4096",
        ],
    );
    let stages = "[[stage]]\ntarget_vus = 5\nduration_secs = 10\n";
    let flat = Overrides {
        vus: Some(5),
        duration: Some(Duration::from_secs(5)),
        ramp_up: Some(Duration::from_secs(5)),
        ..Overrides::default()
    };
    let beside_stages = [
        "--vus: does not go with stages, which say how many users there are; expected `--stage \
             30s:50`, which takes the place of all stages",
        "--ramp-up: does not go with stages, which ramp by themselves; expected a first stage",
        "--duration: does not go with stages, which last 10s in all; expected the duration of \
             each stage",
    ];
    check(stages, flat.clone(), &beside_stages);
    let stage = |target_vus| VuStage {
        duration: Duration::from_secs(10),
        target_vus,
    };
    check(
        "",
        Overrides {
            stages: Some(vec![stage(5)]),
            ..flat.clone()
        },
        &beside_stages,
    );
    check(
        "",
        Overrides {
            stages: Some(vec![stage(0)]),
            ..Overrides::default()
        },
        &["--stage: never has a user; expected a stage with at least 1 user"],
    );
    check(
        "",
        Overrides {
            rate: Some(f64::NAN),
            stages: Some(vec![stage(1)]),
            vus: Some(5),
            ..Overrides::default()
        },
        &[
            "--vus: does not go with arrivals, which are served by a pool of users; expected \
                 `--max-vus`",
            "--stage: sets numbers of users, which do not go with arrivals; expected `[[stage]]` \
                 with `target_rate` in the config",
            "--rate: is out of bounds; expected a rate such as `200/s`, `90/m` or `1000/h` up to \
                 10000000/s",
        ],
    );
    // How long stages last is told right, whatever else is wrong with them.
    let text = format!("{stages}\n{STEP}");
    let overrides = Overrides {
        rate: Some(5.0),
        duration: Some(Duration::from_secs(1)),
        ..with_url()
    };
    let faults = faults_with(&text, &overrides);
    let told = "--duration: does not go with stages, which last 10s in all";
    assert!(faults.iter().any(|it| it.contains(told)), "{faults:#?}");
    let overrides = Overrides {
        duration: Some(Duration::from_secs(1)),
        ..with_url()
    };
    let unread = "[[stage]]\ntarget_vus = 5\nduration = \"ten\"\n[[stage]]\ntarget_vus = 5\n\
                  duration = \"2s\"\n";
    let faults = faults_with(&format!("{unread}{STEP}"), &overrides);
    let told = "--duration: does not go with stages, which say how long the run lasts";
    assert!(faults.iter().any(|it| it.contains(told)), "{faults:#?}");
    check(
        stages,
        Overrides {
            rate: Some(5.0),
            ..Overrides::default()
        },
        &[
            "a.toml:2:14: stage[1].target_vus: does not go with arrivals, which are served by a \
                 pool of users; expected `target_rate`, and `max_vus` under `[arrivals]`",
            "--rate: does not go with `stage`; expected one of a rate, bursts and stages",
        ],
    );
}

#[test]
fn a_flag_s_rate_takes_the_place_of_bursts() {
    let overrides = Overrides {
        rate: Some(20.0),
        max_vus: Some(3),
        ..with_url()
    };
    let text = format!("[arrivals]\nburst = 5\nevery = \"1s\"\n{STEP}");
    let plan = load_with(&text, &overrides).expect("no faults");
    assert_eq!(
        plan.load,
        Load::Open {
            arrivals: Arrivals::Rate {
                per_second: 20.0,
                distribution: Distribution::Constant
            },
            max_vus: 3,
            queue_max: 30
        }
    );
}

#[test]
fn the_probe_is_asked_for_by_flag_or_key_and_the_key_has_the_rate() {
    let plan = |line: &str, probe| {
        let overrides = Overrides {
            probe,
            ..with_url()
        };
        match load_with(&format!("[settings]\n{line}\n{STEP}"), &overrides) {
            Ok(plan) => plan,
            Err(faults) => panic!("{line}\n{faults}"),
        }
    };
    assert_eq!(plan("", false).probe, None);
    assert_eq!(plan("", true).probe, Some(10.0));
    assert_eq!(plan("probe = \"90/m\"", false).probe, Some(1.5));
    assert_eq!(plan("probe = \"90/m\"", true).probe, Some(1.5));
    assert_eq!(plan("probe = \"1000/s\"", false).probe, Some(1000.0));

    let with_probe = plan("probe = \"90/m\"", false);
    let described = describe(&with_probe);
    let line = described.iter().find(|(label, _)| label == "probe");
    let text = line.map(|(_, text)| text.as_str());
    assert_eq!(
        text,
        Some("1.50/s in a session of its own, on a thread of its own")
    );
    assert_eq!(to_json(&with_probe)["probe_rate_per_sec"], json!(1.5));
    assert_eq!(to_json(&plan("", false))["probe_rate_per_sec"], json!(null));
}

#[test]
fn no_config_is_needed() {
    let plan = load(None, &with_url(), &environment, 9).expect("no faults");
    assert_eq!(plan.seed, 9);
    assert_eq!(
        plan.flows[0].steps[0].calls[0].action.value,
        Action::Call(Operation::ListTools)
    );
    assert_eq!(plan.notices.len(), 1);
    let faults = load(None, &Overrides::default(), &environment, 9).expect_err("no address");
    assert_eq!(
        faults.to_string(),
        "URL: there is no server to test; expected an address such as `http://127.0.0.1:8080/mcp` \
             as an argument, or as `url` under `[settings]`"
    );
}

#[test]
fn a_check_needs_no_address() {
    let overrides = Overrides {
        default_url: Some("http://127.0.0.1:8080/mcp".to_string()),
        ..Overrides::default()
    };
    let plan = load_with(STEP, &overrides).expect("no faults");
    assert_eq!(plan.notices.len(), 1);
    let plan = load_with(
        &format!("[settings]\nurl = \"http://a/\"\n{STEP}"),
        &overrides,
    );
    assert_eq!(plan.expect("no faults").target.url.value, "http://a/");
}

#[test]
fn a_plan_is_described() {
    let plan = plan_of(
        r#"
[settings]
virtual_users = 1
iterations = 1
session = { iterations = 10, leave = "abandon" }
[headers]
X-Key = "hunter2"
[[scenario]]
type = "tools/call"
weight = 3
tool = "a\u001bb"
arguments = { text = "hi" }
parallel = 2
[[scenario]]
type = "ping"
"#,
    );
    let lines: Vec<String> = describe(&plan)
        .into_iter()
        .map(|(label, text)| format!("{label}: {text}"))
        .collect();
    assert_eq!(
        lines,
        [
            "target: http://127.0.0.1:8080/mcp",
            "protocol: auto",
            "header: X-Key: ***",
            "load: 1 virtual user, all from the start",
            "stops: after 1 iteration",
            "step: tools/call a\\u{1b}b {\"text\":\"hi\"}, 75% of the iterations, 2 at once",
            "step: ping, 25% of the iterations",
            "session: renewed after 10 iterations; 100% left without a DELETE",
            "timeout: 5s for each request",
            "at the end: up to 5s for requests in flight",
            "breaks: a p99 above three times the baseline or errors above 5%; the run goes on",
            "messages: up to 16.0 MiB",
            "workers: one for each CPU to spare",
            "seed: drawn for each run",
        ]
    );
    let json = to_json(&plan);
    assert_eq!(json["load"]["virtual_users"], 1);
    assert_eq!(json["headers"], json!(["X-Key"]));
    assert_eq!(
        json["scenario"][1],
        json!({"type": "ping", "weight": 1, "parallel": 1})
    );
}

#[test]
fn the_configs_that_we_ship_load() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs");
    let mut n_configs = 0;
    for entry in std::fs::read_dir(&folder).expect("the folder is there") {
        let path = entry.expect("it can be listed").path();
        if path.extension().is_none_or(|ending| ending != "toml") {
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("it can be read");
        let source = Source { path, text };
        match load(Some(&source), &Overrides::default(), &|_| None, 1) {
            Ok(plan) => {
                assert!(
                    plan.notices.is_empty(),
                    "{:?}: {:?}",
                    source.path,
                    plan.notices
                );
                assert!(!describe(&plan).is_empty());
            }
            Err(faults) => panic!("{faults}"),
        }
        n_configs += 1;
    }
    assert!(n_configs >= 9, "{n_configs}");
}

#[test]
fn the_nearest_config_is_found() {
    let folder = std::env::temp_dir().join(format!("find-config-{}", std::process::id()));
    let inner = folder.join("a/b");
    std::fs::create_dir_all(&inner).expect("a folder for the test");
    std::fs::create_dir_all(folder.join(".pmcp")).expect("a folder for the config");
    // A folder of that name is not a config.
    std::fs::create_dir_all(folder.join("a").join(CONFIG_PATH)).expect("a decoy");
    let path = folder.join(CONFIG_PATH);
    std::fs::write(&path, STEP).expect("a config");
    assert_eq!(find_config(&inner), Some(path));
    std::fs::remove_dir_all(&folder).expect("the test's own folder");
}

/// Lines of configs, right and wrong, to be mixed.
fn lines() -> impl Strategy<Value = String> {
    let line = prop::sample::select(vec![
        "[settings]",
        "[[scenario]]",
        "[[stage]]",
        "[arrivals]",
        "[headers]",
        "[scenario]",
        "virtual_users = 5",
        "duration = \"5s\"",
        "duration_secs = 18446744073709551615",
        "duration = \"366d\"",
        "target_vus = 4294967295",
        "target_vus = 3",
        "target_rate = \"1e308/h\"",
        "rate = \"10/s\"",
        "burst = 7",
        "every = \"1ns\"",
        "think = { distribution = \"lognormal\", median = \"1s\", sigma = 3.0 }",
        "session = { leave = { abandon = -0.0 } }",
        "type = \"tools/call\"",
        "tool = \"${API_KEY}\"",
        "weight = 4294967295",
        "arguments = { a = [[[[1, {b.c.d = -9223372036854775808}]]]], \"ключ\" = 1979-05-27 }",
        "arguments.x = inf",
        "url = \"http://[::1]:0/\"",
        "ramp_up = \"9999999h\"",
        "\"\\u0000\" = \"\\u202e\"",
        "x = [",
        "message_bytes_max = \"1e300GiB\"",
        "warm_up = \"0.000000001s\"",
    ]);
    let line = prop_oneof![8 => line.prop_map(str::to_string), 1 => any::<String>()];
    prop::collection::vec(line, 0..14).prop_map(|lines| lines.join("\n"))
}

/// Numbers that no machine type holds are sent and shown as they were typed.
#[test]
fn arguments_of_the_command_line_keep_their_digits() {
    let json = r#"{"n": 12345678901234567890123, "token": "hunter2hunter2", "f": 1.10}"#;
    let overrides = Overrides {
        tool: Some(("t".to_string(), Arguments::read(json).ok())),
        ..with_url()
    };
    let plan = load(None, &overrides, &environment, 7).expect("no faults");
    let Action::Call(Operation::CallTool { arguments, .. }) =
        &plan.flows[0].steps[0].calls[0].action.value
    else {
        panic!("a call");
    };
    assert_eq!(arguments.as_ref().map(Arguments::json), Some(json));
    let step = describe(&plan).into_iter().find(|(name, _)| name == "step");
    assert_eq!(
        step.map(|(_, text)| text).as_deref(),
        Some(
            r#"tools/call t {"n": 12345678901234567890123, "token": "***", "f": 1.10}, 100% of the iterations"#
        )
    );
    assert!(!all_shown(&plan).contains("hunter2"));
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text: String) {
        let _ = load_with(&text, &with_url());
    }

    #[test]
    fn no_config_makes_it_panic_and_faults_are_single_lines(text in lines(), vus: Option<u32>, rate: Option<f64>) {
        let overrides = Overrides { vus, rate, ..with_url() };
        match load_with(&text, &overrides) {
            Ok(plan) => {
                prop_assert!(!plan.flows.is_empty());
                prop_assert!(plan.vus_max() > 0);
                prop_assert!(!describe(&plan).is_empty());
                prop_assert!(to_json(&plan).is_object());
            }
            Err(faults) => {
                prop_assert!(faults.iter().count() > 0);
                for fault in faults.iter() {
                    prop_assert!(!fault.to_string().contains(char::is_control), "{fault:?}");
                }
            }
        }
    }

    #[test]
    fn no_value_of_the_environment_is_shown(secret in "[a-z#é\\\\\"\r\n \
         ]{0,3}zq[0-9a-zA-Z:/@?=&{}$]{6,20}") {
        let text = "[settings]\nurl = \"${S}\"\nduration = \"${S:-1s}\"\nthink = \
             \"${S}\"\nprotocol = \"${S}\"\non_break = \"${S}\"\n\
            [headers]\nX-A = \"a ${S}\"\n[[scenario]]\ntype = \"tools/call\"\n\
             tool = \"${S}\"\narguments = { a = \"${S}\" }\n\
            [[scenario]]\ntype = \"${S}\"\n";
        let source = Source { path: PathBuf::from("a.toml"), text: text.to_string() };
        let env = |name: &str| (name == "S").then(|| secret.clone().into());
        let core = &secret[secret.find("zq").expect("the pattern has it")..];
        let faults = load(Some(&source), &Overrides::default(), &env, 1).expect_err("words are at \
             fault");
        prop_assert!(!faults.to_string().contains(core), "{faults}");

        let text = "[settings]\nurl = \"http://a/${S:-}\"\n[headers]\nX-A = \"a ${S}\"\n[[scenario]]\n\
            type = \"tools/call\"\ntool = \"${S}\"\narguments = { a = \"${S}\" }\n";
        let source = Source { path: PathBuf::from("a.toml"), text: text.to_string() };
        match load(Some(&source), &Overrides::default(), &env, 1) {
            Ok(plan) => {
                let shown = all_shown(&plan);
                prop_assert!(!shown.contains(core), "{shown}");
                prop_assert!(plan.redactor().secrets().any(|known| known.contains(core)));
            }
            Err(faults) => prop_assert!(!faults.to_string().contains(core), "{faults}"),
        }
    }
}

#[test]
fn a_target_is_told_as_it_is_used_unless_its_path_may_hold_a_secret() {
    let told = |url: &str| {
        let text = format!("[settings]\nurl = \"{url}\"\n{STEP}");
        let plan = load_with(&text, &Overrides::default()).expect("a plan");
        plan.target.spoken_to()
    };
    assert_eq!(told("http://a.test/mcp"), "http://a.test/mcp");
    assert_eq!(told("${NOPE:-http://a.test/mcp}"), "http://a.test/mcp");
    assert_eq!(
        told("http://a.test:${NOPE:-81}/mcp"),
        "http://a.test:81/mcp"
    );
    // What names the server is no secret; what stands in the path may be one.
    let by_environment = told("https://${HOST:-b.test}:${PORT:-81}/mcp?k=${API_KEY}");
    assert_eq!(
        by_environment,
        "https://secret-host.example.org:81/mcp?k=***"
    );
    assert_eq!(
        told("${SERVER:-http://b.test/}"),
        "https://server.test/mcp?key=***"
    );
    assert_eq!(
        told("http://${HOST}/${API_KEY:-mcp}"),
        "http://${HOST}/${API_KEY}"
    );
}

#[test]
fn what_the_environment_says_of_which_server_it_is_is_no_secret() {
    let cleaned = |url: &str| {
        let own = "headers = { X-Key = \"${API_KEY}\" }";
        let population =
            format!("[[population]]\nname = \"a\"\nshare = 1\nurl = \"{url}\"\n{own}\n");
        let texts = [
            format!("[settings]\nurl = \"{url}\"\n{STEP}"),
            format!("[settings]\nurl = \"http://a.test/\"\n{population}{STEP}"),
        ];
        let [of_settings, of_population] = texts.map(|text| {
            let plan = load_with(&text, &Overrides::default()).expect("a plan");
            let own = plan.populations.all()[0].target.as_ref();
            let target = own.map_or(&plan.target, |own| &own.target);
            plan.redactor().cleaned(&target.url.value).to_string()
        });
        assert_eq!(of_settings, of_population);
        of_settings
    };
    assert_eq!(cleaned("${SERVER}"), "https://server.test/mcp?key=***");
    assert_eq!(
        cleaned("https://${HOST}:81/mcp?id=${API_KEY}"),
        "https://secret-host.example.org:81/mcp?id=***"
    );
    assert_eq!(cleaned("https://a.test/${API_KEY}"), "https://a.test/***");
}

#[test]
fn a_limit_of_tasks_without_tasks_is_told() {
    let told = |keys: &str, of_step: &str, flag: Option<Duration>| {
        let overrides = Overrides {
            task_timeout: flag,
            ..Overrides::default()
        };
        let text = format!(
            "[settings]\nurl = \"http://a.test/mcp\"\n{keys}\n[[scenario]]\n\
             type = \"tools/call\"\ntool = \"echo\"\n{of_step}"
        );
        load_with(&text, &overrides).expect("a plan").notices
    };
    let of_config = "task_timeout = \"9s\"";
    let minute = Some(Duration::from_secs(60));
    let found = told(of_config, "", None);
    assert!(found[0].starts_with("`settings.task_timeout` has no effect"));
    let found = told("", "", minute);
    assert!(found[0].starts_with("`--task-timeout` has no effect"));
    for (keys, flag) in [(of_config, None), ("", minute)] {
        let found = told(keys, "task = true\n", flag);
        assert_eq!(found, Vec::<String>::new());
    }
}

#[test]
fn what_a_server_without_tls_has_no_use_for_is_told() {
    let notices = |url: &str, keys: &str| {
        let overrides = Overrides {
            url: Some(url.to_string()),
            ..Overrides::default()
        };
        let text = format!("[settings]\n{keys}\n{STEP}");
        let plan = load_with(&text, &overrides).expect("a plan");
        plan.notices.join("\n")
    };
    let keys = "ca = \"a.pem\"\nserver_name = \"b\"\ninsecure = true";
    let told = notices("http://a.test/mcp", keys);
    let unused = "nothing comes of `settings.ca`, `settings.server_name`, `settings.insecure`";
    assert!(told.contains(unused), "{told}");
    assert!(!told.contains("NOT checked"), "{told}");
    let told = notices("https://a.test/mcp", keys);
    assert!(told.contains("NOT checked"), "{told}");
    assert!(!told.contains("nothing comes of"), "{told}");
    for (rule, is_told) in [
        ("other.test:80:127.0.0.1", true),
        ("a.test:81:127.0.0.1", true),
        ("a.test:80:127.0.0.1", false),
    ] {
        let told = notices("http://a.test/mcp", &format!("resolve = [\"{rule}\"]"));
        let text = "`settings.resolve` says nothing of a.test:80";
        assert_eq!(told.contains(text), is_told, "{rule}: {told}");
    }
}

#[test]
fn files_of_tls_know_who_named_them() {
    let plan = plan_of(&format!("[settings]\nca = \"a.pem\"\n{STEP}"));
    let places = &plan.network.tls.places;
    assert_eq!(places.ca, "a.toml:2:6: settings.ca");
    assert_eq!(places.client_cert, "--client-cert");
}

/// What the version of a report did not know has the value that it has by default.
#[test]
fn a_plan_that_lacks_keys_is_completed_with_what_is_usual() {
    let usual = to_json(&plan_of(STEP));
    let mut places = vec![String::new()];
    for key in usual.as_object().expect("keys").keys() {
        places.extend(usual[key].is_object().then(|| format!("/{key}")));
    }
    places.push("/scenario/0".to_string());
    let mut n_keys = 0;
    for place in &places {
        let of_place = usual.pointer(place).and_then(Value::as_object);
        for key in of_place.expect("keys").keys() {
            // No plan does without these.
            let own = [
                "url",
                "seed",
                "scenario",
                "model",
                "type",
                "tool",
                "arguments",
            ];
            if own.contains(&key.as_str()) {
                continue;
            }
            let mut older = usual.clone();
            let fields = older.pointer_mut(place).and_then(Value::as_object_mut);
            fields.expect("keys").remove(key);
            assert_eq!(completed(&older), usual, "{place}/{key}");
            n_keys += 1;
        }
    }
    assert!(n_keys > 25, "{n_keys}");
    // What a plan says stays, and no load gets the keys of another.
    let open = to_json(&plan_of(&format!("[arrivals]\nrate = \"5/s\"\n{STEP}")));
    for said in [open, json!(null), json!([1])] {
        assert_eq!(completed(&said), said);
    }
}

const TWO_FLOWS: &str = "[[flow]]\nname = \"a\"\n[[flow.step]]\ntype = \"tools/list\"\n\
                         [[scenario]]\nname = \"b\"\ntype = \"prompts/list\"\n";

#[test]
fn populations_are_read() {
    let plan = plan_of(&format!(
        "[settings]\nthink = \"1s\"\n[headers]\nX-A = \"1\"\nX-B = \"2\"\n\
         [[population]]\nname = \"one\"\nshare = 0.75\nflows = [\"a\"]\nthink = \"2s\"\n\
         headers = {{ x-a = \"3\" }}\n\
         [[population]]\nname = \"two\"\nshare = \"25%\"\nprotocol = \"modern\"\n\
         [[population]]\nname = \"tiny\"\nshare = 0.0001\nurl = \"http://other/mcp\"\n{TWO_FLOWS}"
    ));
    let all = plan.populations.all();
    let flows: Vec<_> = all.iter().map(|it| it.flows.as_slice()).collect();
    // Entries of the scenario come before flows.
    assert_eq!(flows, [&[1][..], &[0, 1], &[0, 1]]);
    assert_eq!(
        plan.think_of(0),
        ThinkTime::Constant(Duration::from_secs(2))
    );
    assert_eq!(
        plan.think_of(1),
        ThinkTime::Constant(Duration::from_secs(1))
    );
    let headers = |at| {
        let headers = plan.target_of(at).headers.iter();
        headers
            .map(|it| format!("{}: {}", it.name, it.value))
            .collect::<Vec<_>>()
    };
    assert_eq!(headers(0), ["X-B: 2", "x-a: 3"]);
    assert_eq!(headers(1), ["X-A: 1", "X-B: 2"]);
    assert!(headers(2).is_empty());
    assert_eq!(plan.target_of(2).url.value, "http://other/mcp");
    assert!(plan.has_several_targets() && !plan.is_ab());
    let json = to_json(&plan);
    assert_eq!(json["populations"][0]["flows"], json!(["a"]));
    assert_eq!(json["populations"][0]["url"], Value::Null);
    assert_eq!(json["populations"][2]["url"], "http://other/mcp");
    assert!(
        plan.notices
            .iter()
            .any(|it| it.contains("leave a population without any"))
    );
}

#[test]
fn numbers_of_users_say_how_many_there_are() {
    let populations =
        "[[population]]\nname = \"x\"\nvus = 3\n[[population]]\nname = \"y\"\nvus = 4\n";
    let text = format!("{populations}{STEP}");
    let plan = plan_of(&text);
    assert_eq!(plan.whole_vus_max(), 7);
    assert_eq!(plan.populations.deal().shares_of(7), [3, 4]);
    let overrides = Overrides {
        vus: Some(10),
        ..with_url()
    };
    let faults = faults_with(&text, &overrides);
    assert!(
        faults[0].contains("sum up to 7, and the run has 10"),
        "{faults:?}"
    );
    let overrides = Overrides {
        population: Some("y".to_string()),
        ..with_url()
    };
    let plan = load_with(&text, &overrides).expect("one population");
    assert_eq!((plan.whole_vus_max(), plan.populations.all().len()), (4, 1));
    let overrides = Overrides {
        vus: Some(10),
        ..overrides
    };
    let plan = load_with(&text, &overrides).expect("one population");
    assert_eq!(plan.whole_vus_max(), 10);
}

/// A load of arrivals, and how much of it one population has.
#[test]
fn a_part_of_arrivals_is_a_part_of_their_rate() {
    let text = format!(
        "[arrivals]\nrate = \"100/s\"\nmax_vus = 40\n[settings]\niterations = 50\n\
         [[population]]\nname = \"x\"\nshare = 0.2\n[[population]]\nname = \"y\"\nshare = 0.8\n{STEP}"
    );
    let overrides = Overrides {
        population: Some("x".to_string()),
        ..with_url()
    };
    let plan = load_with(&text, &overrides).expect("one population");
    let Load::Open {
        arrivals: Arrivals::Rate { per_second, .. },
        max_vus,
        ..
    } = plan.load
    else {
        panic!("arrivals");
    };
    assert!((per_second - 20.0).abs() < 1e-9, "{per_second}");
    assert_eq!((max_vus, plan.stop.iterations), (8, Some(10)));
}

#[test]
fn populations_at_fault() {
    let faults = |populations: &str, rest: &str| {
        faults_with(&format!("{populations}\n{rest}\n{TWO_FLOWS}"), &with_url())
    };
    let check = |populations: &str, parts: &[&str]| {
        let faults = faults(populations, "");
        assert_eq!(faults.len(), parts.len(), "{faults:#?}");
        for (fault, part) in faults.iter().zip(parts) {
            assert!(fault.contains(part), "{fault}");
        }
    };
    let one = |lines: &str| format!("[[population]]\nname = \"x\"\nshare = 1\n{lines}\n");
    check("[[population]]\nshare = 1", &["the key `name` is missing"]);
    check(
        "[[population]]\nname = \"x\"",
        &["neither `share` nor `vus`"],
    );
    check(&one("vus = 3"), &["both `share` and `vus`"]);
    check(&one("flows = [\"A\"]"), &["there is no flow `A`"]);
    check(&one("flows = []"), &["is empty"]);
    check(&one("flows = [\"a\", \"a\"]"), &["named twice"]);
    check(&one("headers = { \"a b\" = \"1\" }"), &["a b"]);
    check(&one("url = \"ftp://x\""), &["population[1].url"]);
    check(
        &one("think = \"1s\"\n[arrivals]\nrate = \"5/s\""),
        &["does not go with arrivals"],
    );
    let half = "[[population]]\nname = \"x\"\nshare = 0.5\n";
    check(half, &["sum up to 0.50"]);
    check(&half.repeat(2), &["`x` is `population[1].name` already"]);
    check(
        &format!("{half}[[population]]\nname = \"y\"\nvus = 5\n"),
        &["has a `share` and others have `vus`"],
    );
    let few =
        "[[population]]\nname = \"x\"\nshare = 0.99\n[[population]]\nname = \"y\"\nshare = 0.01\n";
    let arrivals = "[arrivals]\nrate = \"5/s\"\nmax_vus = 5";
    check(
        &format!("{few}{arrivals}"),
        &["leave a population without any"],
    );
    let many: String = (0..21)
        .map(|at| format!("[[population]]\nname = \"{at}\"\nvus = 1\n"))
        .collect();
    check(&many, &["has 21 entries"]);
    let elsewhere = one("url = \"http://other/mcp\"");
    let two = elsewhere.replace("share = 1", "share = 0.5")
        + "[[population]]\nname = \"y\"\nshare = 0.5\n";
    let refused = |rest: &str, part: &str| {
        let faults = faults(&two, rest);
        assert!(faults.len() == 1 && faults[0].contains(part), "{faults:#?}");
    };
    refused(
        "[settings]\non_break = \"stop\"",
        "breaking point of one server",
    );
    refused("[settings]\nprobe = \"1/s\"", "it is one user");
    refused("[settings]\ndns_ttl = \"1s\"", "looks up one name");
    refused(
        "[[threshold]]\nassert = \"breaking_point>5\"",
        "breaking point is that of one",
    );
}

/// What stands in the way of one population is nothing to another that runs alone.
#[test]
fn keys_of_another_population_do_not_matter_to_one_alone() {
    let text = |settings: &str, keys: &str| {
        format!(
            "{settings}\n[[population]]\nname = \"one\"\nshare = 0.5\n{keys}\n\
             [[population]]\nname = \"two\"\nshare = 0.5\n{STEP}"
        )
    };
    let alone = |name: &str| Overrides {
        population: Some(name.to_string()),
        ..with_url()
    };
    let url = "url = \"https://other/mcp\"";
    for (settings, keys) in [
        ("[arrivals]\nrate = \"5/s\"", "think = \"1s\""),
        ("[settings]\npacing = \"1s\"", "think = \"1s\""),
        ("[settings]\ndns_ttl = \"1s\"", url),
        ("[settings]\nserver_name = \"a.example\"", url),
    ] {
        let text = text(settings, keys);
        if let Err(faults) = load_with(&text, &alone("two")) {
            panic!("{text}\n{faults}");
        }
        assert_eq!(faults_with(&text, &alone("one")).len(), 1, "{text}");
        assert_eq!(faults_with(&text, &with_url()).len(), 1, "{text}");
    }
    // A rate on the command line takes the place of all that starts iterations.
    let by_rate = |name| Overrides {
        rate: Some(5.0),
        ..alone(name)
    };
    for name in ["one", "two"] {
        let plan = load_with(&text("", "think = \"1s\""), &by_rate(name)).expect("no faults");
        assert_eq!(plan.think_of(0), ThinkTime::None);
    }
}

/// Subscriptions are of the modern era: a protocol without them is told before any load.
#[test]
fn subscriptions_need_a_protocol_that_has_them() {
    let legacy = "[settings]\nprotocol = \"legacy\"\nsubscribe = \"tools\"";
    let ends = "expected the protocol `modern` or `auto`, or no `subscribe`";
    let needs = "needs revision 2026-07-28, and";
    check(
        legacy,
        &[&format!(
            "a.toml:3:13: settings.subscribe: {needs} `settings.protocol` is `legacy`; {ends}"
        )],
    );
    let flags = |protocol: &str, population: Option<&str>| Overrides {
        protocol: Some(protocol.parse().expect("a protocol")),
        subscribe: Some(vec!["tools".parse().expect("a topic")]),
        population: population.map(str::to_string),
        ..with_url()
    };
    assert_eq!(
        faults_with(STEP, &flags("2025-06-18", None)),
        [format!(
            "--subscribe: {needs} `--protocol` is `2025-06-18`; {ends}"
        )]
    );
    let two = |first: &str, second: &str| {
        format!(
            "[[population]]\nname = \"x\"\nshare = 0.5\n{first}\n\
             [[population]]\nname = \"y\"\nshare = 0.5\n{second}\n{STEP}"
        )
    };
    let own = two("protocol = \"legacy\"", "subscribe = \"tools\"");
    assert_eq!(plan_of(&own).topics_of(1).len(), 1);
    let inherited = format!("[settings]\nsubscribe = \"tools\"\n{own}");
    assert_eq!(
        faults_with(&inherited, &with_url()),
        [format!(
            "a.toml:2:13: settings.subscribe: {needs} `population[1].protocol` is `legacy`; {ends}"
        )]
    );
    let same = two("", "protocol = \"legacy\"\nsubscribe = \"tools\"");
    assert_eq!(
        faults_with(&same, &with_url()),
        [format!(
            "a.toml:9:13: population[2].subscribe: {needs} `population[2].protocol` is `legacy`; \
             {ends}"
        )]
    );
    let whole = two("", "protocol = \"legacy\"");
    assert_eq!(faults_with(&whole, &flags("auto", None)).len(), 1);
    // Of several whom the same key asks for it, the first is told.
    assert_eq!(faults_with(&two("", ""), &flags("legacy", None)).len(), 1);
    // What another population speaks is nothing to one alone, and one user who tries each
    // step once subscribes to nothing.
    load_with(&whole, &flags("auto", Some("x"))).expect("no faults");
    let trial = Overrides {
        is_trial: true,
        ..with_url()
    };
    load_with(&format!("{legacy}\n{STEP}"), &trial).expect("no faults");
}

/// What a population does not do is no selection of its calls, whatever others do.
#[test]
fn thresholds_select_what_a_population_does() {
    let populations = "[[population]]\nname = \"one\"\nshare = 0.5\nflows = [\"a\"]\n\
                       [[population]]\nname = \"big buyers\"\nshare = 0.5\n";
    let text =
        |assert: &str| format!("{populations}[[threshold]]\nassert = '{assert}'\n{TWO_FLOWS}");
    for (assert, told) in [
        ("flow:a population:one p95<1s", "population:one flow:a"),
        (
            "population:\"big buyers\" step:b p95<1s",
            "population:\"big buyers\" step:b",
        ),
        (
            "population:big buyers flow:a errors=0",
            "population:\"big buyers\" flow:a",
        ),
    ] {
        let plan = plan_of(&text(assert));
        let selector = plan.thresholds[0].selector.as_ref().expect("a selector");
        assert_eq!(selector.to_string(), told);
    }
    let check = |assert: &str, parts: &[&str]| {
        let faults = faults_with(&text(assert), &with_url());
        assert_eq!(faults.len(), 1, "{faults:#?}");
        for part in parts {
            assert!(faults[0].contains(part), "{part}: {}", faults[0]);
        }
    };
    check(
        "population:one step:b p95<1s",
        &[
            "this plan has no `population:one step:b`",
            "one of `population:one flow:a`",
        ],
    );
    check(
        "population:on flow:a p95<1s",
        &[
            "this plan has no `population:on flow:a`",
            "one of `population:one`, ",
        ],
    );
    check(
        "population:one population:two p95<1s",
        &["comes before another population"],
    );
    // A flag that takes the population away takes the threshold with it.
    let overrides = Overrides {
        population: Some("one".to_string()),
        ..with_url()
    };
    let plan = load_with(&text("population:big buyers step:b p95<1s"), &overrides);
    let plan = plan.expect("one population");
    assert!(plan.thresholds.is_empty());
    assert!(plan.notices.iter().any(|it| it.contains("is left out")));
}
