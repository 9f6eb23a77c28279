// Chromium without a window, led through a pipe by its DevTools protocol.
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

const FLAGS = [
  '--headless=new',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--disable-quic',
  '--disable-dev-shm-usage',
  // Colours as in the files.
  '--force-color-profile=srgb',
];

/** Milliseconds that anything may take. */
const PATIENCE = 120_000;

/** Opens an empty page in a browser with these further flags; `visit` gets the page. */
export async function withPage(program, flags, visit) {
  const profile = fs.mkdtempSync(path.join(os.tmpdir(), 'channelwise-browser-'));
  // Chromium refuses its sandbox to root.
  const root = process.getuid?.() === 0 ? ['--no-sandbox'] : [];
  const args = [...FLAGS, ...root, ...flags, '--remote-debugging-pipe', `--user-data-dir=${profile}`, 'about:blank'];
  const browser = spawn(program, args, { stdio: ['ignore', 'ignore', 'pipe', 'pipe', 'pipe'] });
  let said = '';
  browser.stderr.on('data', (data) => (said = (said + data).slice(-4000)));
  const gone = new Promise((_, reject) => {
    browser.on('error', reject);
    browser.on('exit', (code) => reject(new Error(`the browser ended with ${code}:\n${said}`)));
  });
  gone.catch(() => {});
  const late = AbortSignal.timeout(2 * PATIENCE);
  const tooLate = new Promise((_, reject) =>
    late.addEventListener('abort', () => reject(new Error(`the browser took too long:\n${said}`))),
  );
  tooLate.catch(() => {});
  const ended = new Promise((done) => browser.on('close', done));
  const page = new Page(browser.stdio[3], browser.stdio[4]);
  try {
    return await Promise.race([page.open().then(() => visit(page)), gone, tooLate]);
  } finally {
    if (browser.exitCode === null && browser.pid) {
      page.send('Browser.close', {}, null).catch(() => {});
      const stubborn = setTimeout(() => browser.kill('SIGKILL'), 5000);
      await ended;
      clearTimeout(stubborn);
    }
    // Some of its processes end a little later.
    await fs.promises.rm(profile, { recursive: true, force: true, maxRetries: 10, retryDelay: 200 });
  }
}

/** A page of the browser, with its workers. */
class Page {
  /** Addresses that were asked for, and what went wrong. */
  requests = [];
  errors = [];
  #ids = 0;
  #answers = new Map();
  #events = new Map();

  constructor(to, from) {
    this.to = to;
    // A browser that ends breaks the pipe; that it ended is told elsewhere.
    to.on('error', () => {});
    let rest = '';
    from.setEncoding('utf8').on('data', (text) => {
      const messages = (rest + text).split('\0');
      rest = messages.pop();
      messages.forEach((message) => this.#heard(JSON.parse(message)));
    });
  }

  async open() {
    const { targetInfos } = await this.send('Target.getTargets', {}, null);
    const { targetId } = targetInfos.find(({ type }) => type === 'page');
    ({ sessionId: this.session } = await this.send('Target.attachToTarget', { targetId, flatten: true }, null));
    await this.#watch(this.session);
    await this.send('Page.enable');
    await this.send('DOM.enable');
  }

  /** Listens to a page or worker, and to the workers it will have. */
  async #watch(session) {
    await this.send('Runtime.enable', {}, session);
    await this.send('Network.enable', {}, session);
    await this.send('Target.setAutoAttach', { autoAttach: true, waitForDebuggerOnStart: true, flatten: true }, session);
    await this.send('Runtime.runIfWaitingForDebugger', {}, session);
  }

  #heard({ id, method, params, result, error }) {
    if (id !== undefined) {
      const { resolve, reject, asked } = this.#answers.get(id);
      this.#answers.delete(id);
      if (error) reject(new Error(`${asked}: ${error.message}`));
      else resolve(result);
      return;
    }
    // A worker that is ended while it is met answers no more.
    if (method === 'Target.attachedToTarget') this.#watch(params.sessionId).catch(() => {});
    if (method === 'Network.requestWillBeSent') this.requests.push(params.request.url);
    if (method === 'Runtime.exceptionThrown') {
      const { text, exception } = params.exceptionDetails;
      this.errors.push(`${text} ${exception?.description ?? ''}`);
    }
    if (method === 'Runtime.consoleAPICalled' && params.type === 'error') {
      this.errors.push(params.args.map(({ value, description }) => value ?? description).join(' '));
    }
    this.#events.get(method)?.(params);
    this.#events.delete(method);
  }

  send(method, params = {}, session = this.session) {
    const id = ++this.#ids;
    this.to.write(`${JSON.stringify({ id, method, params, ...(session && { sessionId: session }) })}\0`);
    return new Promise((resolve, reject) => this.#answers.set(id, { resolve, reject, asked: method }));
  }

  async goto(url) {
    const loaded = new Promise((done) => this.#events.set('Page.loadEventFired', done));
    const { errorText } = await this.send('Page.navigate', { url });
    if (errorText) throw new Error(`${url}: ${errorText}`);
    await loaded;
  }

  /** What an expression of the page gives, or its promise. */
  async evaluate(expression) {
    const asked = { expression, returnByValue: true, awaitPromise: true };
    const { result, exceptionDetails } = await this.send('Runtime.evaluate', asked);
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
    return result.value;
  }

  /** Waits until an expression is true. */
  async until(expression) {
    for (const start = Date.now(); !(await this.evaluate(expression)); ) {
      if (Date.now() - start > PATIENCE) throw new Error(`never came true: ${expression}\n${this.errors.join('\n')}`);
      await new Promise((done) => setTimeout(done, 20));
    }
  }

  /** Hands a file to a file input. */
  async choose(selector, file) {
    const { root } = await this.send('DOM.getDocument');
    const { nodeId } = await this.send('DOM.querySelector', { nodeId: root.nodeId, selector });
    await this.send('DOM.setFileInputFiles', { nodeId, files: [file] });
  }

  /** Drops a file on the middle of the window. */
  async drop(file) {
    const data = { items: [], files: [file], dragOperationsMask: 1 };
    for (const type of ['dragEnter', 'dragOver', 'drop']) {
      await this.send('Input.dispatchDragEvent', { type, x: 300, y: 300, data });
    }
  }

  /** Makes it so large, a phone if it is narrow, and waits until it is laid out. */
  async resize(width, height) {
    const size = { width, height, deviceScaleFactor: 1, mobile: width < 600 };
    await this.send('Emulation.setDeviceMetricsOverride', size);
    await this.evaluate('new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done())))');
  }

  /** A picture of the window, `width` wide and as high as the page. */
  async screenshot(file, width) {
    await this.resize(width, 900);
    await this.resize(width, await this.evaluate('document.documentElement.scrollHeight'));
    const { data } = await this.send('Page.captureScreenshot', { format: 'png' });
    fs.writeFileSync(file, Buffer.from(data, 'base64'));
  }
}
