//! Secrets: each place where a user can put one, or a server gives one, has one planted,
//! and all that the program writes is searched for them. What a panic says is tested
//! beside its hook (`cli/mod.rs`), since no input makes one.

use std::fs;
use std::thread;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::auth_server::{AuthServer, CLIENT_SECRET, Manners};
use crate::fake_server::{Connection, FakeServer, Next, Request, legacy, welcome};
use crate::program::{Finished, Program, loadtest};
use crate::share;

/// What is planted in the place of that name.
fn planted(place: &str) -> String {
    format!("{place}-geheim-{}", 4711 * place.len())
}

/// What a server was told by a request.
fn said(request: &Request) -> String {
    let headers: Vec<&str> = request.headers().map(|(_, value)| value).collect();
    format!("{headers:?} {} {}", request.path, request.body)
}

/// Tells everything that it was sent, and that it gave, wherever a server can tell
/// something.
fn gossip(request: &Request, connection: &mut Connection) -> Next {
    let (cookie, taken) = (planted("answered-cookie"), planted("taken"));
    let mut all = said(request);
    if request.method() == "tools/call" {
        // A user has taken it out of an answer by then.
        all += &taken;
    }
    let json = ("Content-Type", "application/json");
    let cookie = format!("sid2={cookie}");
    let headers = [json, ("Mcp-Session-Id", "s1"), ("Set-Cookie", &*cookie)];
    let message = request.message();
    let named = |result: &Value| request.result(result).to_string();
    match request.method().as_str() {
        "initialize" => {
            let mut answer = welcome(request);
            answer["result"]["serverInfo"] = json!({"name": all, "version": all});
            answer["result"]["instructions"] = json!(all);
            connection.answer(200, &headers, &answer.to_string())
        }
        "tools/list" => {
            let of_argument = json!({"type": "string", "description": all, "default": all});
            let schema = json!({"type": "object", "properties": {"note": of_argument}});
            let tool =
                |name: &str| json!({"name": name, "description": all, "inputSchema": schema});
            let tools = json!([tool("login"), tool("work")]);
            connection.answer(200, &headers, &named(&json!({"tools": tools})))
        }
        "tools/call" if message["params"]["name"] == "login" => {
            let result = json!({"content": [], "structuredContent": {"handle": taken}});
            connection.json(&request.result(&result))
        }
        "tools/call" => match message["id"].as_u64().unwrap_or(0) % 4 {
            0 => connection.answer(500, &[json], &json!({"said": all}).to_string()),
            1 => connection.answer(403, &[("WWW-Authenticate", &all.replace('\n', " "))], &all),
            2 => {
                let content = json!([{"type": "text", "text": all}]);
                connection.json(&request.result(&json!({"content": content, "isError": true})))
            }
            _ => {
                let data = json!({"deep": json!({"all": all}).to_string(), "b64": STANDARD.encode(&taken)});
                let error = json!({"code": -32001, "message": all, "data": data});
                connection.json(&request.error(&error))
            }
        },
        _ => legacy(request, connection),
    }
}

const CONFIG: &str = r#"
[settings]
iterations = 16
virtual_users = 2
cookies = true
[headers]
X-Team-Token = "${TEAM_TOKEN}"
Cookie = "sid=COOKIE"
X-User-Key = "{{data.users.api_key}}"
[data.users]
file = "users.csv"
at_end = "repeat"
[data.inline]
rows = [{ password = "ROW" }]
at_end = "repeat"
[[flow]]
name = "f"
on_error = "continue"
[[flow.step]]
type = "tools/call"
tool = "login"
arguments = { password = "{{data.users.password}}", api_key = "ARGUMENT" }
extract = { handle = "$.structuredContent.handle" }
secret = ["handle"]
[[flow.step]]
type = "tools/call"
tool = "work"
arguments = { handle = "{{handle}}", note = "in {{data.users.password}} text", secret = "{{data.inline.password}}" }
expect = { contains = "what is not there" }
[[flow.step]]
type = "tools/call"
tool = "work"
parallel = 3
arguments = { v = ["{{handle}}", "${TEAM_TOKEN}"] }
"#;

/// Who says which token a request has.
const IDENTITIES: [&str; 4] = ["flag", "variable", "command", "file"];

/// A command with a secret in each place that it has for one.
fn with_plants(identity: &str, url: &str, proxy: &str, words: &[&str]) -> Program {
    let token = planted("token");
    let of_flag = format!("X-Api-Key: {}", planted("header-flag"));
    let proxy = format!("http://name:{}@{proxy}", planted("proxy"));
    let command = format!(
        "echo --client-secret {} >&2; cat token.txt",
        planted("command")
    );
    let mut all = words.to_vec();
    // `check` reads the config alone, with what of its network a flag says.
    let is_check = words[0] == "check";
    if !is_check {
        all.extend(["-H", &of_flag]);
        match identity {
            "flag" => all.extend(["--api-key", &token]),
            "command" => all.extend(["--token-command", &command]),
            "file" => all.extend(["--token-file", "token.txt"]),
            _ => {}
        }
    }
    all.extend(["--proxy", &proxy]);
    let config = CONFIG
        .replace("COOKIE", &planted("cookie"))
        .replace("ROW", &planted("row"))
        .replace("ARGUMENT", &planted("argument"))
        .replace("[settings]", &format!("[settings]\nurl = \"{url}\""));
    let users = format!(
        "name,password,api_key\nal,{},{}\n",
        planted("cell"),
        planted("cell-of-header")
    );
    let mut program = loadtest(&all)
        .file("a.toml", &config)
        .file("users.csv", &users)
        .file("token.txt", &format!("{token}\n"))
        .env("TEAM_TOKEN", &planted("variable"));
    if identity == "variable" {
        program = program.env("MCP_API_KEY", &token);
    }
    program
}

/// The places whose secret reaches the server, and those whose does not.
const SENT: [&str; 9] = [
    "url",
    "token",
    "header-flag",
    "variable",
    "cookie",
    "cell",
    "cell-of-header",
    "row",
    "argument",
];
const NOT_AS_GIVEN: [&str; 5] = ["proxy", "command", "answered-cookie", "taken", "odd"];

/// The files that a user wrote.
const GIVEN: [&str; 4] = ["a.toml", "users.csv", "token.txt", "key.pem"];

/// None of them is there, in plain letters or in base64.
#[track_caller]
fn assert_hidden(written: &str, secrets: &[String]) {
    let lower = written.to_lowercase();
    for secret in secrets {
        let encoded = STANDARD.encode(secret);
        let encoded = encoded.trim_end_matches('=');
        let at = lower.find(&secret.to_lowercase());
        let at = at.or_else(|| written.find(encoded));
        let around = |at: usize| {
            let from = at.saturating_sub(300);
            String::from_utf8_lossy(&written.as_bytes()[from..(at + 100).min(written.len())])
                .into_owned()
        };
        assert!(at.is_none(), "{secret}: …{}…", around(at.unwrap_or(0)));
    }
}

fn all_planted() -> Vec<String> {
    let places = SENT.iter().chain(&NOT_AS_GIVEN);
    places.map(|place| planted(place)).collect()
}

/// The limits of a search, whose user keeps no CPU busy.
const SEARCH: [&str; 5] = [
    "--quick",
    "--to=1",
    "--max-p99=1s",
    "--deadline=3s",
    "--think=20ms",
];

/// Each command, and each way to say which token is used, against a server that tells
/// all that it knows, behind a proxy that does so, too.
#[test]
fn what_is_planted_is_in_nothing_that_is_written() {
    let of_run = [
        "run",
        "--config=a.toml",
        "--report=out.json",
        "--markdown=out.md",
        "--junit=out.xml",
        "--hlog=out.hlog",
        "--svg=out.svg",
        "--github",
    ];
    let of_find = ["find", "--config=a.toml", "--from=1", "--report=out.json"];
    let of_find = [&of_find[..], &SEARCH].concat();
    let check = |identity: &str| {
        let server = FakeServer::start(gossip);
        let url = format!("{}?key={}", server.url(), planted("url"));
        let address = server.address().to_string();
        let of_init = ["init", &url, "--output", "made.toml"];
        let of_init_to_stdout = ["init", &url, "--output", "-"];
        let commands: [&[&str]; 6] = [
            &of_run,
            &of_find,
            &["try", "a.toml"],
            &["check", "a.toml"],
            &of_init,
            &of_init_to_stdout,
        ];
        for words in commands {
            let finished = with_plants(identity, &url, &address, words).run();
            let (shown, written) = (finished.to_string(), finished.written(&GIVEN));
            // It went far enough to have something to hide.
            let reached = match words[0] {
                "run" => finished.dir.path().join("out.xml").exists(),
                "find" => finished.dir.path().join("out.json").exists(),
                "check" => shown.contains("X-Team-Token"),
                "try" => shown.contains("tools/call work"),
                _ => written.contains("tool = \"login\""),
            };
            assert!(reached, "{identity}, {words:?}: {finished}");
            assert_hidden(&written, &all_planted());
            if words[0] == "run" {
                check_reports(&finished);
            }
        }
        let sent: String = server.log().iter().map(said).collect();
        for place in SENT.iter().chain(&["answered-cookie", "taken"]) {
            assert!(sent.contains(&planted(place)), "{place} was not sent");
        }
        let credentials = STANDARD.encode(format!("name:{}", planted("proxy")));
        assert!(sent.contains(&credentials));
    };
    share::one_part();
    // A search mostly waits.
    thread::scope(|scope| {
        for identity in IDENTITIES {
            scope.spawn(move || check(identity));
        }
    });
}

/// A report is shown in each form, and compared with itself.
#[track_caller]
fn check_reports(finished: &Finished) {
    let report = std::fs::read_to_string(finished.dir.path().join("out.json")).expect("a report");
    assert!(report.contains("***"), "something was taken out");
    let check = |words: &[&str]| {
        let program = loadtest(words).file("a.json", &report);
        let shown = program.file("b.json", &report).run();
        assert!(shown.stdout.len() > 20, "{words:?}: {shown}");
        assert_hidden(&shown.to_string(), &all_planted());
    };
    for format in [
        "csv",
        "json",
        "text",
        "markdown",
        "junit",
        "hlog",
        "svg",
        "openmetrics",
    ] {
        check(&["report", "a.json", "--format", format]);
    }
    for format in ["json", "text", "markdown", "junit", "csv"] {
        let words = ["--base", "a.json", "b.json", "--force", "--format"];
        check(&[&["compare"], &words[..], &[format]].concat());
    }
}

/// The command that most of the mistakes are made in.
const RUN: [&str; 4] = ["run", "http://127.0.0.1:1/mcp", "--tool", "t"];

/// What is not a secret's place, or no good one, is told without showing it.
#[test]
fn a_mistake_shows_no_secret() {
    let secret = planted("odd");
    let with = |text: &str| text.replace("ODD", &secret);
    let of_run: [&[&str]; 14] = [
        &["--proxy", "ftp://a:ODD@b"],
        &["--proxy", "http://a:ODD@127.0.0.1:1"],
        &["-H", "Authorization Bearer ODD"],
        &["-H", "Authorization:", "Bearer", "ODD"],
        &["--api-key", "ODD\u{1}"],
        &["--api-kay", "ODD"],
        &["--api-kay=ODD"],
        &["--args", "{\"password\": ODD}"],
        &["--args", "{\"password\": \"ODD\"}"],
        &["--oauth-client-secret", "ODD"],
        &["--oauth-client-secret=ODD"],
        &["--token-command", "nowhere --token ODD"],
        &["--token-file", "key.pem"],
        &["--oauth-client-id", "a", "--oauth-private-key", "key.pem"],
    ];
    let others: [&[&str]; 8] = [
        &["run", "http://name:ODD@127.0.0.1:1/mcp", "--tool", "t"],
        &["run", "http://127.0.0.1:1/mcp?token=ODD", "--tool", "t"],
        &[
            "run",
            "https://127.0.0.1:1/mcp",
            "--tool=t",
            "--client-cert=key.pem",
            "--client-key=key.pem",
        ],
        &["login", "http://name:ODD@127.0.0.1:1/mcp"],
        &["login", "http://127.0.0.1:1/mcp?token=ODD", "--no-browser"],
        &["check", "bad.toml"],
        &["try", "bad.toml"],
        &["init", "http://name:ODD@127.0.0.1:1/mcp"],
    ];
    let of_run = of_run.map(|more| [&RUN, more].concat());
    for words in of_run.into_iter().chain(others.map(<[&str]>::to_vec)) {
        let all: Vec<String> = words.iter().map(|word| with(word)).collect();
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        let key = with("-----BEGIN PRIVATE KEY-----\nODD ODD\n-----END PRIVATE KEY-----\n");
        let bad = with(
            "[headers]\nAuthorization = \"Bearer ODD\nX-Key = 'ODD'\n[settings]\nurl = \"http://a:ODD@b/\"\n",
        );
        let finished = loadtest(&all)
            .file("key.pem", &key)
            .file("bad.toml", &bad)
            .run();
        assert!(
            matches!(finished.code, Some(1 | 2)),
            "{words:?}: {finished}"
        );
        assert_hidden(&finished.to_string(), std::slice::from_ref(&secret));
    }
}

/// Secrets of OAuth: those that a client has, and those that an issuer gives, who quotes
/// what it is sent where it refuses something.
#[test]
fn secrets_of_clients_and_issuers_are_not_written() {
    let key = include_str!("../oauth/p256-sec1.pem");
    let mut secrets: Vec<String> = key
        .lines()
        .filter(|line| !line.starts_with('-'))
        .map(str::to_string)
        .collect();
    secrets.extend(
        [
            CLIENT_SECRET,
            "access-secret",
            "refresh-secret",
            "wrong-geheim",
        ]
        .map(str::to_string),
    );
    let check = |manners: &Manners, words: &[&str], given: &str| {
        let server = AuthServer::start(manners.clone());
        let url = server.url();
        let all = [&[words[0], &url], &words[1..], &["--oauth-client-id=ci"]].concat();
        let program = loadtest(&all).file("key.pem", key);
        let program = match given {
            "variable" => program.env("MCP_OAUTH_CLIENT_SECRET", CLIENT_SECRET),
            "key" => program.env("MCP_OAUTH_PRIVATE_KEY", "key.pem"),
            _ => program,
        };
        let finished = program.run();
        assert_hidden(&finished.written(&GIVEN), &secrets);
        (server, finished)
    };
    let good = Manners::default();
    let run = [
        "run",
        "--tool=work",
        "--iterations=3",
        "--junit=a.xml",
        "--markdown=a.md",
    ];
    let find = [&["find", "--tool=work"], &SEARCH[..]].concat();
    for given in ["variable", "key", "flag"] {
        let of_flag = ["--oauth-client-secret", CLIENT_SECRET];
        let more = if given == "flag" { &of_flag[..] } else { &[] };
        for words in [
            &run[..],
            &find,
            &["try", "--tool", "work"],
            &["init", "--output", "-"],
        ] {
            let (server, finished) = check(&good, &[words, more].concat(), given);
            assert!(
                !server.grants().is_empty(),
                "{given}, {words:?}: {finished}"
            );
        }
    }
    // The token's own scopes do not do, and the issuer does not take the secret.
    let poor = Manners {
        call_scopes: "mcp:write",
        scope: Some("mcp:tools"),
        ..good.clone()
    };
    check(&poor, &run, "variable");
    let posted = Manners {
        metadata: json!({"token_endpoint_auth_methods_supported": ["client_secret_post"]}),
        ..good
    };
    let wrong = [
        "run",
        "--tool=work",
        "--oauth-client-secret",
        "wrong-geheim",
    ];
    let (_, finished) = check(&posted, &wrong, "flag");
    assert!(finished.stderr.contains("client_secret=***"), "{finished}");
}

/// What is named like a credential is hidden in what a run keeps of an exchange, too,
/// though nobody takes it out of the answer, and however short it is.
#[test]
fn what_is_named_like_a_credential_is_in_no_evidence() {
    let server = FakeServer::on_call(|request, connection| {
        let inner = json!({"token": planted("inner"), "again": planted("taken")}).to_string();
        let text = json!([{"type": "text", "text": inner}]);
        let result = json!({"content": text, "structuredContent": {"api_key": planted("taken")}});
        connection.json(&request.result(&result))
    });
    let config = r#"
[settings]
preflight = false
[[scenario]]
type = "tools/call"
tool = "login"
arguments = { user = "ada", password = "open-sesame" }
expect = { contains = "welcome" }
[[scenario]]
type = "tools/call"
tool = "login"
expect = { path = "$.structuredContent.api_key", equals = "x" }
"#;
    let url = server.url();
    let run = [
        "run",
        &url,
        "--config=a.toml",
        "--vus=1",
        "--iterations=8",
        "--report=r.json",
    ];
    for arguments in [&run[..], &["try", "a.toml", "--url", &url]] {
        let finished = loadtest(arguments).file("a.toml", config).run();
        let report = fs::read_to_string(finished.dir.path().join("r.json"));
        let all = format!("{finished}{}", report.unwrap_or_default());
        assert!(
            all.contains("expect.contains") && all.contains("ada"),
            "{all}"
        );
        for hidden in [&*planted("inner"), &planted("taken"), "open-sesame"] {
            assert!(!all.contains(hidden), "{hidden} in {all}");
        }
    }
}
