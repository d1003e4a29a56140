// Preloaded (node --require) before a server that would bind every interface: a port without an address is
// bound on 127.0.0.1. With port 0 the system chooses, and the choice is told on stdout as "listening PORT".
'use strict';
const net = require('node:net');

const listen = net.Server.prototype.listen;
net.Server.prototype.listen = function (...given) {
  const isPort = typeof given[0] === 'number' || (typeof given[0] === 'string' && /^\d+$/.test(given[0]));
  if (!isPort) return listen.apply(this, given);
  this.once('listening', () => process.stdout.write(`listening ${this.address().port}\n`));
  const rest = given.slice(1).filter((value) => typeof value === 'function');
  return listen.call(this, Number(given[0]), '127.0.0.1', ...rest);
};
