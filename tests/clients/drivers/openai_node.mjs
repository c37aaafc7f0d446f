// The official Node SDK: chat, embeddings, media, Responses, errors, clients that leave. It must never use a private name.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import OpenAI, { AzureOpenAI, toFile } from "openai";
import { zodResponseFormat, zodTextFormat } from "openai/helpers/zod";
import WebSocket from "ws";
import { z } from "zod";
import { BASE, KEY, ORIGIN, TEXT, THROUGH, after, check, control, fault, headed, lastSeen, leavesAfter, left, longCheck, raised, weighed } from "./checks.mjs";

const model = "gpt-4o-mini";
const messages = [{ role: "user", content: TEXT }];
const make = (more = {}) => new OpenAI({ baseURL: BASE, apiKey: KEY, maxRetries: 0, ...more });
const client = make();
const parameters = { type: "object", properties: { sku: { type: "string" } }, required: ["sku"], additionalProperties: false };
const tools = [{ type: "function", function: { name: "stock", description: "d", parameters, strict: true } }];
const Advert = z.object({ headline: z.string(), pieces: z.number() });
const PNG = Buffer.from("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==", "base64");
const usageAsked = { stream_options: { include_usage: true } };

function wav(seconds) {
  const rate = 8000;
  const data = Buffer.alloc(rate * seconds * 2);
  for (let at = 0; at < rate * seconds; at += 1) data.writeInt16LE(Math.round(9000 * Math.sin(at / 9)), at * 2);
  const head = Buffer.alloc(44);
  head.write("RIFF", 0);
  head.writeUInt32LE(36 + data.length, 4);
  head.write("WAVEfmt ", 8);
  head.writeUInt32LE(16, 16);
  head.writeUInt16LE(1, 20);
  head.writeUInt16LE(1, 22);
  head.writeUInt32LE(rate, 24);
  head.writeUInt32LE(rate * 2, 28);
  head.writeUInt16LE(2, 32);
  head.writeUInt16LE(16, 34);
  head.write("data", 36);
  head.writeUInt32LE(data.length, 40);
  return Buffer.concat([head, data]);
}
const sound = () => toFile(wav(2), "\u00e9t\u00e9 \u65e5\u672c.wav");

async function collect(stream) {
  const parts = [];
  for await (const part of stream) parts.push(part);
  return parts;
}
const said = (parts) => parts.map((part) => part.choices[0].delta.content ?? "").join("");

check("unary", async () => {
  const reply = await client.chat.completions.create({ model, messages });
  weighed(reply.usage);
  assert.match(reply._request_id, /^req_/);
  return reply.choices[0].message.content;
});
check("stream", async () => {
  const parts = await collect(await client.chat.completions.create({ model, messages, stream: true }));
  assert.ok(parts.every((part) => part.choices.length && !("usage" in part)));
  return said(parts);
});
check("stream with usage", async () => {
  const parts = await collect(await client.chat.completions.create({ model, messages, stream: true, ...usageAsked }));
  const last = parts.pop();
  assert.deepEqual(last.choices, []);
  weighed(last.usage);
  return [said(parts), last.usage.total_tokens];
});
check("stream helper", async () => {
  const stream = client.chat.completions.stream({ model, messages, ...usageAsked });
  const final = await stream.finalChatCompletion();
  const total = await stream.totalUsage();
  assert.equal(total.total_tokens, final.usage.total_tokens);
  return final.choices[0].message.content;
});
check("choices", async () => {
  const whole = await client.chat.completions.create({ model, messages, n: 2 });
  const told = ["", ""];
  const ends = [];
  for await (const part of await client.chat.completions.create({ model, messages, n: 2, stream: true }))
    for (const choice of part.choices) {
      told[choice.index] += choice.delta.content ?? "";
      if (choice.finish_reason) ends.push(choice.finish_reason);
    }
  assert.deepEqual(told, whole.choices.map((choice) => choice.message.content));
  assert.deepEqual(ends, ["stop", "stop"]);
});
check("tools", async () => {
  const reply = await client.chat.completions.create({ model, messages, tools, tool_choice: "required" });
  const final = await client.chat.completions.stream({ model, messages, tools, tool_choice: "required" }).finalChatCompletion();
  const args = [reply, final].map((one) => JSON.parse(one.choices[0].message.tool_calls[0].function.arguments));
  assert.deepEqual(args[0], args[1]);
  return args[0];
});
check("run tools", async () => {
  const stock = { name: "stock", parse: JSON.parse, parameters, function: () => "12" };
  const runner = client.chat.completions.runTools({ model, messages, tools: [{ type: "function", function: stock }] }, { maxChatCompletions: 3 });
  return await runner.finalContent();
});
check("parsed", async () => {
  const reply = await client.chat.completions.parse({ model, messages, response_format: zodResponseFormat(Advert, "advert") });
  assert.equal(typeof reply.choices[0].message.parsed.headline, "string");
  weighed(reply.usage);
});
check("odd streams", ["no-usage", "usage-last-chunk", "usage-every-chunk", "split-utf8", "azure-first-chunk", "crlf", "gzip"], async (name) => {
  const headers = fault(name);
  const parts = await collect(await client.chat.completions.create({ model, messages, stream: true }, { headers }));
  const whole = await client.chat.completions.create({ model, messages }, { headers });
  assert.equal(said(parts.filter((part) => part.choices.length)), whole.choices[0].message.content);
  return parts.length;
});
check("raw headers", async () => {
  const { data, response } = await client.chat.completions.create({ model, messages }).withResponse();
  headed(response.headers, "final");
  assert.equal(data._request_id, response.headers.get("x-request-id"));
  const streamed = await client.chat.completions.create({ model, messages, stream: true }).withResponse();
  headed(streamed.response.headers, "forecast");
  await collect(streamed.data);
  if (THROUGH) {
    const found = await client.get(`/footprint/${response.headers.get("x-grammage-call-id")}`);
    assert.equal(found.usage.output_tokens, data.usage.completion_tokens);
  }
  return [response.headers.get("content-type"), response.headers.get("x-ratelimit-limit-requests")];
});
check("headers and unknown fields reach the provider", async () => {
  const body = { model, messages, x_new: { a: [1, null] } };
  await client.chat.completions.create(body, { headers: { "x-client-request-id": "r-1" }, idempotencyKey: "k-1", query: { v: "2" } });
  const seen = await lastSeen();
  assert.deepEqual(JSON.parse(seen.body), body);
  assert.equal(seen.headers["x-stainless-lang"], "js");
  assert.equal(seen.headers["x-client-request-id"], "r-1");
  assert.equal(seen.query, "v=2");
});
check("unknown fields come back", async () => {
  const reply = await client.chat.completions.create({ model, messages }, { headers: { "x-test-answer": "unknown-fields" } });
  assert.deepEqual([reply.new_field, reply.usage.novel_details], [{ nested: "\u00e9" }, { a: 1 }]);
});
check("completions", async () => {
  const prompt = "Once";
  const whole = await client.completions.create({ model: "gpt-3.5-turbo-instruct", prompt });
  weighed(whole.usage);
  const parts = await collect(await client.completions.create({ model: "gpt-3.5-turbo-instruct", prompt, stream: true }));
  assert.equal(parts.map((part) => part.choices[0].text).join(""), whole.choices[0].text);
});
check("embeddings", ["default", "float", "base64"], async (encoding) => {
  const more = encoding === "default" ? {} : { encoding_format: encoding };
  const reply = await client.embeddings.create({ model: "text-embedding-3-small", input: ["a", "b"], dimensions: 4, ...more });
  weighed(reply.usage);
  return encoding === "base64" ? reply.data[0].embedding : reply.data.map((one) => one.embedding.map((x) => x.toFixed(4)));
});
check("images", async () => {
  const reply = await client.images.generate({ model: "gpt-image-1", prompt: "x" });
  weighed(reply.usage);
  assert.ok(Buffer.from(reply.data[0].b64_json, "base64").subarray(1, 4).equals(Buffer.from("PNG")));
  const events = await collect(await client.images.generate({ model: "gpt-image-1", prompt: "x", stream: true, partial_images: 1 }));
  weighed(events.at(-1).usage);
  const image = [await toFile(PNG, "a.png"), await toFile(PNG, "b.png")];
  const edited = await client.images.edit({ model: "gpt-image-1", image, prompt: "bluer" });
  weighed(edited.usage);
  return events.map((event) => event.type);
});
check("speech", async () => {
  const reply = await client.audio.speech.create({ model: "tts-1", voice: "alloy", input: "Warm." });
  headed(reply.headers);
  return createHash("sha256").update(Buffer.from(await reply.arrayBuffer())).digest("hex");
});
check("transcriptions", ["json", "text", "srt", "vtt", "verbose_json"], async (response_format) => {
  const reply = await client.audio.transcriptions.create({ model: "whisper-1", file: await sound(), response_format });
  return typeof reply === "string" ? reply : reply.text;
});
check("transcriptions streamed", async () => {
  const events = await collect(await client.audio.transcriptions.create({ model: "gpt-4o-transcribe", file: await sound(), stream: true }));
  weighed(events.at(-1).usage);
  return events.map((event) => event.type);
});
check("moderations and models", async () => {
  const found = await client.moderations.create({ input: "a" });
  const listed = await collect(await client.models.list());
  return [found.results.length, listed.length > 0];
});
check("files", async () => {
  const made = await client.files.create({ file: await toFile(Buffer.alloc(300000, 7), "\u00e9.jsonl"), purpose: "batch" });
  const got = await client.files.content(made.id);
  return createHash("sha256").update(Buffer.from(await got.arrayBuffer())).digest("hex");
});
check("responses", async () => {
  const reply = await client.responses.create({ model, input: TEXT });
  weighed(reply.usage);
  const events = await collect(await client.responses.create({ model, input: TEXT, stream: true }));
  assert.deepEqual(events.map((event) => event.sequence_number), [...events.keys()]);
  weighed(events.at(-1).response.usage);
  const final = await client.responses.stream({ model, input: TEXT }).finalResponse();
  weighed(final.usage);
  assert.equal(final.output_text, reply.output_text);
  const parsed = await client.responses.parse({ model, input: TEXT, text: { format: zodTextFormat(Advert, "advert") } });
  assert.equal(typeof parsed.output_parsed.headline, "string");
  return events.map((event) => event.type);
});
check("responses in the background", async () => {
  const first = await client.responses.create({ model, input: TEXT, background: true });
  await client.responses.retrieve(first.id);
  const last = await client.responses.retrieve(first.id);
  return [first.status, last.status, Boolean(last.usage)];
});
check("errors", ["400", "401", "403", "404", "409", "422", "429=7", "500", "503=3"], async (name) => {
  const kinds = { 400: "BadRequest", 401: "Authentication", 403: "PermissionDenied", 404: "NotFound", 409: "Conflict", 422: "UnprocessableEntity", 429: "RateLimit" };
  const status = parseInt(name, 10);
  for (const stream of [false, true]) {
    const error = await raised(() => client.chat.completions.create({ model, messages, stream }, { headers: fault(name) }), OpenAI.APIError);
    assert.equal(error.constructor.name, `${kinds[status] ?? "InternalServer"}Error`);
    assert.equal(error.status, status);
    assert.match(error.requestID, /^req_/);
    if (name.includes("=")) assert.equal(error.headers.get("retry-after"), name.split("=")[1]);
    if (stream) return [error.code, error.type, error.message];
  }
});
check("retries are marked", async () => {
  await raised(() => make({ maxRetries: 1 }).chat.completions.create({ model, messages }, { headers: fault("503=0") }));
  assert.deepEqual((await control("seen")).slice(-2).map((seen) => seen.headers["x-stainless-retry-count"]), ["0", "1"]);
});
longCheck("retry-after is honoured", async () => {
  const started = Date.now();
  await raised(() => make({ maxRetries: 1 }).chat.completions.create({ model, messages }, { headers: fault("429=1") }), OpenAI.RateLimitError);
  assert.ok(Date.now() - started >= 900);
});
check("a timeout reaches the provider", async () => {
  const before = await left();
  const headers = fault("slow-first-byte=6000");
  await raised(() => make({ timeout: 400 }).chat.completions.create({ model, messages }, { headers }), OpenAI.APIConnectionTimeoutError);
  await leavesAfter(before);
});
check("an abort reaches the provider", [false, true], async (stream) => {
  const before = await left();
  const options = { headers: fault(stream ? "stall=3" : "slow-first-byte=6000"), signal: after(400) };
  try {
    await collect(await client.chat.completions.create({ model, messages, stream }, options));
  } catch (error) {
    if (!(error instanceof OpenAI.APIUserAbortError)) throw error;
  }
  await leavesAfter(before);
});
check("a stream that is left ends at the provider", async () => {
  const before = await left();
  for await (const part of await client.chat.completions.create({ model, messages, stream: true }, { headers: fault("stall=3") })) if (part) break;
  await leavesAfter(before);
});
check("cut, broken and failing streams throw", ["cut=3", "malformed-chunk", "error-event"], async (name) => {
  const headers = name === "error-event" ? { "x-test-answer": name } : fault(name);
  await raised(async () => collect(await client.chat.completions.create({ model, messages, stream: true }, { headers })));
});
check("azure", async () => {
  if (!THROUGH) return;
  const made = new AzureOpenAI({ endpoint: ORIGIN, apiVersion: "2024-10-21", apiKey: KEY, maxRetries: 0 });
  weighed((await made.chat.completions.create({ model, messages })).usage);
  assert.ok(said((await collect(await made.chat.completions.create({ model, messages, stream: true }))).filter((part) => part.choices.length)));
});
check("base URL without v1", async () => {
  weighed((await make({ baseURL: THROUGH ? ORIGIN : BASE }).chat.completions.create({ model, messages })).usage);
});
check("at once", async () => {
  const one = async (number) => {
    const body = { model, messages: [{ role: "user", content: `number ${number}` }], max_tokens: (number % 30) + 1 };
    if (number % 2) return (await client.chat.completions.create(body)).usage;
    return (await collect(await client.chat.completions.create({ ...body, stream: true, ...usageAsked }))).at(-1).usage;
  };
  const found = await Promise.all([...Array(60).keys()].map(one));
  found.forEach(weighed);
  if (THROUGH) assert.equal(new Set(found.map((usage) => usage.footprint.call_id)).size, 60);
  return found.map((usage) => usage.completion_tokens);
});
check("realtime as a browser does it", async () => {
  // the SDK's own socket insists on TLS; a browser gives its key as a subprotocol
  const url = `${BASE.replace("http", "ws")}/realtime?model=gpt-realtime`;
  const socket = new WebSocket(url, ["realtime", `openai-insecure-api-key.${KEY}`]);
  const usage = await new Promise((done, fail) => {
    socket.on("error", fail);
    socket.on("message", (frame) => {
      const event = JSON.parse(frame.toString());
      if (event.type === "response.done") done(event.response.usage);
    });
    socket.on("open", () => {
      const content = [{ type: "input_text", text: TEXT }];
      socket.send(JSON.stringify({ type: "session.update", session: { type: "realtime", output_modalities: ["text"] } }));
      socket.send(JSON.stringify({ type: "conversation.item.create", item: { type: "message", role: "user", content } }));
      socket.send(JSON.stringify({ type: "response.create" }));
    });
  });
  assert.equal(socket.protocol, "realtime");
  socket.close();
  return usage.total_tokens;
});
