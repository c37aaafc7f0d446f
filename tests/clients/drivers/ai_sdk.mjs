// Vercel's AI SDK with its OpenAI providers. It must never switch off the SDK's own checks of what comes back.
import assert from "node:assert/strict";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { embedMany, generateImage, generateSpeech, generateText, transcribe, Output, streamText, tool } from "ai";
import { z } from "zod";
import { BASE, KEY, TEXT, THROUGH, after, check, fault, leavesAfter, left } from "./checks.mjs";

globalThis.AI_SDK_LOG_WARNINGS = false;
const openai = createOpenAI({ baseURL: BASE, apiKey: KEY });
const compatible = createOpenAICompatible({ name: "own", baseURL: BASE, apiKey: KEY, includeUsage: true, supportsStructuredOutputs: true });
const models = { chat: openai.chat("gpt-4o-mini"), responses: openai("gpt-4o-mini"), compatible: compatible("gpt-4o-mini") };
const stock = { stock: tool({ description: "d", inputSchema: z.object({ sku: z.string() }) }) };
const ask = (which, more = {}) => ({ model: models[which], prompt: TEXT, maxRetries: 0, ...more });

async function read(which, more = {}) {
  let failed = null;
  const result = streamText(ask(which, { onError: ({ error }) => (failed = error), ...more }));
  const kinds = [];
  let text = "";
  for await (const part of result.fullStream) {
    if (kinds.at(-1) !== part.type) kinds.push(part.type);
    if (part.type === "text-delta") text += part.text;
  }
  return { result, kinds, text, failed };
}

check("generated and streamed", ["chat", "responses", "compatible"], async (which) => {
  const whole = await generateText(ask(which));
  const { text, kinds, result, failed } = await read(which);
  assert.equal(failed, null);
  assert.equal(text, whole.text);
  const usage = await result.usage;
  assert.equal(usage.totalTokens, whole.usage.totalTokens);
  if (which !== "chat" && THROUGH) {
    assert.ok(whole.usage.raw.footprint.gco2e > 0);
    assert.ok(usage.raw.footprint.gco2e > 0);
  }
  assert.equal(Boolean(whole.response.headers["x-grammage-gco2e"]), THROUGH);
  return [text, kinds, usage.totalTokens];
});
check("tools", ["chat", "responses", "compatible"], async (which) => {
  const whole = await generateText(ask(which, { tools: stock, toolChoice: "required" }));
  const { result, failed } = await read(which, { tools: stock, toolChoice: "required" });
  assert.equal(failed, null);
  const calls = await result.toolCalls;
  assert.deepEqual(calls.map((call) => call.input), whole.toolCalls.map((call) => call.input));
  return calls.map((call) => [call.toolName, call.input]);
});
check("objects", ["chat", "responses", "compatible"], async (which) => {
  const output = Output.object({ schema: z.object({ headline: z.string(), pieces: z.number() }) });
  return (await generateText(ask(which, { output }))).output;
});
check("embeddings", async () => {
  const found = await embedMany({ model: openai.embeddingModel("text-embedding-3-small"), values: ["a", "b"], maxRetries: 0 });
  return found.embeddings.map((vector) => vector[0].toFixed(4));
});
check("images", async () => {
  const { image } = await generateImage({ model: openai.image("gpt-image-1"), prompt: "x", maxRetries: 0 });
  return image.mediaType;
});
check("errors", ["401", "404", "429=2", "500"], async (name) => {
  for (const which of ["chat", "responses", "compatible"]) {
    const error = await generateText(ask(which, { headers: fault(name) })).then(
      () => null,
      (thrown) => thrown,
    );
    assert.equal(error.statusCode, parseInt(name, 10));
    assert.equal(error.isRetryable, ["429=2", "500"].includes(name));
    if (name === "429=2") assert.equal(error.responseHeaders["retry-after"], "2");
    const streamed = await read(which, { headers: fault(name) });
    assert.equal(streamed.failed.statusCode, parseInt(name, 10));
  }
});
check("odd streams", ["usage-last-chunk", "usage-every-chunk", "azure-first-chunk", "split-utf8", "crlf", "gzip", "no-usage"], async (name) => {
  const texts = [];
  for (const which of ["chat", "compatible"]) {
    const { text, failed } = await read(which, { headers: fault(name) });
    assert.equal(failed, null);
    texts.push(text);
  }
  return texts;
});
check("an abort reaches the provider", async () => {
  const before = await left();
  await read("chat", { headers: fault("stall=3"), abortSignal: after(400) });
  await leavesAfter(before);
});
check("at once", async () => {
  const found = await Promise.all([...Array(30).keys()].map((number) => (number % 2 ? generateText(ask("chat")).then((one) => one.text) : read("chat").then((one) => one.text))));
  assert.equal(new Set(found).size, 1);
});
check("speech and transcription", async () => {
  const { audio } = await generateSpeech({ model: openai.speech("tts-1"), text: "Warm and light.", outputFormat: "wav", maxRetries: 0 });
  const { text } = await transcribe({ model: openai.transcription("whisper-1"), audio: audio.uint8Array, maxRetries: 0 });
  return [audio.mediaType, text];
});
