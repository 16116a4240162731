// Real programs for the tests: nodes of Baraza, real Jami daemons, a DHT and a browser, all in
// a network namespace with no way out.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const HERE = dirname(fileURLToPath(import.meta.url));
export const ROOT = resolve(HERE, '../..');
const PEER = join(ROOT, 'testing/peers/jamipeer.py');
const TARGET = process.env.CARGO_TARGET_DIR ?? join(ROOT, 'target');
const BARAZA = process.env.BARAZA ?? join(TARGET, 'debug/baraza');
const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';

/** Goes on in a sandbox; comes back only there. */
export async function sandbox() {
  if (process.env.JAMI_PEER_SANDBOX) return;
  if (!existsSync(BARAZA)) throw new Error(`no program at ${BARAZA}: build it, or say where it is in BARAZA`);
  const again = spawn(PEER, ['sandbox', '--', process.execPath, ...process.argv.slice(1)], { stdio: 'inherit' });
  for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => again.kill(signal));
  return new Promise(() => again.on('exit', (code) => process.exit(code ?? 1)));
}

const running = [];
export const directory = mkdtempSync(join(tmpdir(), 'baraza-e2e-'));

/** A program that prints lines of JSON. */
class Lines {
  constructor(argv, options = {}) {
    this.argv = argv;
    this.process = spawn(argv[0], argv.slice(1), { stdio: ['pipe', 'pipe', process.env.E2E_VERBOSE ? 'inherit' : 'ignore'], ...options });
    running.push(this.process);
    this.ended = new Promise((done) => this.process.on('exit', done));
    this.waiting = [];
    this.lines = [];
    createInterface({ input: this.process.stdout }).on('line', (text) => {
      let value;
      try {
        value = JSON.parse(text);
      } catch {
        return;
      }
      this.lines.push(value);
      this.waiting = this.waiting.filter((call) => !call(value));
    });
  }
  /** The first line, past or to come, that suits. */
  line(suits, seconds = 60) {
    const known = this.lines.find(suits);
    if (known) return Promise.resolve(known);
    return new Promise((done, failed) => {
      const timer = setTimeout(() => failed(new Error(`${this.argv.join(' ')}: waited ${seconds} s in vain`)), seconds * 1000);
      this.ended.then((code) => failed(new Error(`${this.argv[0]} ended with ${code}`)));
      this.waiting.push((value) => {
        if (!suits(value)) return false;
        clearTimeout(timer);
        done(value);
        return true;
      });
    });
  }
}

export class Dht extends Lines {
  constructor() {
    super([PEER, 'dht', '--dir', directory]);
  }
  static async start() {
    const dht = new Dht();
    dht.address = (await dht.line((line) => line.event === 'ready')).address;
    return dht;
  }
}

/** A directory of names. */
export class Names {
  static async start(port) {
    const data = join(directory, 'names');
    const program = spawn(BARAZA, ['names', '--data', data, '--listen', `127.0.0.1:${port}`], { stdio: 'ignore' });
    running.push(program);
    const names = new Names();
    names.address = `http://127.0.0.1:${port}`;
    for (let tries = 0; tries < 150; tries++) {
      if (await fetch(names.address + '/name/nobody').catch(() => null)) return names;
      await new Promise((done) => setTimeout(done, 100));
    }
    throw new Error('the name server does not answer');
  }
}

/** A real Jami daemon: its commands are those of testing/peers/README.md. */
export class Jami extends Lines {
  constructor(name) {
    super([PEER, 'run', '--name', name, '--dir', directory]);
    this.number = 0;
  }
  static async start(name, displayName) {
    const peer = new Jami(name);
    peer.place = (await peer.line((line) => line.event === 'ready')).directory;
    Object.assign(peer, await peer.ask('create_account', { display_name: displayName }, 120));
    return peer;
  }
  async ask(cmd, values = {}, seconds = 90) {
    const id = ++this.number;
    this.process.stdin.write(JSON.stringify({ id, cmd, ...values }) + '\n');
    const reply = await this.line((line) => line.reply === id, seconds);
    if (!reply.ok) throw new Error(`${cmd}: ${reply.error}`);
    return reply.result;
  }
}

/** A node of Baraza. */
export class Node {
  constructor(name, bootstrap, port) {
    Object.assign(this, { name, bootstrap, port, data: join(directory, name) });
    mkdirSync(this.data, { recursive: true });
  }
  static async start(name, bootstrap, port, dhtPort) {
    const node = new Node(name, bootstrap, port);
    node.dhtPort = dhtPort;
    await node.start();
    return node;
  }
  async start() {
    const argv = [BARAZA, '--json', '--data-dir', this.data, 'run', '--bootstrap', this.bootstrap, '--api', `127.0.0.1:${this.port}`];
    if (this.dhtPort) argv.push('--listen', String(this.dhtPort));
    this.program = new Lines(argv);
    this.ready = await this.program.line((line) => line.event === 'ready');
  }
  get address() {
    return `http://127.0.0.1:${this.port}/`;
  }
  /** Where a browser is let in, once. */
  login() {
    const open = spawnSync(BARAZA, ['--json', '--data-dir', this.data, 'open'], { encoding: 'utf8' });
    return JSON.parse(open.stdout).app;
  }
  /** Asks the API, as a program of its owner does. */
  async ask(method, path, body) {
    const token = readFileSync(join(this.data, 'api-token'), 'utf8').trim();
    const response = await fetch(`${this.address}api/v1${path}`, {
      method,
      headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status}: ${text}`);
    return text ? JSON.parse(text) : null;
  }
  async stop() {
    this.program.process.kill('SIGTERM');
    await this.program.ended;
  }
}

export async function browser() {
  const { chromium } = await import('playwright-core');
  const launched = await chromium.launch({
    executablePath: CHROMIUM,
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--disable-dev-shm-usage'],
  });
  running.push({ kill: () => launched.close().catch(() => {}) });
  return launched;
}

export function end() {
  for (const one of running.reverse()) one.kill('SIGTERM');
  if (!process.env.E2E_KEEP) setTimeout(() => rmSync(directory, { recursive: true, force: true }), 500).unref();
}
