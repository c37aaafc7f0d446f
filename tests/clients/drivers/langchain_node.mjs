// LangChain for Node with its OpenAI package. It must never count tokens itself: that would fetch a tokenizer.
import assert from "node:assert/strict";
import { ChatOpenAI, OpenAIEmbeddings } from "@langchain/openai";
import { BASE, KEY, TEXT, THROUGH, check, fault, raised } from "./checks.mjs";

const make = (more = {}, headers = {}) =>
  new ChatOpenAI({ model: "gpt-4o-mini", apiKey: KEY, maxRetries: 0, configuration: { baseURL: BASE, defaultHeaders: headers }, ...more });
const stock = { type: "function", function: { name: "stock", description: "d", parameters: { type: "object", properties: { sku: { type: "string" } }, required: ["sku"] } } };

check("invoked and streamed", [false, true], async (useResponsesApi) => {
  const reply = await make({ useResponsesApi }).invoke(TEXT);
  let text = "";
  let total = 0;
  for await (const part of await make({ useResponsesApi }).stream(TEXT)) {
    text += part.text;
    total += part.usage_metadata?.total_tokens ?? 0;
  }
  assert.equal(text, reply.text);
  assert.equal(total, reply.usage_metadata.total_tokens);
  if (THROUGH && !useResponsesApi) assert.ok(reply.response_metadata.usage.footprint.gco2e > 0);
  return text;
});
check("tools", async () => {
  const reply = await make().bindTools([stock], { tool_choice: "required" }).invoke(TEXT);
  return reply.tool_calls.map((call) => [call.name, call.args]);
});
check("embeddings", async () => {
  const made = new OpenAIEmbeddings({ model: "text-embedding-3-small", apiKey: KEY, maxRetries: 0, configuration: { baseURL: BASE } });
  return (await made.embedQuery("a"))[0].toFixed(4);
});
check("errors", ["401", "404", "429=2", "500"], async (name) => {
  const error = await raised(() => make({}, fault(name)).invoke(TEXT));
  assert.equal(error.status, parseInt(name, 10));
});
