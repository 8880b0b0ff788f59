// cometd-nodejs-server, as its documentation starts it: node cometd_server.cjs MODULE MOUNT
const http = require("http");
const cometd = require(process.argv[2]);
const ack = require(process.argv[2] + "/ack-extension.js");

const bayeux = cometd.createCometDServer({ timeout: 2000, maxInterval: 10000 });
bayeux.addExtension(new ack.AcknowledgedMessagesExtension());
const server = http.createServer(bayeux.handle);
server.listen(0, "127.0.0.1", () => console.log(`listening on ${server.address().port}`));
