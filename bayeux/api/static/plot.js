/** A plot of the last minutes, on a canvas; lines, or areas on top of each other. */

const MINUTE = 60_000;
const TOP = 14; // for what is written there

/** The least round number that is not below a number. */
function ceiling(number) {
  const power = 10 ** Math.floor(Math.log10(Math.max(number, 1)));
  return [1, 2, 3, 4, 5, 6, 8, 10].map((digit) => digit * power).find((round) => round >= number);
}

export class Plot {
  #canvas;
  #series;
  #options;

  /**
   * `series` are `{color, value(sample)}`: the name of a custom property of CSS, and a number, or null for none.
   * Options: `span` in milliseconds, `stacked`, `format(number)`, and `labelled` for one that names the minutes.
   */
  constructor(canvas, series, options) {
    this.#canvas = canvas;
    this.#series = series;
    this.#options = options;
  }

  /** Draw samples up to `now`, and mark what was at `cursor`, if that is not null. */
  draw(samples, now, cursor) {
    const { clientWidth: width, clientHeight: height } = this.#canvas;
    if (!width || !height) return;
    const pixels = window.devicePixelRatio || 1;
    if (this.#canvas.width !== Math.round(width * pixels)) this.#canvas.width = Math.round(width * pixels);
    if (this.#canvas.height !== Math.round(height * pixels)) this.#canvas.height = Math.round(height * pixels);
    const pen = this.#canvas.getContext("2d");
    pen.setTransform(pixels, 0, 0, pixels, 0, 0);
    pen.clearRect(0, 0, width, height);

    const { span, stacked, format, labelled } = this.#options;
    const bottom = height - (labelled ? 16 : 1);
    const heights = samples.map((sample) => this.#heights(sample, stacked));
    const most = ceiling(Math.max(0, ...heights.flat().filter((value) => value !== null)));
    const x = (time) => width - ((now - time) / span) * width;
    const y = (value) => bottom - (value / most) * (bottom - TOP);
    const style = getComputedStyle(this.#canvas);
    const color = (name) => style.getPropertyValue(name);

    this.#grid(pen, { width, bottom, x, now, color });
    const runs = this.#runs(samples, heights);
    for (let n = this.#series.length - 1; n >= 0; n--) {
      pen.strokeStyle = pen.fillStyle = color(this.#series[n].color);
      for (const run of runs) this.#line(pen, run, { n, x, y, bottom, stacked });
    }
    pen.fillStyle = color("--soft");
    pen.fillText(format(most), 0, 10);
    if (cursor !== null) {
      pen.fillStyle = color("--ink");
      pen.globalAlpha = 0.5;
      pen.fillRect(Math.round(x(cursor)), TOP, 1, bottom - TOP);
      pen.globalAlpha = 1;
    }
  }

  /** How high each series is at one time; in a stack each stands on those before it. */
  #heights(sample, stacked) {
    let below = 0;
    return this.#series.map(({ value }) => {
      const own = value(sample);
      if (!stacked || own === null) return own;
      below += own;
      return below;
    });
  }

  /** What is drawn in one go: between two gaps. */
  #runs(samples, heights) {
    const runs = [];
    let open = false;
    samples.forEach((sample, n) => {
      const known = heights[n].every((height) => height !== null);
      if (!known || sample.gap) open = false;
      if (!known) return;
      if (!open) runs.push([]);
      runs.at(-1).push({ time: sample.time, heights: heights[n] });
      open = true;
    });
    return runs;
  }

  #grid(pen, { width, bottom, x, now, color }) {
    const { span, labelled } = this.#options;
    pen.font = `11px ${color("--sans")}`;
    pen.lineWidth = 1;
    pen.fillStyle = color("--line");
    pen.fillRect(0, bottom, width, 1);
    pen.fillRect(0, TOP, width, 1);
    for (let minutes = 1; minutes * MINUTE < span; minutes++) {
      const place = Math.round(x(now - minutes * MINUTE));
      pen.fillStyle = color("--line");
      pen.fillRect(place, TOP, 1, bottom - TOP);
      if (!labelled) continue;
      pen.fillStyle = color("--soft");
      pen.textAlign = "center";
      pen.fillText(`−${minutes} min`, place, bottom + 13);
    }
    pen.textAlign = "right";
    pen.fillStyle = color("--soft");
    if (labelled) pen.fillText("now", width, bottom + 13);
    pen.textAlign = "left";
  }

  #line(pen, run, { n, x, y, bottom, stacked }) {
    const line = new Path2D();
    run.forEach(({ time, heights }, at) => line[at ? "lineTo" : "moveTo"](x(time), y(heights[n])));
    const area = new Path2D(line);
    area.lineTo(x(run.at(-1).time), bottom);
    area.lineTo(x(run[0].time), bottom);
    pen.globalAlpha = stacked ? 1 : 0.16;
    pen.fill(area);
    pen.globalAlpha = 1;
    pen.lineWidth = 1.5;
    pen.lineJoin = "round";
    if (!stacked) pen.stroke(line);
  }
}
