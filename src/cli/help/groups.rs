//! In which group each flag stands in the help, and which variables of the environment
//! are read. Both are tables; the flags themselves are the parser's.
//!
//! Does not know what a flag means, nor how help is laid out.

/// The groups, in the order of the help: a title, and its flags without their dashes.
/// A flag of several commands stands in the same group in each.
pub(super) const GROUPS: [(&str, &str); 14] = [
    (
        "What is called",
        "demo url config population tool args task task-timeout",
    ),
    (
        "Load",
        "vus duration iterations rate max-vus stage ramp-up pacing think warm-up on-break \
         graceful-stop seed segment start-at seconds",
    ),
    ("Search", "by from to deadline quick"),
    ("Thresholds", "assert max-p50 max-p95 max-p99 max-errors"),
    (
        "What is measured",
        "streams trace probe histograms backend-header calibration strict",
    ),
    ("Worker threads", "workers no-pin busy-poll"),
    (
        "Protocol",
        "protocol header cookies respect-retry-after no-listen subscribe no-preflight",
    ),
    (
        "Credentials",
        "api-key token-command token-file oauth-client-id oauth-issuer oauth-scopes \
         oauth-redirect-port oauth-client-secret oauth-private-key oauth-no-cache \
         no-stored-token no-browser",
    ),
    (
        "Network",
        "timeout connect-timeout proxy no-proxy resolve bind addresses connection no-keepalive",
    ),
    ("TLS", "ca client-cert client-key server-name insecure"),
    (
        "How the server behaves",
        "port eras stateless session-ttl latency capacity one-at-a-time faults off-schema mix \
         answers hold-streams stream-every stream-asks backends",
    ),
    (
        "What is compared",
        "base history last tolerance warn fail-on-unclear",
    ),
    (
        "What is written",
        "report no-report out svg junit markdown hlog github no-github format output all force yes",
    ),
    (
        "On the terminal",
        "live sort quiet ascii color no-color version help",
    ),
];

/// Variables of the environment: the flag in whose company one is told of, its name, what
/// it says.
pub(super) const VARIABLES: [(&str, &str, &str); 18] = [
    (
        "api-key",
        "MCP_API_KEY",
        "sent as a bearer token, where no --api-key is given",
    ),
    (
        "oauth-client-id",
        "MCP_OAUTH_CLIENT_ID",
        "as --oauth-client-id; so are MCP_OAUTH_ISSUER, MCP_OAUTH_SCOPES, \
         MCP_OAUTH_REDIRECT_PORT, MCP_OAUTH_CLIENT_SECRET and MCP_OAUTH_PRIVATE_KEY of the \
         flags of these names",
    ),
    (
        "proxy",
        "HTTP_PROXY",
        "the proxy for servers at http://, unless --proxy is given; small letters go first",
    ),
    ("proxy", "HTTPS_PROXY", "the proxy for servers at https://"),
    ("proxy", "ALL_PROXY", "the proxy where neither says one"),
    (
        "proxy",
        "NO_PROXY",
        "what is reached without a proxy, as --no-proxy",
    ),
    (
        "ca",
        "SSL_CERT_FILE",
        "file of the authorities that are trusted, in place of the platform's",
    ),
    (
        "segment",
        "JOB_COMPLETION_INDEX",
        "the number of this host for --segment job/N, from 0; Kubernetes sets it",
    ),
    (
        "out",
        "OTEL_EXPORTER_OTLP_HEADERS",
        "headers for --out otlp=URL, such as Authorization=Bearer%20KEY",
    ),
    (
        "github",
        "GITHUB_STEP_SUMMARY",
        "file that the Markdown is added to; GitHub Actions sets it",
    ),
    ("color", "NO_COLOR", "no colour, where it is not empty"),
    (
        "color",
        "CLICOLOR_FORCE",
        "colour in files and pipes too, where it is neither empty nor 0",
    ),
    (
        "color",
        "TERM",
        "no colour and no line drawn again where it is dumb",
    ),
    (
        "color",
        "COLUMNS",
        "the width of the terminal, in place of its own",
    ),
    (
        "color",
        "LC_ALL",
        "a locale without UTF-8 is drawn for in ASCII; else LC_CTYPE or LANG",
    ),
    (
        "color",
        "CI",
        "nothing drawn again on a terminal, where it is neither empty, 0 nor false",
    ),
    (
        "color",
        "GITHUB_ACTIONS",
        "where it is true, lines lose what the runner would take for commands",
    ),
    (
        "color",
        "RUST_BACKTRACE",
        "where it is 1, a fault of this program is told with its backtrace",
    ),
];
