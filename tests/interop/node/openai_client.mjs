// The `openai` Node SDK, driven by a plan: the same plan and the same answers as python/openai_client.py.
import { text } from "node:stream/consumers";
import OpenAI from "openai";
import { zodResponseFormat, zodTextFormat } from "openai/helpers/zod";
import { z } from "zod";

const Report = z.object({ city: z.string(), degrees: z.number().int() });

const callsOf = (calls) => (calls ?? []).map(({ function: f }) => ({ name: f.name, arguments: JSON.parse(f.arguments) }));
const resultOf = (call) => `${call.name}: sunny in ${call.arguments.city}`;

function told(answer) {
  const [{ message, finish_reason }] = answer.choices;
  return { content: message.content, finish_reason, calls: callsOf(message.tool_calls), model: answer.model, usage: answer.usage ?? null };
}

/** A completion, and how many pieces of text it came in; the SDK's own helper puts a streamed one together. */
async function complete(client, body, stream) {
  if (!stream) return [await client.chat.completions.create(body), undefined];
  let pieces = 0;
  const events = client.chat.completions.stream({ ...body, stream_options: { include_usage: true } });
  events.on("content", () => (pieces += 1));
  return [await events.finalChatCompletion(), pieces];
}

async function chat(client, body, stream) {
  const [answer, chunks] = await complete(client, body, stream);
  return stream ? { ...told(answer), chunks } : told(answer);
}

async function streamedAsItComes(client, body) {
  const pieces = [];
  let finish_reason = null;
  let model = null;
  let usage = null;
  for await (const chunk of await client.chat.completions.create({ ...body, stream: true })) {
    model = chunk.model || model;
    usage = chunk.usage ?? usage;
    for (const choice of chunk.choices) {
      if (choice.delta.content) pieces.push(choice.delta.content);
      finish_reason = choice.finish_reason || finish_reason;
    }
  }
  return { content: pieces.join(""), finish_reason, calls: [], model, usage, chunks: pieces.length };
}

async function loop(client, body, stream) {
  const messages = [...body.messages];
  const called = [];
  for (;;) {
    const [answer] = await complete(client, { ...body, messages }, stream);
    const said = answer.choices[0].message;
    if (!said.tool_calls?.length) return { ...told(answer), called };
    const { parsed, ...message } = said;
    messages.push(message);
    callsOf(said.tool_calls).forEach((call, at) => {
      called.push(call);
      messages.push({ role: "tool", tool_call_id: said.tool_calls[at].id, content: resultOf(call) });
    });
  }
}

/** A response, and the kinds of event that it came in. */
async function respond(client, body, stream) {
  if (!stream) return [await client.responses.create(body), undefined];
  const kinds = [];
  const events = client.responses.stream(body);
  for await (const event of events) if (kinds.at(-1) !== event.type) kinds.push(event.type);
  return [await events.finalResponse(), kinds];
}

const functionCalls = (answer) => answer.output.filter((item) => item.type === "function_call");
const readCall = (item) => ({ name: item.name, arguments: JSON.parse(item.arguments) });

function responded(answer, events) {
  const said = { text: answer.output_text, status: answer.status, items: answer.output.map((item) => item.type) };
  return { ...said, calls: functionCalls(answer).map(readCall), usage: answer.usage ?? null, ...(events && { events }) };
}

async function converse(client, body, texts) {
  const said = [];
  let previous;
  for (const input of texts) {
    const answer = await client.responses.create({ ...body, input, ...(previous && { previous_response_id: previous }) });
    previous = answer.id;
    said.push(answer.output_text);
  }
  return said;
}

async function respondLoop(client, body, stream) {
  const called = [];
  for (let next = body; ; ) {
    const [answer, kinds] = await respond(client, next, stream);
    const calls = functionCalls(answer);
    if (!calls.length) return { ...responded(answer, kinds), called };
    called.push(...calls.map(readCall));
    const input = calls.map((call) => ({ type: "function_call_output", call_id: call.call_id, output: resultOf(readCall(call)) }));
    next = { ...body, input, previous_response_id: answer.id };
  }
}

async function parse(client, body, door) {
  if (door === "chat") {
    const answer = await client.chat.completions.parse({ ...body, response_format: zodResponseFormat(Report, "report") });
    return answer.choices[0].message.parsed;
  }
  return (await client.responses.parse({ ...body, text: { format: zodTextFormat(Report, "report") } })).output_parsed;
}

async function take(client, step) {
  if (step.models) {
    const ids = [];
    for await (const model of client.models.list()) ids.push(model.id);
    return ids;
  }
  if (step.chat) return step.stream === "raw" ? streamedAsItComes(client, step.chat) : chat(client, step.chat, step.stream);
  if (step.loop) return loop(client, step.loop, step.stream);
  if (step.respond) return responded(...(await respond(client, step.respond, step.stream)));
  if (step.converse) return converse(client, step.converse, step.say);
  if (step.respond_loop) return respondLoop(client, step.respond_loop, step.stream);
  if (step.parse) return parse(client, step.parse, step.door);
  if (step.embed) return (await client.embeddings.create(step.embed)).data.map((item) => item.embedding);
  throw new Error(`no such step: ${JSON.stringify(step)}`);
}

async function answer(client, step) {
  try {
    return await take(client, step);
  } catch (error) {
    if (!(error instanceof OpenAI.OpenAIError)) throw error;
    const { status, code, param, type } = error;
    // An error in the midst of a stream has no status of its own.
    const found = status === undefined ? { message: error.message } : { status, code, param, type };
    return { error: { class: error.constructor.name, ...found } };
  }
}

const plan = JSON.parse(await text(process.stdin));
const client = new OpenAI({ maxRetries: 0, timeout: 30_000 });
const steps = [];
for (const step of plan.steps) steps.push(await answer(client, step));
console.log(JSON.stringify({ steps }));
