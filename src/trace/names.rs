//! The names of spans and of their attributes, all in one place.
//!
//! They follow the semantic conventions for GenAI and MCP, which are still in development and change their names: those of
//! `open-telemetry/semantic-conventions-genai` as of `model/gen-ai/spans.yaml` at commit 002c8a6 and `model/mcp/spans.yaml`
//! at commit 5c50d34 (both 2026). What has no name there begins with `portolan.`.

/// The names of attributes.
pub mod attribute {
    /// What kind of work of an AI application: `chat`, `embeddings`, `execute_tool`.
    pub const OPERATION: &str = "gen_ai.operation.name";
    /// Who offers the model.
    pub const PROVIDER: &str = "gen_ai.provider.name";
    /// The model that was asked for.
    pub const REQUEST_MODEL: &str = "gen_ai.request.model";
    /// Whether a stream was asked for.
    pub const REQUEST_STREAM: &str = "gen_ai.request.stream";
    /// The model that answered, as the provider names it.
    pub const RESPONSE_MODEL: &str = "gen_ai.response.model";
    /// The provider's id of the answer.
    pub const RESPONSE_ID: &str = "gen_ai.response.id";
    /// Why the model stopped, for each answer.
    pub const FINISH_REASONS: &str = "gen_ai.response.finish_reasons";
    /// How long the first piece of a stream took, in seconds.
    pub const FIRST_CHUNK: &str = "gen_ai.response.time_to_first_chunk";
    /// Tokens of the request, cached ones included.
    pub const INPUT_TOKENS: &str = "gen_ai.usage.input_tokens";
    /// Tokens of the answer.
    pub const OUTPUT_TOKENS: &str = "gen_ai.usage.output_tokens";
    /// Tokens of the request that were read from a prompt cache.
    pub const CACHE_READ_TOKENS: &str = "gen_ai.usage.cache_read.input_tokens";
    /// Tokens of the request that were written to a prompt cache.
    pub const CACHE_WRITE_TOKENS: &str = "gen_ai.usage.cache_creation.input_tokens";
    /// Tokens of the answer that nobody sees.
    pub const REASONING_TOKENS: &str = "gen_ai.usage.reasoning.output_tokens";
    /// The tool that is called.
    pub const TOOL: &str = "gen_ai.tool.name";
    /// The prompt that is asked for.
    pub const PROMPT: &str = "gen_ai.prompt.name";
    /// The method of an MCP request.
    pub const MCP_METHOD: &str = "mcp.method.name";
    /// The revision of MCP that is spoken.
    pub const MCP_VERSION: &str = "mcp.protocol.version";
    /// The client's session.
    pub const MCP_SESSION: &str = "mcp.session.id";
    /// The client's id of a request.
    pub const JSONRPC_ID: &str = "jsonrpc.request.id";
    /// The code of a JSON-RPC error.
    pub const RPC_STATUS: &str = "rpc.response.status_code";
    /// What carries the messages: `tcp`, or `pipe` to a program.
    pub const TRANSPORT: &str = "network.transport";
    /// The host that is called.
    pub const ADDRESS: &str = "server.address";
    /// Its port.
    pub const PORT: &str = "server.port";
    /// The method of an HTTP request.
    pub const HTTP_METHOD: &str = "http.request.method";
    /// The path of the gateway that it came to.
    pub const HTTP_ROUTE: &str = "http.route";
    /// The same: these paths have no places to fill.
    pub const URL_PATH: &str = "url.path";
    /// How it came.
    pub const URL_SCHEME: &str = "url.scheme";
    /// The status it was answered with.
    pub const HTTP_STATUS: &str = "http.response.status_code";
    /// What went wrong: a status, a code, or one of a few words.
    pub const ERROR: &str = "error.type";
    /// `x-request-id`, by which log and journal know the request.
    pub const REQUEST_ID: &str = "portolan.request.id";
    /// Who asks, by the id that the journal has.
    pub const PRINCIPAL: &str = "portolan.principal";
    /// The upstream server, by its name in the gateway.
    pub const SERVER: &str = "portolan.server";
    /// What was called, as the release defines it: `server/tool@version#digest`.
    pub const DEFINITION: &str = "portolan.definition";
    /// The target of a model, `provider/model`.
    pub const TARGET: &str = "portolan.target";
}

/// What an MCP method that is not known is called, as the conventions want it: what callers make up would be a name of its own each.
const OTHER: &str = "_OTHER";

/// The methods of requests, of all revisions.
const METHODS: [&str; 16] = [
    "tools/call",
    "tools/list",
    "prompts/get",
    "prompts/list",
    "resources/read",
    "resources/list",
    "resources/templates/list",
    "resources/subscribe",
    "resources/unsubscribe",
    "completion/complete",
    "initialize",
    "server/discover",
    "subscriptions/listen",
    "logging/setLevel",
    "ping",
    "tasks/get",
];

/// An MCP method by its own name, if it has one that is known.
pub(super) fn method(method: &str) -> &'static str {
    METHODS.into_iter().find(|known| *known == method).unwrap_or(OTHER)
}
