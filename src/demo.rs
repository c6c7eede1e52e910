//! `portolan demo-server`: a small MCP server over standard streams, to try the gateway with.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use rmcp::handler::server::router::prompt::PromptRouter;
use rmcp::handler::server::router::tool::ToolRouter;
use rmcp::handler::server::wrapper::Parameters;
use rmcp::model::{
    CacheScope, CallToolResult, CompleteRequestParams, CompleteResult, CompletionInfo, ContentBlock, ErrorData, Implementation,
    ListResourceTemplatesResult, ListResourcesResult, ListToolsResult, PaginatedRequestParams, ProgressNotificationParam, PromptMessage,
    ReadResourceRequestParams, ReadResourceResponse, ReadResourceResult, Resource, ResourceContents, ResourceTemplate, Role,
    ServerCapabilities, ServerConfig,
};
use rmcp::service::RequestContext;
use rmcp::{RoleServer, ServerHandler, ServiceExt as _, prompt, prompt_handler, prompt_router, schemars, tool, tool_handler, tool_router};

const NOTES: &str = "demo://notes";
const GREETING: &str = "demo://greeting/";

/// Serves until standard input closes. `words` is a file with the description of the tool `echo`.
pub async fn run(words: Option<PathBuf>) -> Result<()> {
    Demo::new(words).serve(rmcp::transport::stdio()).await?.waiting().await?;
    Ok(())
}

#[derive(Clone)]
struct Demo {
    tool_router: ToolRouter<Self>,
    prompt_router: PromptRouter<Self>,
    words: Option<PathBuf>,
}

/// What to repeat.
#[derive(serde::Deserialize, schemars::JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
struct Echo {
    /// The text to send back.
    text: String,
}

/// How long to take.
#[derive(serde::Deserialize, schemars::JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
struct Slow {
    /// How many steps, each with a progress notification.
    #[serde(default = "five")]
    #[schemars(range(min = 1, max = 1000))]
    steps: u32,
    /// Milliseconds per step.
    #[serde(default = "fifth")]
    #[schemars(range(max = 10_000))]
    delay_ms: u64,
}

fn five() -> u32 {
    5
}

fn fifth() -> u64 {
    200
}

/// Who is greeted.
#[derive(serde::Deserialize, schemars::JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
struct Greeting {
    /// A name.
    name: String,
}

#[allow(clippy::unused_self)] // The router calls methods.
#[tool_router]
impl Demo {
    fn new(words: Option<PathBuf>) -> Self {
        Self { tool_router: Self::tool_router(), prompt_router: Self::prompt_router(), words }
    }

    #[tool(description = "Tells the time in UTC.", annotations(read_only_hint = true))]
    fn time(&self) -> String {
        chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
    }

    #[tool(description = "Sends a text back.", annotations(read_only_hint = true))]
    fn echo(&self, Parameters(Echo { text }): Parameters<Echo>) -> String {
        text
    }

    #[tool(description = "Takes its time, and tells of its progress.", annotations(read_only_hint = true))]
    async fn slow(&self, Parameters(Slow { steps, delay_ms }): Parameters<Slow>, context: RequestContext<RoleServer>) -> String {
        for step in 1..=steps {
            tokio::select! {
                () = context.ct.cancelled() => return "cancelled".to_owned(),
                () = tokio::time::sleep(Duration::from_millis(delay_ms)) => {}
            }
            if let Some(token) = context.meta.get_progress_token() {
                let progress = ProgressNotificationParam::new(token, f64::from(step)).with_total(f64::from(steps));
                let _ = context.peer.notify_progress(progress.with_message(format!("step {step} of {steps}"))).await;
            }
        }
        format!("done after {steps} steps")
    }

    #[tool(description = "Always fails, to see what failure looks like.", annotations(read_only_hint = true))]
    fn fail(&self) -> CallToolResult {
        CallToolResult::error(vec![ContentBlock::text("This tool always fails.")])
    }
}

#[allow(clippy::unused_self)] // The router calls methods.
#[prompt_router]
impl Demo {
    #[prompt(description = "Asks for a greeting.")]
    async fn greeting(&self, Parameters(Greeting { name }): Parameters<Greeting>) -> Vec<PromptMessage> {
        vec![PromptMessage::new_text(Role::User, format!("Greet {name} in one friendly sentence."))]
    }
}

#[tool_handler(router = self.tool_router)]
#[prompt_handler(router = self.prompt_router)]
impl ServerHandler for Demo {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder().enable_tools().enable_prompts().enable_resources().enable_completions().build();
        let mut config = ServerConfig::new(capabilities).with_instructions("A server to try things with.");
        config.server_info = Implementation::new("portolan-demo", env!("CARGO_PKG_VERSION"));
        config
    }

    async fn list_tools(&self, _: Option<PaginatedRequestParams>, _: RequestContext<RoleServer>) -> Result<ListToolsResult, ErrorData> {
        let mut tools = self.tool_router.list_all();
        let words = self.words.as_ref().and_then(|file| std::fs::read_to_string(file).ok());
        if let (Some(words), Some(echo)) = (words, tools.iter_mut().find(|tool| tool.name == "echo")) {
            echo.description = Some(words.trim().to_owned().into());
        }
        Ok(ListToolsResult::with_all_items(tools))
    }

    async fn list_resources(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        let notes = Resource::new(NOTES, "notes").with_description("A few notes.").with_mime_type("text/plain");
        Ok(ListResourcesResult::with_all_items(vec![notes]))
    }

    async fn list_resource_templates(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        let template = ResourceTemplate::new(format!("{GREETING}{{name}}"), "greeting").with_description("A greeting for somebody.");
        Ok(ListResourceTemplatesResult::with_all_items(vec![template]))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let text = if request.uri == NOTES {
            "The harbour opens at six.\nThe pilot boat answers on channel 12.".to_owned()
        } else if let Some(name) = request.uri.strip_prefix(GREETING) {
            format!("Good morning, {name}.")
        } else {
            return Err(ErrorData::resource_not_found("there is no such resource", None));
        };
        let result = ReadResourceResult::new(vec![ResourceContents::text(text, request.uri)]);
        // These texts never change and are for everyone.
        Ok(result.with_ttl_ms(3_600_000).with_cache_scope(CacheScope::Public).into())
    }

    async fn complete(&self, request: CompleteRequestParams, _: RequestContext<RoleServer>) -> Result<CompleteResult, ErrorData> {
        let names = ["Ada", "Alan", "Barbara", "Grace"].into_iter().map(str::to_owned);
        let matching = names.filter(|name| name.to_lowercase().starts_with(&request.argument.value.to_lowercase())).collect();
        let info = CompletionInfo::new(matching).map_err(|error| ErrorData::internal_error(error, None))?;
        Ok(CompleteResult::new(info))
    }
}
