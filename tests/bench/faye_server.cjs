// Faye as a server, as its documentation starts it, but that connects are held as long as txbayeux
// holds them, so that idle clients ask equally often: node faye_server.cjs FAYE MOUNT
const http = require("http");
const faye = require(process.argv[2]);

const server = http.createServer();
new faye.NodeAdapter({ mount: process.argv[3], timeout: 30 }).attach(server);
server.listen(0, "127.0.0.1", 1000, () => console.log(`listening on ${server.address().port}`));
