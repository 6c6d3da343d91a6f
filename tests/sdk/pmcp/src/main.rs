//! A server made with `pmcp`, for the end-to-end tests: both eras of the protocol on a
//! free port of 127.0.0.1. It prints one line on standard output once it accepts
//! connections, `URL http://127.0.0.1:PORT/mcp`, and ends with its standard input.
//!
//! `--json`: JSON rather than event streams. `--stateless`: without sessions. `GET /stats`
//! tells how many tool calls reached a handler, how many elicitations were accepted, how
//! many notifications of progress were sent, and how many tasks were completed.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use axum::routing::get;
use axum::{Json, Router};
use pmcp::axum::{RouterConfig, concurrent_router_with_config};
use pmcp::server::ToolOutput;
use pmcp::server::streamable_http_server::StreamableHttpServerConfig;
use pmcp::server::task_store::{InMemoryTaskStore, TaskStore};
use pmcp::types::elicitation::{ElicitAction, ElicitRequestParams};
use pmcp::types::protocol::{
    LATEST_PROTOCOL_VERSION, PROTOCOL_VERSION_2026_07_28, ProtocolVersion,
};
use pmcp::types::tasks::TaskStatus;
use pmcp::types::{CallToolResult, Content, TaskSupport, ToolExecution, ToolInfo};
use pmcp::{RequestHandlerExtra, Server, ToolHandler};
use serde_json::{Value, json};

/// The reporter drops what follows within 100 ms, but for the first and the last.
const STEP: Duration = Duration::from_millis(110);

/// Whose tasks they are on a server without authorization.
const OWNER: &str = "";

#[derive(Default)]
struct Counts {
    calls: AtomicU64,
    accepted: AtomicU64,
    progress: AtomicU64,
    tasks: AtomicU64,
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::SeqCst);
}

/// One of the tools that all test servers have.
struct Tool {
    name: &'static str,
    counts: Arc<Counts>,
}

impl Tool {
    async fn text(&self, args: &Value, extra: &RequestHandlerExtra) -> pmcp::Result<String> {
        count(&self.counts.calls);
        let number = |name: &str| args[name].as_u64().unwrap_or(0);
        match self.name {
            "echo" => Ok(args["text"].as_str().unwrap_or_default().to_string()),
            "sleep" => {
                let ms = number("ms");
                tokio::time::sleep(Duration::from_millis(ms)).await;
                Ok(format!("slept {ms} ms"))
            }
            "stepwise" => {
                let n_steps = number("steps").min(100);
                for step in 1..=n_steps {
                    if step > 1 {
                        tokio::time::sleep(STEP).await;
                    }
                    count(&self.counts.progress);
                    let total = Some(n_steps as f64);
                    extra.report_progress(step as f64, total, None).await?;
                }
                Ok(format!("{n_steps} steps"))
            }
            "ask" => {
                let Some(peer) = extra.peer() else {
                    return Err(pmcp::Error::internal("there is no way to the client"));
                };
                let properties = json!({"name": {"type": "string"}});
                let form = ElicitRequestParams::Form {
                    message: "Who is there?".to_string(),
                    requested_schema: json!({
                        "type": "object", "properties": properties, "required": ["name"],
                    }),
                };
                let answer = peer.elicit(form).await?;
                let is_accepted = matches!(answer.action, ElicitAction::Accept);
                if is_accepted {
                    count(&self.counts.accepted);
                }
                Ok(if is_accepted { "accept" } else { "decline" }.to_string())
            }
            other => Err(pmcp::Error::internal(format!("no tool {other}"))),
        }
    }
}

#[async_trait]
impl ToolHandler for Tool {
    async fn handle(&self, args: Value, extra: RequestHandlerExtra) -> pmcp::Result<Value> {
        Ok(self.text(&args, &extra).await?.into())
    }

    async fn handle_output(
        &self,
        args: Value,
        extra: RequestHandlerExtra,
    ) -> pmcp::Result<ToolOutput> {
        let text = self.text(&args, &extra).await?;
        let result = CallToolResult::new(vec![Content::text(text)]);
        Ok(ToolOutput::Result(result))
    }

    fn metadata(&self) -> Option<ToolInfo> {
        let (description, properties) = match self.name {
            "echo" => ("Says the text again", json!({"text": {"type": "string"}})),
            "sleep" => (
                "Takes as long as it is told",
                json!({"ms": {"type": "integer"}}),
            ),
            "stepwise" => (
                "Tells of each of its steps",
                json!({"steps": {"type": "integer"}}),
            ),
            _ => ("Asks for a name", json!({})),
        };
        let schema = json!({"type": "object", "properties": properties});
        Some(ToolInfo::new(
            self.name,
            Some(description.to_string()),
            schema,
        ))
    }
}

/// A tool whose answer is a task for those who declare them.
struct TaskTool {
    counts: Arc<Counts>,
}

#[async_trait]
impl ToolHandler for TaskTool {
    async fn handle(&self, _: Value, _: RequestHandlerExtra) -> pmcp::Result<Value> {
        count(&self.counts.calls);
        // The store gives the task its real id.
        Ok(json!({"taskId": "none", "status": "working", "ttl": 60_000, "pollInterval": 20}))
    }

    fn metadata(&self) -> Option<ToolInfo> {
        let schema = json!({"type": "object", "properties": {}});
        let mut info = ToolInfo::new("work", Some("Is a task".to_string()), schema);
        info.execution = Some(ToolExecution::new().with_task_support(TaskSupport::Required));
        Some(info)
    }
}

/// Does the work of the tasks: a server's own business, not the SDK's.
async fn complete_tasks(store: Arc<dyn TaskStore>, counts: Arc<Counts>) {
    loop {
        tokio::time::sleep(Duration::from_millis(10)).await;
        let Ok((tasks, _)) = store.list(OWNER, None).await else {
            continue;
        };
        for task in tasks
            .iter()
            .filter(|task| task.status == TaskStatus::Working)
        {
            let result = CallToolResult::new(vec![Content::text("worked")]);
            let id = &task.task_id;
            let is_set = store.set_result(id, OWNER, result).await.is_ok();
            let completed = TaskStatus::Completed;
            if is_set
                && store
                    .update_status(id, OWNER, completed, None)
                    .await
                    .is_ok()
            {
                count(&counts.tasks);
            }
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let flags: Vec<String> = std::env::args().skip(1).collect();
    let has = |flag: &str| flags.iter().any(|it| it == flag);
    std::thread::spawn(|| {
        // Until the test that started it is gone.
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });

    let counts = Arc::new(Counts::default());
    let store: Arc<dyn TaskStore> = Arc::new(InMemoryTaskStore::new());
    let mut builder = Server::builder()
        .name("pmcp-test-server")
        .version("9.8.7")
        .with_supported_protocol_versions([
            ProtocolVersion(LATEST_PROTOCOL_VERSION.to_string()),
            ProtocolVersion(PROTOCOL_VERSION_2026_07_28.to_string()),
        ])
        .task_store(Arc::clone(&store));
    for name in ["echo", "sleep", "stepwise", "ask"] {
        let counts = Arc::clone(&counts);
        builder = builder.tool(name, Tool { name, counts });
    }
    let work = TaskTool {
        counts: Arc::clone(&counts),
    };
    let server = builder.tool("work", work).build()?;
    tokio::spawn(complete_tasks(store, Arc::clone(&counts)));

    let mut config = match has("--stateless") {
        true => StreamableHttpServerConfig::stateless(),
        false => StreamableHttpServerConfig::default(),
    };
    config.enable_json_response = has("--json");
    let config = RouterConfig {
        server_config: config,
        ..RouterConfig::default()
    };
    let stats = move || async move {
        let of = |counter: &AtomicU64| counter.load(Ordering::SeqCst);
        Json(json!({
            "calls": of(&counts.calls),
            "accepted": of(&counts.accepted),
            "progress": of(&counts.progress),
            "tasks": of(&counts.tasks),
        }))
    };
    let app = Router::new()
        .route("/stats", get(stats))
        .nest("/mcp", concurrent_router_with_config(server.into(), config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("URL http://{}/mcp", listener.local_addr()?);
    // Answers in two packets would wait for the client's acknowledgement.
    axum::serve(
        axum::serve::ListenerExt::tap_io(listener, |stream| {
            let _ = stream.set_nodelay(true);
        }),
        app,
    )
    .await?;
    Ok(())
}
