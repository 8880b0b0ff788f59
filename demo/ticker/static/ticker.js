import { init } from "/bayeux/client.js";

const client = init("/bayeux");
const find = (id) => document.getElementById(id);
const STATES = { connecting: "Connecting", connected: "Live", reconnecting: "Reconnecting", disconnected: "Disconnected" };
const KEPT = 60;

const stocks = new Map(); // symbol -> {open, prices, line}

client.addEventListener("state", ({ detail: { state } }) => {
  find("state").textContent = STATES[state];
  find("state").dataset.state = state;
  find("board").classList.toggle("stale", state !== "connected");
  if (state === "connected") ask(); // for what we have not seen
});

client.subscribe("/service/ticker/history", (history) => {
  stocks.clear();
  find("board").replaceChildren(...history.map(({ symbol, name, open, prices }) => {
    const line = find("stock").content.firstElementChild.cloneNode(true);
    line.querySelector(".symbol").textContent = symbol;
    line.querySelector(".name").textContent = name;
    stocks.set(symbol, { name, open, prices, line });
    draw(stocks.get(symbol));
    return line;
  }));
});

client.subscribe("/ticker/*", ({ price }, { channel }) => {
  const stock = stocks.get(channel.split("/").at(-1));
  if (!stock) return; // its history is still on the way
  const before = stock.prices.at(-1);
  stock.prices = [...stock.prices, price].slice(-KEPT);
  draw(stock);
  const shown = stock.line.querySelector(".price");
  shown.classList.remove("rose", "fell");
  void shown.offsetWidth; // or an animation under way would not begin again
  if (price !== before) shown.classList.add(price > before ? "rose" : "fell");
  find("time").textContent = new Date().toLocaleTimeString();
});

function ask() {
  client.publish("/service/ticker/history").catch(() => client.state === "connected" && setTimeout(ask, 2000));
}

const plain = new Intl.NumberFormat(undefined, { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const percent = new Intl.NumberFormat(undefined, {
  style: "percent", minimumFractionDigits: 2, maximumFractionDigits: 2, signDisplay: "exceptZero" });

function draw({ name, open, prices, line }) {
  const price = prices.at(-1);
  const part = (name) => line.querySelector(name);
  line.dataset.trend = price > open ? "up" : price < open ? "down" : "level";
  part(".price").textContent = plain.format(price);
  part(".percent").textContent = percent.format(price / open - 1);
  part(".chart").setAttribute("aria-label",
    `${name}, the last ${prices.length} prices, between ${Math.min(...prices)} and ${Math.max(...prices)}`);

  const [least, most] = [Math.min(open, ...prices), Math.max(open, ...prices)];
  const height = (value) => 96 - (92 * (value - least)) / (most - least || 1);
  const step = 100 / (KEPT - 1);
  const points = prices.map((value, n) => `${((n + KEPT - prices.length) * step).toFixed(2)} ${height(value).toFixed(2)}`);
  const from = ((KEPT - prices.length) * step).toFixed(2);
  part(".line").setAttribute("d", `M${points.join("L")}`);
  part(".area").setAttribute("d", `M${points.join("L")}L100 ${height(open)}L${from} ${height(open)}z`);
  part(".first").setAttribute("d", `M0 ${height(open)}H100`);
  part(".last").style.top = `${height(price)}%`;
}
