// Vercel's `ai`, driven by a plan. It reaches the gateway at PORTOLAN_BASE through one of three providers of its own:
// `openai` (which speaks Responses), `openai-compatible` (chat) and `anthropic` (messages).
//
// Reads {"steps": [{"through": NAME, "model": ID, "stream": BOOL, "report": BOOL}, …]} and answers each with
// {"text", "called", "usage", "finish_reason"}, after running the tool `weather` by itself; a `report` is an object instead.
import { text as read } from "node:stream/consumers";
import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { APICallError, generateText, Output, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";

const baseURL = `${process.env.PORTOLAN_BASE}/v1`;
const apiKey = process.env.PORTOLAN_KEY;
const providers = {
  openai: createOpenAI({ baseURL, apiKey }),
  "openai-compatible": createOpenAICompatible({ name: "portolan", baseURL, apiKey, includeUsage: true, supportsStructuredOutputs: true }),
  anthropic: createAnthropic({ baseURL, apiKey }),
};
const Report = z.object({ city: z.string(), degrees: z.number().int() });

function settings(step, called) {
  const model = providers[step.through](step.model);
  const shared = { model, prompt: "How is the weather?", maxRetries: 0 };
  if (step.report) return { ...shared, output: Output.object({ schema: Report }) };
  const weather = tool({
    description: "Tells the weather of a city.",
    inputSchema: z.object({ city: z.string() }),
    execute: async ({ city }) => {
      called.push(city);
      return `sunny in ${city}`;
    },
  });
  return { ...shared, tools: { weather }, stopWhen: stepCountIs(4) };
}

async function take(step) {
  const called = [];
  let result;
  if (step.stream) {
    let failed;
    result = streamText({ ...settings(step, called), onError: ({ error }) => (failed = error) });
    await result.consumeStream();
    if (failed) throw failed;
  } else {
    result = await generateText(settings(step, called));
  }
  if (step.report) return step.stream ? await result.output : result.output;
  const [text, usage, finish_reason] = await Promise.all([result.text, result.usage, result.finishReason]);
  return { text, called, usage, finish_reason };
}

async function answer(step) {
  try {
    return await take(step);
  } catch (error) {
    if (!APICallError.isInstance(error)) throw error;
    return { error: { status: error.statusCode, message: error.message } };
  }
}

const plan = JSON.parse(await read(process.stdin));
const steps = [];
for (const step of plan.steps) steps.push(await answer(step));
console.log(JSON.stringify({ steps }));
