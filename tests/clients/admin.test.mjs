/**
 * What the admin page makes of what the server says, without a browser.
 *
 * Run: node --test tests/clients/admin.test.mjs
 */
import assert from "node:assert/strict";
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it as test } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";

// The package has no package.json beside them, so an old Node takes these names for CommonJS.
const folder = mkdtempSync(join(tmpdir(), "bayeux-admin-"));
after(() => rmSync(folder, { recursive: true }));
writeFileSync(join(folder, "package.json"), '{"type": "module"}');
const load = (name) => {
  copyFileSync(fileURLToPath(new URL(`../../bayeux/api/static/${name}`, import.meta.url)), join(folder, name));
  return import(pathToFileURL(join(folder, name)).href);
};
const { History } = await load("history.js");
const { count, duration, plural, rate, shorten, visible } = await load("format.js");

/** What `/v1/stats` says at that second of the server's life. */
const stats = (uptime, counters = {}) => ({
  uptime,
  sessions: 3,
  sessions_by_transport: { websocket: 2, eventsource: 1 },
  held_connects: 1,
  queued_events: 4,
  counters: { published: 0, queued: 0, dropped: 0, failures: {}, refused: {}, application_errors: 0, ...counters },
});

describe("history", () => {
  test("a sample has what there is now, and no rates if it is the first", () => {
    const sample = new History(60_000, 6_000).add(stats(10), 1_000);
    assert.deepEqual(
      [sample.time, sample.sessions, sample.held, sample.queued, sample.transports, sample.rates],
      [1_000, 3, 1, 4, { websocket: 2, eventsource: 1 }, null],
    );
  });

  test("rates are by the server's clock, whatever the network takes", () => {
    const history = new History(60_000, 6_000);
    history.add(stats(10, { published: 5, queued: 100 }), 1_000);
    const { rates } = history.add(stats(12, { published: 15, queued: 300, dropped: 1 }), 4_000);
    assert.deepEqual(rates, { published: 5, delivered: 100, dropped: 0.5, failed: 0 });
  });

  test("failures are messages and requests refused, and faults of the application", () => {
    const history = new History(60_000, 6_000);
    history.add(stats(10, { failures: { 402: 1 } }), 1_000);
    const counters = { failures: { 402: 2, 403: 1 }, refused: { 413: 3 }, application_errors: 1 };
    assert.equal(history.add(stats(11, counters), 2_000).rates.failed, 6);
  });

  test("after a restart of the server there is nothing to compare with", () => {
    const history = new History(60_000, 6_000);
    history.add(stats(100, { published: 1_000 }), 1_000);
    assert.equal(history.add(stats(1, { published: 2 }), 3_000).rates, null);
    assert.equal(history.add(stats(3, { published: 4 }), 5_000).rates.published, 1);
  });

  test("a restart that one cannot tell by the clock makes no rate below nothing", () => {
    const history = new History(60_000, 6_000);
    history.add(stats(1, { published: 1_000 }), 1_000);
    assert.equal(history.add(stats(2, { published: 2 }), 3_000).rates.published, 0);
  });

  test("while nobody looked there is a gap, and no rate over it", () => {
    const history = new History(60_000, 6_000);
    history.add(stats(10), 1_000);
    const after = history.add(stats(20), 11_000);
    assert.deepEqual([after.gap, after.rates], [true, null]);
    assert.equal(history.add(stats(22), 13_000).gap, false);
  });

  test("what is older than the span is forgotten", () => {
    const history = new History(10_000, 6_000);
    for (let second = 0; second <= 30; second += 2) history.add(stats(second), second * 1_000);
    assert.deepEqual([history.samples[0].time, history.samples.length], [20_000, 6]);
  });
});

describe("format", () => {
  test("numbers", () => {
    assert.deepEqual([count(1234567), rate(0), rate(0.04), rate(3.44), rate(99.94), rate(99.96), rate(12345.6)],
      ["1,234,567", "0", "< 0.1", "3.4", "99.9", "100", "12,346"]);
    assert.deepEqual([plural(0, "event"), plural(1, "event"), plural(1000, "event")], ["0 events", "1 event", "1,000 events"]);
  });

  test("durations", () => {
    assert.deepEqual([0, 59.9, 60, 3599, 3600, 7500, 86400, 273600].map(duration),
      ["0 s", "59 s", "1 min", "59 min", "1 h 0 min", "2 h 5 min", "1 d 0 h", "3 d 4 h"]);
  });

  test("what nobody would see is written out", () => {
    assert.equal(visible("a\u202eb\u200bc\u0000d\ne\ufeff\u0085\u2028"), "a\\u202eb\\u200bc\\u0000d\\u000ae\\ufeff\\u0085\\u2028");
  });

  test("what can be seen stays", () => {
    const text = "Дмитрий 山田 مرحبا 👩‍💻 <b> é";
    assert.equal(visible(text), text);
  });

  test("long texts are cut", () => {
    assert.equal(shorten("abcdef", 6), "abcdef");
    assert.equal(shorten("a".repeat(1500), 3), "aaa… (1,500 characters)");
  });
});
