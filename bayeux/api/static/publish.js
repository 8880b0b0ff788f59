/** Publishing a message by hand. */

import { byId, say } from "./dom.js";
import { clock, plural } from "./format.js";

export class Publish {
  #failed;
  #api = null;
  #said = byId("publish-said");

  /** `failed(error)` is told of what went wrong, and returns whether it takes care of it. */
  constructor(failed) {
    this.#failed = failed;
    const form = byId("publish").querySelector("form");
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#publish(byId("publish-channel").value, byId("publish-data").value);
    });
    byId("publish-data").addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
    });
  }

  begin(api) {
    this.#api = api;
  }

  end() {
    this.#api = null;
    say(this.#said, "");
  }

  async #publish(channel, data) {
    try {
      JSON.parse(data);
    } catch (error) {
      this.#tell(`The data is not JSON: ${error.message}`, true);
      return;
    }
    const api = this.#api;
    try {
      // The data as it was written: numbers that JavaScript would round stay what they are.
      const answer = await api.post("v1/publish", `{"channel": ${JSON.stringify(channel)}, "data": ${data}}`);
      if (api !== this.#api) return; // the key has been forgotten meanwhile
      this.#tell(`Published at ${clock(Date.now())}: it goes to ${plural(answer.delivered, "session")}.`, false);
    } catch (error) {
      if (api === this.#api && !this.#failed(error)) this.#tell(error.message, true);
    }
  }

  #tell(text, wrong) {
    this.#said.classList.toggle("error", wrong);
    say(this.#said, text);
  }
}
