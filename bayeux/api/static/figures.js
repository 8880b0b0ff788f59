/** The figures: each a number as it is now, and a plot of what it was. */

import { byId, element, say } from "./dom.js";
import { clock, count, plural, rate, short } from "./format.js";
import { TRANSPORTS } from "./history.js";
import { Plot } from "./plot.js";

const rateOf = (name) => (sample) => sample.rates?.[name] ?? null;
const total = (name) => (sample) => `${count(sample.totals[name])} in all`;

const FIGURES = [
  { title: "Held connects", color: "--teal", value: ({ held }) => held, note: () => "waiting for events" },
  { title: "Publishes/s", color: "--teal", value: rateOf("published"), note: total("published") },
  { title: "Deliveries/s", color: "--teal", value: rateOf("delivered"), note: total("delivered") },
  { title: "Queued events", color: "--ochre", value: ({ queued }) => queued, note: () => "not fetched yet" },
  { title: "Dropped/s", color: "--madder", value: rateOf("dropped"), note: total("dropped") },
  { title: "Failures/s", color: "--madder", value: rateOf("failed"), note: total("failed") },
];

/** A number that is a rate or a count, and a dash for none. */
const write = (figure, number) => (number === null ? "–" : figure.title.endsWith("/s") ? rate(number) : count(number));

export class Figures {
  #history;
  #span;
  #shown = []; // of {figure, number, note, plot, canvas}
  #legend = new Map();
  #cursor = null;
  #now = Date.now();

  constructor(history, span) {
    this.#history = history;
    this.#span = span;
    const place = byId("figures");
    place.append(this.#sessions(), ...FIGURES.map((figure) => this.#card(figure)));
    place.addEventListener("pointermove", (event) => this.#point(event));
    place.addEventListener("pointerleave", () => this.#point(null));
    new ResizeObserver(() => this.#draw()).observe(place);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#draw());
  }

  /** Show the last sample of the history. */
  show(now) {
    this.#now = now;
    if (this.#cursor === null) this.#write(this.#history.samples.at(-1));
    this.#draw();
    for (const { figure, canvas } of this.#shown) canvas.setAttribute("aria-label", this.#describe(figure));
  }

  #card(figure, ...more) {
    const number = element("p", { className: "value" }, "–");
    const note = element("p", { className: "note" });
    const canvas = element("canvas", { role: "img", "aria-label": figure.title });
    const series = figure.series ?? [{ color: figure.color, value: figure.value }];
    const plot = new Plot(canvas, series, { span: this.#span, format: short, ...figure.plot });
    this.#shown.push({ figure, number, note, plot, canvas });
    const title = element("h2", {}, figure.title);
    return element("article", { className: "card figure" }, title, number, note, ...more, element("div", { className: "plot" }, canvas));
  }

  /** The first: all sessions, by their transports. */
  #sessions() {
    const legend = element("ul", { className: "legend" });
    for (const name of TRANSPORTS) {
      const number = element("b", {}, "0");
      this.#legend.set(name, number);
      legend.append(element("li", { className: name }, number, ` ${name}`));
    }
    const series = TRANSPORTS.map((name) => ({
      color: `--${name}`,
      value: ({ transports }) => transports[name] ?? 0,
    }));
    const note = ({ time }) => (this.#cursor === null ? "" : `at ${clock(time)}`);
    const figure = { title: "Sessions", value: ({ sessions }) => sessions, note, series };
    const card = this.#card({ ...figure, plot: { stacked: true, labelled: true } }, legend);
    card.classList.add("large");
    return card;
  }

  #write(sample) {
    for (const { figure, number, note } of this.#shown) {
      say(number, sample ? write(figure, figure.value(sample)) : "–");
      say(note, sample ? figure.note(sample) : "");
    }
    for (const [name, number] of this.#legend) say(number, count(sample?.transports[name] ?? 0));
  }

  #draw() {
    for (const { plot } of this.#shown) plot.draw(this.#history.samples, this.#now, this.#cursor);
  }

  /** Show what was at the time that is pointed at, in all plots at once; nowhere is now. */
  #point(event) {
    const { samples } = this.#history;
    let found = null;
    if (event?.target instanceof HTMLCanvasElement && samples.length) {
      const { left, width } = event.target.getBoundingClientRect();
      const time = this.#now - this.#span * (1 - (event.clientX - left) / width);
      const far = (sample) => Math.abs(sample.time - time);
      found = samples.reduce((best, sample) => (far(sample) < far(best) ? sample : best));
    }
    if (found === null && this.#cursor === null) return;
    this.#cursor = found?.time ?? null;
    this.#write(found ?? samples.at(-1));
    this.#draw();
  }

  /** A plot for who cannot see it. */
  #describe(figure) {
    const values = this.#history.samples.map(figure.value).filter((value) => value !== null);
    if (!values.length) return `${figure.title}: not known yet`;
    const [least, most, last] = [Math.min(...values), Math.max(...values), values.at(-1)];
    const minutes = plural(Math.round(this.#span / 60_000), "minute");
    return `${figure.title} in the last ${minutes}: from ${write(figure, least)} to ${write(figure, most)}, now ${write(figure, last)}`;
  }
}
