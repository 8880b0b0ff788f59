/** What the server has said of itself in the last minutes, and what follows from two such words. */

/** The transports, in the order in which they are shown. */
export const TRANSPORTS = ["websocket", "eventsource", "long-polling", "callback-polling"];

const sum = (counts) => Object.values(Object(counts)).reduce((total, each) => total + each, 0);

/** What is counted from the server's start, of which the rate is shown. */
export const COUNTED = {
  published: (counters) => counters.published,
  delivered: (counters) => counters.queued,
  dropped: (counters) => counters.dropped,
  failed: (counters) => sum(counters.failures) + sum(counters.refused) + counters.application_errors,
};

/**
 * Samples, oldest first: `{time, sessions, held, queued, transports, totals, rates}`, with `time` in milliseconds.
 * `rates` are null where there is nothing to compare with: at the beginning, after a pause, after a restart.
 */
export class History {
  samples = [];
  #span;
  #pause;

  /** Keep the last `span` milliseconds; when nothing comes for `pause`, there is a gap. */
  constructor(span, pause) {
    this.#span = span;
    this.#pause = pause;
  }

  /** Take what `/v1/stats` says; returns the sample. */
  add(stats, time) {
    const before = this.samples.at(-1);
    const totals = Object.fromEntries(Object.entries(COUNTED).map(([name, of]) => [name, of(stats.counters)]));
    const sample = {
      time,
      uptime: stats.uptime,
      sessions: stats.sessions,
      held: stats.held_connects,
      queued: stats.queued_events,
      transports: stats.sessions_by_transport,
      totals,
      rates: null,
      gap: before !== undefined && time - before.time > this.#pause,
    };
    // The server's own clock: what the network takes is no part of it.
    const seconds = before ? stats.uptime - before.uptime : 0;
    if (seconds > 0 && !sample.gap)
      sample.rates = Object.fromEntries(
        Object.entries(totals).map(([name, total]) => [name, Math.max(0, total - before.totals[name]) / seconds]),
      );
    this.samples.push(sample);
    while (this.samples[0].time < time - this.#span) this.samples.shift();
    return sample;
  }
}
