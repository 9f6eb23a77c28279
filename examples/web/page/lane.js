// An engine in a worker: does the newest job that is asked of it, and leaves out those between.
export class Lane {
  constructor(kind, heard) {
    this.kind = kind;
    this.heard = heard;
    this.ids = 0;
    this.start();
  }

  start() {
    this.worker?.terminate();
    this.worker = new Worker('worker.js', { type: 'module' });
    this.waiting = new Map();
    this.seen = undefined;
    this.fresh = true;
    this.worker.onmessage = ({ data }) => this.settle(data);
    this.worker.onerror = (event) => {
      const failed = event.message || 'the worker could not be started';
      for (const id of [...this.waiting.keys()]) this.settle({ id, failed });
    };
    /** The engine's name, or undefined and `missing` says why. */
    this.ready = this.send({ start: this.kind }).then(({ name, software, failed }) => {
      this.name = name;
      this.software = software;
      this.missing = failed;
    });
  }

  settle(answer) {
    this.waiting.get(answer.id)?.(answer);
    this.waiting.delete(answer.id);
  }

  send(message, owned = []) {
    const id = ++this.ids;
    return new Promise((settle) => {
      this.waiting.set(id, settle);
      this.worker.postMessage({ id, ...message }, owned);
    });
  }

  ask(job) {
    this.next = job;
    if (!this.busy) this.work();
  }

  async work() {
    this.busy = true;
    while (this.next) {
      await this.ready;
      const job = this.next;
      this.next = undefined;
      if (this.missing) continue;
      const { picture, ...rest } = job;
      const answer = await this.send(this.seen === picture ? rest : { ...rest, picture });
      this.seen = picture;
      const { fresh } = this;
      // What failed is made anew (the device may be lost, or memory used up) and tries once more.
      if (answer.failed !== undefined) this.start();
      else this.fresh = false;
      if (answer.failed !== undefined && !fresh) this.next ??= job;
      else this.heard(this, job, answer);
    }
    this.busy = false;
    this.heard(this);
  }
}
