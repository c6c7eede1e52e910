// A client of the matrix on the TypeScript SDKs: takes the same job as python/matrix_client.py and reports in the same way.
//
// "sdk": "typescript-1" is @modelcontextprotocol/sdk, which knows sessions only; "typescript-2" is
// @modelcontextprotocol/client, which finds the newest revision that both sides know.
import { text as all } from "node:stream/consumers";
import { setTimeout as pause } from "node:timers/promises";

const SAMPLE = "fair winds";
const MODERN = "2026-07-28";
const INFO = { name: "matrix", version: "1.0.0" };
const CAPABILITIES = { elicitation: {}, sampling: {} };

/** What a server asked of the client, and what it was told. */
const asked = { answer: {}, questions: 0, samples: 0, hear: () => {} };
const elicited = async () => {
  asked.questions += 1;
  return { action: "accept", content: asked.answer };
};
const sampled = async () => {
  asked.samples += 1;
  return { role: "assistant", content: { type: "text", text: SAMPLE }, model: "scripted", stopReason: "endTurn" };
};
const updated = async ({ params }) => asked.hear(params.uri);

async function first(job) {
  const { Client } = await import("@modelcontextprotocol/sdk/client/index.js");
  const { StdioClientTransport } = await import("@modelcontextprotocol/sdk/client/stdio.js");
  const { StreamableHTTPClientTransport } = await import("@modelcontextprotocol/sdk/client/streamableHttp.js");
  const { SSEClientTransport } = await import("@modelcontextprotocol/sdk/client/sse.js");
  const types = await import("@modelcontextprotocol/sdk/types.js");
  const client = new Client(INFO, { capabilities: CAPABILITIES });
  client.setRequestHandler(types.ElicitRequestSchema, elicited);
  client.setRequestHandler(types.CreateMessageRequestSchema, sampled);
  client.setNotificationHandler(types.ResourceUpdatedNotificationSchema, updated);
  const transport = placed(job, { StdioClientTransport, StreamableHTTPClientTransport, SSEClientTransport });
  // The client tells it to its transport and to nobody else.
  let protocol;
  const told = transport.setProtocolVersion?.bind(transport);
  transport.setProtocolVersion = (version) => {
    protocol = version;
    told?.(version);
  };
  await client.connect(transport);
  return { client, transport, protocol, call: (request, options) => client.callTool(request, undefined, options) };
}

async function second(job) {
  const { Client, SSEClientTransport, StreamableHTTPClientTransport } = await import("@modelcontextprotocol/client");
  const { StdioClientTransport } = await import("@modelcontextprotocol/client/stdio");
  const client = new Client(INFO, { capabilities: CAPABILITIES, versionNegotiation: { mode: "auto" } });
  client.setRequestHandler("elicitation/create", elicited);
  client.setRequestHandler("sampling/createMessage", sampled);
  client.setNotificationHandler("notifications/resources/updated", updated);
  const transport = placed(job, { StdioClientTransport, StreamableHTTPClientTransport, SSEClientTransport });
  await client.connect(transport);
  const protocol = client.getNegotiatedProtocolVersion();
  return { client, transport, protocol, call: (request, options) => client.callTool(request, options) };
}

function placed({ transport, url, command, env }, { StdioClientTransport, StreamableHTTPClientTransport, SSEClientTransport }) {
  if (transport === "stdio") {
    const [program, ...args] = command;
    return new StdioClientTransport({ command: program, args, env: { ...process.env, ...env }, stderr: "ignore" });
  }
  return transport === "sse" ? new SSEClientTransport(new URL(url)) : new StreamableHTTPClientTransport(new URL(url));
}

const textOf = (blocks) => blocks.filter((block) => typeof block.text === "string").map((block) => block.text).join("\n");

function expect(found, wanted, what) {
  if (!found.includes(wanted)) throw new Error(`expected \`${wanted}\` in ${what}, found \`${found.slice(0, 200)}\``);
}

/** Follows the cursors of a list to its end. */
async function everyPage(pageOf, field) {
  const found = [];
  for (let cursor; ; ) {
    const page = await pageOf(cursor ? { cursor } : undefined);
    found.push(...page[field]);
    cursor = page.nextCursor;
    if (!cursor) return found.map(({ name }) => name).sort();
  }
}

/** Calls a tool and gives the text of a result that is no error. */
async function called(server, step, options) {
  const result = await server.call({ name: step.tool, arguments: step.arguments ?? {} }, options);
  const text = textOf(result.content);
  if (result.isError) throw new Error(`the tool failed: ${text.slice(0, 200)}`);
  return text;
}

/** Calls a tool until it says what it should, for some seconds. */
async function witnessed(server, witness, what) {
  for (const begun = Date.now(); ; await pause(100)) {
    const text = await called(server, witness);
    if (text.includes(witness.text)) return;
    if (Date.now() - begun > 15_000)
      throw new Error(`${what} within 15 s: \`${witness.tool}\` says \`${text.slice(0, 100)}\``);
  }
}

const operations = {
  async list(server, { tools }, report) {
    report.tools = await everyPage((page) => server.client.listTools(page), "tools");
    const absent = tools.filter((name) => !report.tools.includes(name));
    if (absent.length) throw new Error(`not listed: ${absent.join(", ")}`);
  },

  async call(server, step) {
    expect(await called(server, step), step.text, "the result");
  },

  async progress(server, step) {
    const heard = [];
    await called(server, step, { onprogress: ({ progress }) => heard.push(progress) });
    const grows = heard.every((progress, at) => at === 0 || heard[at - 1] <= progress);
    if (heard.length < step.least || !grows)
      throw new Error(`expected progress that grows in ${step.least} steps or more, heard ${JSON.stringify(heard)}`);
  },

  async cancel(server, step) {
    const stop = new AbortController();
    const running = called(server, step, { signal: stop.signal }).then(
      (text) => ({ ended: `the call ended before it was cancelled: ${text}` }),
      (error) => ({ error }),
    );
    const early = await Promise.race([running, pause(step.wait * 1_000)]);
    if (early) throw new Error(early.ended ?? `the call ended before it was cancelled: ${early.error.message}`);
    if (step.begun) await witnessed(server, step.begun, "the server did not begin");
    stop.abort("changed my mind");
    if (!(await Promise.race([running, pause(5_000)]))) throw new Error("the call did not end when it was cancelled");
    await witnessed(server, step.witness, "the server was not told");
  },

  async elicitation(server, step) {
    asked.answer = step.answer;
    const before = asked.questions;
    const text = await called(server, step);
    if (asked.questions === before) throw new Error(`the client was not asked, and the tool says \`${text.slice(0, 200)}\``);
    expect(text, step.text, "the result");
  },

  async sampling(server, step) {
    const before = asked.samples;
    const text = await called(server, step);
    if (asked.samples === before) throw new Error(`the client was not asked, and the tool says \`${text.slice(0, 200)}\``);
    expect(text, SAMPLE, "the result");
  },

  async subscribe(server, step) {
    const { uri } = step;
    const heard = new Promise((resolve) => (asked.hear = resolve));
    let end;
    if (server.protocol < MODERN) {
      await server.client.subscribeResource({ uri });
      end = () => server.client.unsubscribeResource({ uri });
    } else {
      const stream = await server.client.listen({ resourceSubscriptions: [uri] });
      end = () => stream.close();
      if (!stream.honoredFilter.resourceSubscriptions?.includes(uri))
        throw new Error(`the server does not accept a subscription to ${uri}`);
    }
    try {
      await called(server, step.trigger);
      const of = await Promise.race([heard, pause(15_000)]);
      if (!of) throw new Error("no notification within 15 s of the change");
      if (of !== uri) throw new Error(`the notification is of ${of}`);
    } finally {
      if (step.after) await called(server, step.after);
      await end();
    }
  },

  async read(server, { uri, text }) {
    expect(textOf((await server.client.readResource({ uri })).contents), text, "the resource");
  },

  async prompts(server, step) {
    const names = await everyPage((page) => server.client.listPrompts(page), "prompts");
    if (!names.includes(step.name)) throw new Error(`expected ${step.name} in ${names}`);
    const { messages } = await server.client.getPrompt({ name: step.name, arguments: step.arguments });
    expect(textOf(messages.map(({ content }) => content)), step.text, "the prompt");
  },

  async completion(server, { prompt, argument, values }) {
    const { completion } = await server.client.complete({ ref: { type: "ref/prompt", name: prompt }, argument });
    if (!values.every((value) => completion.values.includes(value)))
      throw new Error(`expected ${values}, found ${completion.values}`);
  },
};

/** A promise that fails where another does not end in time. */
async function within(seconds, promise) {
  const over = new AbortController();
  const late = pause(seconds * 1_000, undefined, { signal: over.signal }).then(() => {
    throw new Error(`no end within ${seconds} s`);
  });
  late.catch(() => {});
  return Promise.race([promise, late]).finally(() => over.abort());
}

const job = JSON.parse(await all(process.stdin));
const report = {};
try {
  const server = await within(job.patience * 2, job.sdk === "typescript-1" ? first(job) : second(job));
  Object.assign(report, { protocol: server.protocol, results: {} });
  for (const [name, step] of Object.entries(job.operations)) {
    try {
      await within(job.patience, operations[name](server, step, report));
      report.results[name] = { state: "ok" };
    } catch (error) {
      report.results[name] = { state: "failed", why: error.message };
    }
  }
  await within(2, Promise.resolve(server.transport.terminateSession?.())).catch(() => {});
  await within(2, server.client.close()).catch(() => {});
} catch (error) {
  report.error = error.message;
}
process.stdout.write(JSON.stringify(report), () => process.exit(0));
