#!/usr/bin/env node
// Publish to a Bayeux server, signed: publish() in a program, or at the command line
//
//     publish.mjs /news/sport '{"score": "1:0"}'       (or with the JSON on standard input)
//
// Where and as whom is said by the environment: BAYEUX_URL, BAYEUX_KEY_ID, BAYEUX_SECRET_FILE.

import { createHmac, randomUUID } from "node:crypto";
import { readFileSync, realpathSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const TIMEOUT = 5000; // milliseconds
const PAUSE = 1000;

/** The server refuses, and says why. */
export class PublishError extends Error {}

/** The server has not said a word: it may have published, or not. */
export class NoReply extends PublishError {}

/** Publish anything that JSON can hold. Rejects with a PublishError. */
export async function publish(channel, data) {
  await send(sign(channel, JSON.stringify(data)));
}

/** The message that publishes a payload: JSON text, signed and sent as it stands. */
export function sign(channel, payload) {
  const secret = readFileSync(setting("BAYEUX_SECRET_FILE"), "utf8").trim();
  const [kid, ts, nonce] = [setting("BAYEUX_KEY_ID"), Math.floor(Date.now() / 1000), randomUUID()];
  const text = ["bayeux-publish-v1", kid, ts, nonce, channel, payload].join("\n");
  const sig = createHmac("sha256", secret).update(text).digest("hex");
  return { channel, data: payload, ext: { hmac: { v: 1, kid, ts, nonce, sig } } };
}

/** Post a message, and again if there is no reply: one signature is published only once. */
export async function send(message) {
  const url = setting("BAYEUX_URL");
  const { successful, error } = await post(url, message).catch(() => sleep(PAUSE).then(() => post(url, message)));
  if (!successful) throw new PublishError(`the server refuses: ${error}`);
}

/** What the server replies to a message. Rejects with NoReply. */
async function post(url, message) {
  try {
    const answer = await fetch(url, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify([message]),
      signal: AbortSignal.timeout(TIMEOUT),
    });
    if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
    const [reply] = await answer.json();
    if (typeof reply.successful !== "boolean") throw new Error("this is no Bayeux server");
    return reply;
  } catch (error) {
    throw new NoReply(`no reply from ${url}: ${error.cause?.message ?? error.message}`);
  }
}

function setting(name) {
  if (!process.env[name]) throw new Error(`${name} is not set`);
  return process.env[name];
}

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  try {
    const [channel, payload] = process.argv.slice(2);
    if (!channel || process.argv.length > 4) throw new Error("usage: publish.mjs CHANNEL [JSON]");
    await send(sign(channel, payload ?? readFileSync(0, "utf8")));
  } catch (error) {
    console.error(`publish.mjs: ${error.message}`);
    process.exitCode = 1;
  }
}
