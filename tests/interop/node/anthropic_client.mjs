// The Anthropic Node SDK, driven by a plan: the same plan and the same answers as python/anthropic_client.py.
import { text } from "node:stream/consumers";
import Anthropic from "@anthropic-ai/sdk";

const toolUses = (message) => message.content.filter((block) => block.type === "tool_use");
const callsOf = (message) => toolUses(message).map((block) => ({ name: block.name, arguments: block.input }));

function told(message) {
  const joined = (kind) =>
    message.content
      .filter((block) => block.type === kind)
      .map((block) => block[kind])
      .join("");
  const said = { text: joined("text"), thinking: joined("thinking"), calls: callsOf(message) };
  const kinds = message.content.map((block) => block.type);
  return { ...said, kinds, stop_reason: message.stop_reason, model: message.model, usage: message.usage };
}

/** A message, and the kinds of event that it came in; the SDK's own helper puts a streamed one together. */
async function say(messages, body, stream) {
  if (!stream) return [await messages.create(body), undefined];
  const kinds = [];
  const events = messages.stream(body);
  for await (const event of events) if (kinds.at(-1) !== event.type) kinds.push(event.type);
  return [await events.finalMessage(), kinds];
}

async function toldWith(messages, body, stream) {
  const [message, events] = await say(messages, body, stream);
  return events ? { ...told(message), events } : told(message);
}

async function loop(messages, body, stream) {
  const history = [...body.messages];
  const called = [];
  for (;;) {
    const [message] = await say(messages, { ...body, messages: history }, stream);
    if (message.stop_reason !== "tool_use") return { ...told(message), called };
    called.push(...callsOf(message));
    history.push({ role: "assistant", content: message.content });
    const results = toolUses(message).map(({ id, name, input }) => {
      return { type: "tool_result", tool_use_id: id, content: `${name}: sunny in ${input.city}` };
    });
    history.push({ role: "user", content: results });
  }
}

async function take(client, step) {
  if (step.models) {
    const ids = [];
    for await (const model of client.models.list()) ids.push(model.id);
    return ids;
  }
  if (step.say) return toldWith(client.messages, step.say, step.stream);
  if (step.beta) return toldWith(client.beta.messages, { ...step.beta, betas: step.betas }, step.stream);
  if (step.loop) return loop(client.messages, step.loop, step.stream);
  if (step.count) return (await client.messages.countTokens(step.count)).input_tokens;
  throw new Error(`no such step: ${JSON.stringify(step)}`);
}

async function answer(client, step) {
  try {
    return await take(client, step);
  } catch (error) {
    if (!(error instanceof Anthropic.APIError)) throw error;
    const { status, message } = error;
    return { error: { class: error.constructor.name, status, type: error.error?.error?.type ?? null, message } };
  }
}

const plan = JSON.parse(await text(process.stdin));
const client = new Anthropic({ maxRetries: 0, timeout: 30_000 });
const steps = [];
for (const step of plan.steps) steps.push(await answer(client, step));
console.log(JSON.stringify({ steps }));
