// The WebSocket: a snapshot, then what changes, numbered. After a break it asks for what it missed, and is given a new
// snapshot when that is not kept any more.

import { API, query } from "./http.js";

const FIRST = 300; // ms until the first attempt after a break
const LONGEST = 8000;

export class Live {
  /** `heard(message)` for each message, `linked(true | false)` when the connection comes and goes. */
  constructor(heard, linked) {
    this.heard = heard;
    this.linked = linked;
    this.epoch = null;
    this.seq = null;
    this.pause = FIRST;
    this.closed = false;
    addEventListener("online", () => this.hurry());
    document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && this.hurry());
  }

  open() {
    this.closed = false;
    const resume = this.epoch === null ? {} : { epoch: this.epoch, since: this.seq };
    const url = new URL(`${API}/ws${query(resume)}`, location.href);
    url.protocol = url.protocol.replace("http", "ws");
    const socket = new WebSocket(url);
    this.socket = socket;
    socket.onopen = () => this.linked(true);
    socket.onmessage = (event) => {
      const message = JSON.parse(event.data);
      if (message.epoch !== undefined) this.epoch = message.epoch;
      if (message.seq !== undefined) this.seq = message.seq;
      this.pause = FIRST;
      this.heard(message);
    };
    socket.onclose = () => socket === this.socket && this.lost();
  }

  close() {
    this.closed = true;
    clearTimeout(this.timer);
    this.socket?.close();
  }

  lost() {
    if (this.closed) return;
    this.linked(false);
    const wait = this.pause * (0.75 + Math.random() / 2);
    this.pause = Math.min(LONGEST, this.pause * 2);
    this.timer = setTimeout(() => this.open(), wait);
  }

  hurry() {
    if (this.closed || !this.socket || this.socket.readyState <= WebSocket.OPEN) return;
    clearTimeout(this.timer);
    this.pause = FIRST;
    this.open();
  }
}
