// An MCP client on the TypeScript SDK 1.x, driven by a plan: the same plan and the same answers as
// python/mcp_client.py, over Streamable HTTP only. This SDK knows the session protocol and no other.
import { text } from "node:stream/consumers";
import { UnauthorizedError } from "@modelcontextprotocol/sdk/client/auth.js";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { McpError } from "@modelcontextprotocol/sdk/types.js";
import { Login } from "./login.mjs";

const textOf = (blocks) => blocks.filter((block) => typeof block.text === "string").map((block) => block.text).join("\n");

/** Follows the cursors of a list to its end. */
async function everyPage(pageOf, field) {
  const found = [];
  for (let cursor; ; ) {
    const page = await pageOf(cursor ? { cursor } : {});
    found.push(...page[field]);
    cursor = page.nextCursor;
    if (!cursor) return found;
  }
}

async function take(client, step) {
  if (step.list === "tools") return (await everyPage((p) => client.listTools(p), "tools")).map((tool) => tool.name);
  if (step.list === "resources") return (await everyPage((p) => client.listResources(p), "resources")).map((r) => r.uri);
  if (step.list === "prompts") return (await everyPage((p) => client.listPrompts(p), "prompts")).map((p) => p.name);
  if (step.call) {
    const progress = [];
    const onprogress = ({ progress: done, total, message }) => progress.push({ progress: done, total, message });
    const request = { name: step.call, arguments: step.arguments ?? {} };
    const result = await client.callTool(request, undefined, { onprogress, timeout: 30_000 });
    return { text: textOf(result.content), structured: result.structuredContent, is_error: Boolean(result.isError), progress };
  }
  if (step.read) return { text: textOf((await client.readResource({ uri: step.read })).contents) };
  if (step.prompt) {
    const answer = await client.getPrompt({ name: step.prompt, arguments: step.arguments ?? {} });
    return { text: textOf(answer.messages.map((message) => message.content)) };
  }
  if (step.wait) return new Promise((over) => setTimeout(() => over(null), 1_000 * step.wait));
  throw new Error(`no such step: ${JSON.stringify(step)}`);
}

async function answer(client, step) {
  try {
    return await take(client, step);
  } catch (error) {
    if (error instanceof McpError) return { error: { code: error.code, message: error.message } };
    throw error;
  }
}

/** Connects. After a login this SDK wants the code told to the transport that asked for it, and then a new transport. */
async function connect(client, url, login) {
  const transport = () => new StreamableHTTPClientTransport(new URL(url), { authProvider: login });
  const first = transport();
  try {
    await client.connect(first);
    return first;
  } catch (error) {
    if (!login || !(error instanceof UnauthorizedError)) throw error;
  }
  await first.finishAuth(login.code);
  const second = transport();
  await client.connect(second);
  return second;
}

const plan = JSON.parse(await text(process.stdin));
const client = new Client({ name: "interop", version: "1.0.0" });
const login = plan.login ? new Login() : undefined;
const transport = await connect(client, plan.url, login);
const report = { protocol: transport.protocolVersion, server: client.getServerVersion()?.name, steps: [] };
for (const step of plan.steps) report.steps.push(await answer(client, step));
if (login) report.login = login.report();
await transport.terminateSession();
await client.close();
console.log(JSON.stringify(report));
