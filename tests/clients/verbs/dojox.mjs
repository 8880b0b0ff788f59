// dojox.cometd of Dojo 1.7 behind the common verbs; browser only.
// It is an object, not a class, and forgets its subscriptions at every handshake.

export default function verbs(dojo, cometd, url) {
    const arrived = [];
    const received = [];
    const stamps = [];
    const wanted = new Set();
    const published = new Map();
    let sending = null;
    let open = false;
    let connectAnswered = () => {};

    // publish() returns nothing, so look at the messages as an extension does
    cometd._extendOutList.push((message) => {
        if (sending && message.data === sending.data) {
            published.set(message.id, sending.settle);
            sending = null;
        }
        return message;
    });
    cometd._extendInList.push((message) => {
        stamps.push(message.timestamp ?? null);
        if (message.data !== undefined) {
            arrived.push([message.channel, message.data]);
        }
        if (message.channel === "/meta/connect") {
            connectAnswered(message);
        }
        if (message.successful !== undefined && published.has(message.id)) {
            published.get(message.id)(message);
            published.delete(message.id);
        }
        return message;
    });
    const subscribe = (channel) => cometd.subscribe(channel, deliver);
    const deliver = (message) => received.push([message.channel, message.data]);
    dojo.subscribe("/cometd/meta", (event) => {
        if (event.action === "handshake" && event.successful) {
            wanted.forEach(subscribe);
        }
    });

    const answered = (send) => new Promise((resolve, reject) => {
        send((reply) => (reply.successful ? resolve() : reject(new Error(JSON.stringify(reply)))));
    });
    const settled = (deferred) => new Promise((resolve, reject) => {
        deferred.addCallbacks(() => resolve(), reject);
    });
    return {
        connect: () => answered((settle) => {
            connectAnswered = settle;
            open = true;
            cometd.init(url);
        }),
        subscribe: (channel) => {
            wanted.add(channel);
            return settled(subscribe(channel));
        },
        unsubscribe: (channel) => {
            wanted.delete(channel);
            return settled(cometd.unsubscribe(channel));
        },
        publish: (channel, data) => answered((settle) => {
            sending = { data, settle };
            cometd.publish(channel, data);
        }),
        losePatience: (expectedNetworkDelay, connectTimeout) => {
            Object.assign(cometd, { expectedNetworkDelay, connectTimeout });
        },
        arrived: () => arrived,
        received: () => received,
        stamps: () => stamps,
        shift: () => cometd.timesync.offset + cometd.timesync.lag,
        // it never reads the reply to its disconnect, but the held connect must be let go
        disconnect: () => answered((settle) => {
            wanted.clear();
            connectAnswered = settle;
            open = false;
            cometd.disconnect();
        }),
        // after a disconnect it takes the reply to its held connect for a new connection
        state: () => (open ? cometd.state() : "disconnected"),
    };
}
