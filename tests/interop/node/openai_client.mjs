// The `openai` Node SDK, driven by a plan: the same plan and the same answers as python/openai_client.py.
import { text } from "node:stream/consumers";
import OpenAI from "openai";

async function chat(client, body) {
  const answer = await client.chat.completions.create(body);
  const [choice] = answer.choices;
  return { content: choice.message.content, finish_reason: choice.finish_reason, model: answer.model };
}

async function streamed(client, body) {
  const pieces = [];
  let finish_reason = null;
  let model = null;
  for await (const chunk of await client.chat.completions.create({ ...body, stream: true })) {
    model = chunk.model || model;
    for (const choice of chunk.choices) {
      if (choice.delta.content) pieces.push(choice.delta.content);
      finish_reason = choice.finish_reason || finish_reason;
    }
  }
  return { content: pieces.join(""), finish_reason, model, chunks: pieces.length };
}

async function take(client, step) {
  if (step.models) {
    const ids = [];
    for await (const model of client.models.list()) ids.push(model.id);
    return ids;
  }
  if (step.chat) return step.stream ? streamed(client, step.chat) : chat(client, step.chat);
  if (step.embed) return (await client.embeddings.create(step.embed)).data.map((item) => item.embedding);
  throw new Error(`no such step: ${JSON.stringify(step)}`);
}

async function answer(client, step) {
  try {
    return await take(client, step);
  } catch (error) {
    if (!(error instanceof OpenAI.APIError) || error.status === undefined) throw error;
    const { status, code, param, type } = error;
    return { error: { class: error.constructor.name, status, code, param, type } };
  }
}

const plan = JSON.parse(await text(process.stdin));
const client = new OpenAI({ maxRetries: 0, timeout: 30_000 });
const steps = [];
for (const step of plan.steps) steps.push(await answer(client, step));
console.log(JSON.stringify({ steps }));
