// cometd.js behind the common verbs, in node and in the browser.
// As its manual asks, the application subscribes again after every handshake.

import { AckExtension, BinaryExtension, CometD, ReloadExtension, TimeSyncExtension } from "cometd";

const EXTENSIONS = {
    ack: AckExtension, binary: BinaryExtension, reload: ReloadExtension, timesync: TimeSyncExtension,
};

const hex = (bytes) => [...new Uint8Array(bytes)].map((byte) => byte.toString(16).padStart(2, "0")).join("");

export default function verbs(url, { transports, extensions = "" }) {
    const client = new CometD();
    const arrived = [];
    const received = [];
    const binary = [];
    const stamps = [];
    const wanted = new Map();
    let sync = null;
    for (const name of extensions.split(",").filter(Boolean)) {
        const extension = new EXTENSIONS[name]();
        client.registerExtension(name, extension);
        if (name === "timesync") {
            sync = extension;
        }
        if (name === "reload") {
            const kept = JSON.parse(sessionStorage.getItem("kept") ?? '{"received": [], "wanted": []}');
            received.push(...kept.received);
            kept.wanted.forEach((channel) => wanted.set(channel, null));
            addEventListener("beforeunload", () => {
                client.reload();
                sessionStorage.setItem("kept", JSON.stringify({ received, wanted: [...wanted.keys()] }));
            });
        }
    }
    for (const type of client.getTransportTypes()) {
        if (!transports.split(",").includes(type)) {
            client.unregisterTransport(type);
        }
    }
    client.configure({ url, logLevel: "warn", backoffIncrement: 250 });

    let connected = false;
    const subscribe = (channel, callback) => {
        const deliver = (message) => {
            if (message.data?.data instanceof ArrayBuffer) {
                binary.push({ ...message.data, data: hex(message.data.data) });
            } else {
                received.push([message.channel, message.data]);
            }
        };
        wanted.set(channel, client.subscribe(channel, deliver, callback));
    };
    client.registerExtension("arrived", {
        incoming: (message) => {
            stamps.push(message.timestamp ?? null);
            if (message.data !== undefined) {
                arrived.push([message.channel, message.data]);
            }
        },
    });
    client.addListener("/meta/handshake", (reply) => {
        if (reply.successful) {
            client.batch(() => [...wanted.keys()].forEach((channel) => subscribe(channel)));
        }
    });
    client.addListener("/meta/connect", (reply) => {
        connected = reply.successful;
    });

    const answered = (send) => new Promise((resolve, reject) => {
        send((reply) => (reply.successful ? resolve() : reject(new Error(JSON.stringify(reply)))));
    });
    return {
        connect: () => new Promise((resolve, reject) => {
            const once = client.addListener("/meta/connect", (reply) => {
                client.removeListener(once);
                reply.successful ? resolve() : reject(new Error(JSON.stringify(reply)));
            });
            client.handshake();
        }),
        subscribe: (channel) => answered((callback) => subscribe(channel, callback)),
        unsubscribe: (channel) => answered((callback) => {
            const subscription = wanted.get(channel);
            wanted.delete(channel);
            client.unsubscribe(subscription, callback);
        }),
        publish: (channel, data) => answered((callback) => client.publish(channel, data, callback)),
        publishBinary: (channel, digits, last, meta) => answered((callback) => {
            const bytes = Uint8Array.from(digits.match(/../g) ?? [], (pair) => parseInt(pair, 16));
            client.publishBinary(channel, bytes.buffer, last, meta, callback);
        }),
        binary: () => binary,
        losePatience: (maxNetworkDelay) => client.configure({ maxNetworkDelay }),
        clientId: () => client.getClientId(),
        carrier: () => client.getTransport()?.type,
        shift: () => sync.getTimeOffset() + sync.getNetworkLag(),
        stamps: () => stamps,
        arrived: () => arrived,
        received: () => received,
        disconnect: () => answered((callback) => {
            wanted.clear();
            client.clearSubscriptions();
            client.disconnect(callback);
        }),
        state: () => {
            if (client.isDisconnected()) {
                return "disconnected";
            }
            return connected ? "connected" : "connecting";
        },
    };
}
