/** The server's API, for whoever has its key. */

const BASE = new URL("../", import.meta.url); // behind a proxy it may be anywhere
const PATIENCE = 10_000;

/** The server has answered, and says no: `status` of HTTP, `code` for programs, and a text for people. */
export class Refused extends Error {
  constructor(status, code, text) {
    super(text);
    Object.assign(this, { status, code });
  }
}

/** The server has not answered, or something else has. */
export class Away extends Error {}

/** Whether a key could be one: headers hold nothing else. */
export const isKey = (text) => /^[!-~]+$/.test(text);

export class API {
  /** Where our own client finds what it needs to watch channels, and what it has to send. */
  watch = new URL("v1/watch", BASE).href;
  headers;

  constructor(key) {
    this.headers = { Authorization: `Bearer ${key}` };
  }

  get(path, parameters = {}) {
    return this.#ask("GET", `${path}?${new URLSearchParams(parameters)}`);
  }

  delete(path) {
    return this.#ask("DELETE", path);
  }

  /** `body` is JSON already. */
  post(path, body) {
    return this.#ask("POST", path, { body, headers: { ...this.headers, "Content-Type": "application/json" } });
  }

  async #ask(method, path, options) {
    let response, answer;
    try {
      response = await fetch(new URL(path, BASE), {
        method,
        headers: this.headers,
        cache: "no-store",
        credentials: "same-origin", // for a proxy before the API; that itself knows the key alone
        redirect: "error",
        signal: AbortSignal.timeout(PATIENCE),
        ...options,
      });
      answer = response.status === 204 ? null : await response.json();
    } catch (cause) {
      throw new Away(`The server does not answer (${cause.message})`, { cause });
    }
    if (response.ok) return answer;
    const { code = "unknown", message = `HTTP ${response.status}` } = Object(answer?.error);
    throw new Refused(response.status, code, String(message));
  }
}
