//! A server made with pmcp, for the end-to-end tests. It serves both eras on a free port
//! of 127.0.0.1 and prints one line on standard output once it accepts connections:
//! `URL http://127.0.0.1:PORT/mcp`. `--stateless`: without sessions. `GET /stats` tells
//! how many tool calls reached a handler. It ends with its standard input.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use axum::{Json, Router, routing::get};
use pmcp::axum::{RouterConfig, concurrent_router_with_config};
use pmcp::server::simple_tool::SimpleTool;
use pmcp::server::streamable_http_server::StreamableHttpServerConfig;
use pmcp::types::{ProtocolVersion, ServerCapabilities};
use pmcp::{LATEST_PROTOCOL_VERSION, Server};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;

#[derive(Default)]
struct Calls {
    total: AtomicU64,
    in_flight: AtomicU64,
    in_flight_max: AtomicU64,
}

type Handled = Pin<Box<dyn Future<Output = pmcp::Result<Value>> + Send>>;

/// The same tools as the other SDKs' test servers have.
fn tool(
    calls: &Arc<Calls>,
    properties: Value,
    work: fn(Value) -> Handled,
    name: &str,
) -> SimpleTool<impl Fn(Value, pmcp::RequestHandlerExtra) -> Handled + Send + Sync> {
    let calls = Arc::clone(calls);
    let required: Vec<String> = properties
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, _)| name.clone())
        .collect();
    let handler = move |given: Value, _: pmcp::RequestHandlerExtra| -> Handled {
        let calls = Arc::clone(&calls);
        Box::pin(async move {
            calls.total.fetch_add(1, SeqCst);
            let now = calls.in_flight.fetch_add(1, SeqCst) + 1;
            calls.in_flight_max.fetch_max(now, SeqCst);
            let done = work(given).await;
            calls.in_flight.fetch_sub(1, SeqCst);
            done
        })
    };
    let schema = json!({"type": "object", "properties": properties, "required": required});
    SimpleTool::new(name, handler).with_schema(schema)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let is_stateless = std::env::args().any(|argument| argument == "--stateless");
    let calls = Arc::new(Calls::default());
    let text = json!({"text": {"type": "string"}});
    let ms = json!({"ms": {"type": "integer"}});
    let echo = |given: Value| -> Handled { Box::pin(async move { Ok(given["text"].clone()) }) };
    let sleep = |given: Value| -> Handled {
        Box::pin(async move {
            let ms = given["ms"].as_u64().unwrap_or_default();
            tokio::time::sleep(Duration::from_millis(ms)).await;
            Ok(json!(format!("slept {ms} ms")))
        })
    };
    let server = Server::builder()
        .name("pmcp-test-server")
        .version("9.8.7")
        .capabilities(ServerCapabilities::tools_only())
        .with_supported_protocol_versions(
            [LATEST_PROTOCOL_VERSION, "2026-07-28"].map(|it| ProtocolVersion(it.to_string())),
        )
        .tool("echo", tool(&calls, text, echo, "echo"))
        .tool("sleep", tool(&calls, ms, sleep, "sleep"))
        .build()?;
    let mut config = RouterConfig::default();
    if is_stateless {
        config.server_config = StreamableHttpServerConfig::stateless();
    }
    let mcp = concurrent_router_with_config(Arc::new(server), config);
    let stats = get(move || async move {
        let [total, most] = [&calls.total, &calls.in_flight_max].map(|it| it.load(SeqCst));
        Json(json!({"calls": total, "in_flight_max": most}))
    });
    let app = Router::new().route("/stats", stats).nest("/mcp", mcp);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("URL http://{}/mcp", listener.local_addr()?);
    let mut stdin = tokio::io::stdin();
    let at_end = async move { _ = stdin.read_to_end(&mut Vec::new()).await };
    tokio::select! {
        served = axum::serve(listener, app) => Ok(served?),
        () = at_end => Ok(()),
    }
}
