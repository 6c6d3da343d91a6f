//! A server made with the official Rust SDK (`rmcp`), on loopback, inside the test process.
//!
//! Nobody here wrote its protocol code, so it does not share our
//! misunderstandings. It speaks both eras on one endpoint, `/mcp`: a request
//! that names 2026-07-28 is served without a session whatever the mode, every
//! other one in the way that [`Mode`] says. It does not know our program; start
//! at [`RmcpServer::start`].

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rmcp::handler::server::router::prompt::PromptRouter;
use rmcp::handler::server::router::tool::ToolRouter;
use rmcp::handler::server::tool::ToolCallContext;
use rmcp::handler::server::wrapper::Parameters;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, CancelTaskParams, ContentBlock,
    CreateTaskResult, GetTaskParams, GetTaskResult, Implementation, InputRequest,
    ListResourcesResult, PaginatedRequestParams, ProgressNotificationParam, PromptMessage,
    ReadResourceRequestParams, ReadResourceResponse, ReadResourceResult, Resource,
    ResourceContents, Role, ServerCapabilities, ServerConfig, UpdateTaskParams,
};
use rmcp::schemars::JsonSchema;
use rmcp::service::RequestContext;
use rmcp::task_manager::{TaskExit, TaskManager, TaskOptions};
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{ErrorData, RoleServer, ServerHandler, prompt, prompt_handler, prompt_router};
use rmcp::{tool, tool_handler, tool_router};
use serde::Deserialize;
use tokio::runtime::Runtime;

/// The name that the server gives itself.
pub(crate) const SERVER_NAME: &str = "rmcp-test-server";
/// The version that the server gives itself.
pub(crate) const SERVER_VERSION: &str = "9.8.7";
/// The one resource, with the text [`RESOURCE_TEXT`].
pub(crate) const RESOURCE_URI: &str = "test://greeting";
/// What the one resource holds.
pub(crate) const RESOURCE_TEXT: &str = "Hello from rmcp";

/// How requests of the legacy revisions are served, and how answers are framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mode {
    /// Whether `initialize` opens a session (legacy revisions only).
    pub(crate) stateful: bool,
    /// Whether an answer is one JSON object rather than an SSE stream. The SDK
    /// heeds it for modern requests and for stateless legacy ones; with legacy
    /// sessions its answers are always SSE.
    pub(crate) json: bool,
}

/// A running server. Dropping it closes its port and every connection.
pub(crate) struct RmcpServer {
    address: SocketAddr,
    counters: Arc<Counters>,
    cancel: StopToken,
    /// `None` only while it is being dropped.
    runtime: Option<Runtime>,
}

/// Cancels the SDK's sessions and streams.
type StopToken = Box<dyn Fn() + Send + Sync>;

impl RmcpServer {
    /// Starts a server on a free port. It accepts connections when this returns.
    pub(crate) fn start(mode: Mode) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime for the test server");
        let listener = runtime
            .block_on(tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))
            .expect("a free port on loopback");
        let address = listener
            .local_addr()
            .expect("a bound socket has an address");

        let counters = Arc::new(Counters::default());
        let config = StreamableHttpServerConfig::default()
            .with_legacy_session_mode(mode.stateful)
            .with_json_response(mode.json);
        let token = config.cancellation_token.clone();
        let handler = Handler::new(Arc::clone(&counters));
        let service: StreamableHttpService<Handler, LocalSessionManager> =
            StreamableHttpService::new(move || Ok(handler.clone()), Arc::default(), config);
        let router = axum::Router::new().nest_service("/mcp", service);
        runtime.spawn(async move { axum::serve(listener, router).await });

        Self {
            address,
            counters,
            cancel: Box::new(move || token.cancel()),
            runtime: Some(runtime),
        }
    }

    /// The endpoint.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/mcp", self.address)
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Tool calls that reached a handler, whatever came of them.
    pub(crate) fn calls(&self) -> u64 {
        self.counters.calls.load(Ordering::SeqCst)
    }

    /// The most tool calls that were in their handlers at one time.
    pub(crate) fn in_flight_max(&self) -> u64 {
        self.counters.in_flight_max.load(Ordering::SeqCst)
    }

    /// Notifications of progress that were sent.
    pub(crate) fn progress(&self) -> u64 {
        self.counters.progress.load(Ordering::SeqCst)
    }

    /// Sessions that said `notifications/initialized` (legacy, stateful only).
    pub(crate) fn sessions(&self) -> u64 {
        self.counters.sessions.load(Ordering::SeqCst)
    }
}

impl Drop for RmcpServer {
    fn drop(&mut self) {
        (self.cancel)();
        if let Some(runtime) = self.runtime.take() {
            // Handlers that sleep are dropped where they wait; the bound is for a stuck one.
            runtime.shutdown_timeout(Duration::from_secs(2));
        }
    }
}

#[derive(Debug, Default)]
struct Counters {
    calls: AtomicU64,
    in_flight: AtomicU64,
    in_flight_max: AtomicU64,
    sessions: AtomicU64,
    progress: AtomicU64,
}

impl Counters {
    fn enter(self: &Arc<Self>) -> InFlight {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let in_flight = self.in_flight.fetch_add(1, Ordering::SeqCst) + 1;
        self.in_flight_max.fetch_max(in_flight, Ordering::SeqCst);
        InFlight(Arc::clone(self))
    }
}

/// One call in its handler. A cancelled call drops it where it waits.
struct InFlight(Arc<Counters>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::SeqCst);
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
struct EchoArguments {
    /// The text to say again.
    text: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
struct AddArguments {
    /// The first summand.
    a: i64,
    /// The second summand.
    b: i64,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
struct SleepArguments {
    /// How long to take, in milliseconds.
    ms: u64,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
struct StepwiseArguments {
    /// How many steps, at most 100.
    steps: u32,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
struct GreetArguments {
    /// Whom to greet.
    name: String,
}

#[derive(Clone)]
struct Handler {
    counters: Arc<Counters>,
    tool_router: ToolRouter<Self>,
    prompt_router: PromptRouter<Self>,
    tasks: TaskManager,
}

impl Handler {
    fn new(counters: Arc<Counters>) -> Self {
        Self {
            counters,
            tool_router: Self::tool_router(),
            prompt_router: Self::prompt_router(),
            tasks: TaskManager::new(),
        }
    }

    /// `sleep` as a task, which asks for the client's roots first.
    fn sleep_as_task(&self, ms: u64) -> CallToolResponse {
        let in_flight = self.counters.enter();
        let options = TaskOptions::new().with_poll_interval_ms(20);
        let task = self.tasks.spawn(options, move |context| {
            Box::pin(async move {
                let _in_flight = in_flight;
                let roots = InputRequest::ListRoots(Default::default());
                let said = context.request_input("roots", roots).await?;
                tokio::select! {
                    () = context.cancelled() => return Err(TaskExit::Cancelled),
                    () = tokio::time::sleep(Duration::from_millis(ms)) => {}
                }
                let text = format!("slept {ms} ms, with {said}");
                Ok(CallToolResult::success(vec![ContentBlock::text(text)]))
            })
        });
        CallToolResponse::Task(CreateTaskResult::new(task))
    }
}

#[tool_router]
impl Handler {
    #[tool(description = "Tells of each of its steps")]
    async fn stepwise(
        &self,
        Parameters(StepwiseArguments { steps }): Parameters<StepwiseArguments>,
        context: RequestContext<RoleServer>,
    ) -> Result<String, ErrorData> {
        let _in_flight = self.counters.enter();
        if let Some(token) = context.meta.get_progress_token() {
            for step in 1..=steps.min(100) {
                let told = ProgressNotificationParam::new(token.clone(), f64::from(step));
                let is_sent = context.peer.notify_progress(told).await.is_ok();
                let n_sent = u64::from(is_sent);
                self.counters.progress.fetch_add(n_sent, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        Ok(format!("{steps} steps"))
    }

    #[tool(description = "Says the text again")]
    async fn echo(&self, Parameters(EchoArguments { text }): Parameters<EchoArguments>) -> String {
        let _in_flight = self.counters.enter();
        text
    }

    #[tool(description = "Adds two numbers")]
    async fn add(&self, Parameters(AddArguments { a, b }): Parameters<AddArguments>) -> String {
        let _in_flight = self.counters.enter();
        a.wrapping_add(b).to_string()
    }

    #[tool(description = "Takes as long as it is told")]
    async fn sleep(&self, Parameters(SleepArguments { ms }): Parameters<SleepArguments>) -> String {
        let _in_flight = self.counters.enter();
        tokio::time::sleep(Duration::from_millis(ms)).await;
        format!("slept {ms} ms")
    }

    #[tool(description = "Always fails")]
    async fn fail(&self) -> CallToolResult {
        let _in_flight = self.counters.enter();
        CallToolResult::error(vec![ContentBlock::text("this tool always fails")])
    }
}

#[prompt_router]
impl Handler {
    #[prompt(name = "greet", description = "Asks for a greeting")]
    async fn greet(
        &self,
        Parameters(GreetArguments { name }): Parameters<GreetArguments>,
    ) -> Vec<PromptMessage> {
        vec![PromptMessage::new_text(
            Role::User,
            format!("Please greet {name}"),
        )]
    }
}

#[tool_handler(router = self.tool_router)]
#[prompt_handler(router = self.prompt_router)]
impl ServerHandler for Handler {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder()
            .enable_tools()
            .enable_resources()
            .enable_prompts()
            .enable_tasks()
            .build();
        ServerConfig::new(capabilities)
            .with_server_info(Implementation::new(SERVER_NAME, SERVER_VERSION))
            .with_instructions("A server for tests")
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let capabilities = context.client_capabilities();
        let has_tasks = capabilities.is_some_and(|declared| declared.supports_tasks());
        if request.name == "sleep" && has_tasks {
            let ms = request.arguments.as_ref().and_then(|given| given.get("ms"));
            return Ok(self.sleep_as_task(ms.and_then(|ms| ms.as_u64()).unwrap_or(0)));
        }
        let call = ToolCallContext::new(self, request, context);
        self.tool_router.call(call).await
    }

    async fn get_task(
        &self,
        request: GetTaskParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<GetTaskResult, ErrorData> {
        Ok(GetTaskResult::new(self.tasks.get_task(&request.task_id)?))
    }

    async fn update_task(
        &self,
        request: UpdateTaskParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.tasks
            .update_task(&request.task_id, request.input_responses)
    }

    async fn cancel_task(
        &self,
        request: CancelTaskParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.tasks.cancel_task(&request.task_id)
    }

    async fn list_resources(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        let resource = Resource::new(RESOURCE_URI, "greeting").with_mime_type("text/plain");
        Ok(ListResourcesResult::with_all_items(vec![resource]))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        if request.uri != RESOURCE_URI {
            return Err(ErrorData::resource_not_found(
                format!("no resource `{}`", request.uri),
                None,
            ));
        }
        let contents = ResourceContents::text(RESOURCE_TEXT, RESOURCE_URI);
        Ok(ReadResourceResult::new(vec![contents]).into())
    }

    async fn on_initialized(&self, _context: rmcp::service::NotificationContext<RoleServer>) {
        self.counters.sessions.fetch_add(1, Ordering::SeqCst);
    }
}
