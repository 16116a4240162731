import { socketProtocols } from './session';
import type { NodeEvent } from './types';

const FIRST_PAUSE = 400;
const LONGEST_PAUSE = 8000;

/** The node's events from a cursor on, over any number of connections. */
export class EventStream {
  #socket: WebSocket | null = null;
  #timer = 0;
  #pause = FIRST_PAUSE;
  #ended = false;

  constructor(
    private cursor: number,
    private readonly told: (event: NodeEvent) => void,
    private readonly changed: (open: boolean) => void,
  ) {
    this.#connect();
    addEventListener('online', this.#now);
    document.addEventListener('visibilitychange', this.#now);
  }

  close(): void {
    this.#ended = true;
    clearTimeout(this.#timer);
    removeEventListener('online', this.#now);
    document.removeEventListener('visibilitychange', this.#now);
    this.#socket?.close();
  }

  /** Tries again at once, if it is waiting to. */
  #now = () => {
    if (this.#timer && !document.hidden) {
      clearTimeout(this.#timer);
      this.#connect();
    }
  };

  #connect(): void {
    this.#timer = 0;
    const scheme = location.protocol === 'https:' ? 'wss:' : 'ws:';
    const socket = new WebSocket(`${scheme}//${location.host}/api/v1/ws?since=${this.cursor}`, socketProtocols());
    this.#socket = socket;
    socket.onopen = () => {
      this.#pause = FIRST_PAUSE;
      this.changed(true);
    };
    socket.onmessage = (message) => {
      const event = JSON.parse(message.data as string) as NodeEvent;
      this.cursor = event.cursor;
      this.told(event);
    };
    socket.onclose = () => {
      if (this.#ended) return;
      this.changed(false);
      this.#timer = window.setTimeout(() => this.#connect(), this.#pause);
      this.#pause = Math.min(this.#pause * 2, LONGEST_PAUSE);
    };
  }
}
