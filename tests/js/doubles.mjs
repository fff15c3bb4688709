// What the tests of the page's logic have in place of a network.

/** A socket: what was sent is kept, what comes in is said by the test. */
export class Socket {
  static OPEN = 1;
  static all = [];
  readyState = Socket.OPEN;
  sent = [];

  constructor(address) {
    if (address.startsWith('bad')) throw new SyntaxError(address);
    this.address = new URL(address);
    Socket.all.push(this);
  }

  send(data) {
    this.sent.push(data);
  }

  close() {
    this.readyState = 2;
  }

  say(message) {
    this.onmessage({ data: JSON.stringify(message) });
  }
}

/** Lets everything happen that waits for nothing but its turn. */
export async function settle() {
  for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
}
