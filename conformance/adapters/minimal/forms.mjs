// What the bodies of frames look like: readers that throw `Malformed` where a layout of SPEC.md is broken.

export const HELLO = 0x00, PAD = 0x01, CLOSE = 0x02, PING = 0x04, PONG = 0x06, JOIN = 0x10, REFUSE = 0x12, LEAVE = 0x14
export const OBJECT = 0x16, HAVE = 0x18, LOST = 0x1a, INTEREST = 0x1c, CREDIT = 0x1e, SUGGEST = 0x1f, REQUEST = 0x20
export const DATA = 0x22, REJECT = 0x24, CANCEL = 0x26, PEERS = 0x30, GET_PEERS = 0x32

const NAME = /^[a-z0-9./-]+$/
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/
const ADDRESS_SIZE = new Map([[1, 6], [2, 18], [3, 32], [4, 34], [5, 32]])

export class Malformed extends Error {}

export function need(condition, what = 'malformed') {
  if (!condition) throw new Malformed(what)
}

/** Reads fields from the front of a buffer. */
export class Reader {
  constructor(data) {
    this.data = data
    this.at = 0
  }

  get left() {
    return this.data.length - this.at
  }

  take(size) {
    need(size <= this.left, 'cut short')
    this.at += size
    return this.data.subarray(this.at - size, this.at)
  }

  rest() {
    return this.take(this.left)
  }

  /** An integer of at most 6 bytes within bounds. */
  number(size, least = 0, most = Number.MAX_SAFE_INTEGER) {
    const value = this.take(size).readUIntBE(0, size)
    need(value >= least && value <= most, `${value} is not ${least} to ${most}`)
    return value
  }

  text(size, most) {
    need(size <= most, 'too long')
    const bytes = this.take(size)
    let found
    try {
      found = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
    } catch {
      throw new Malformed('no UTF-8')
    }
    need(!CONTROL.test(found), 'a control character')
  }

  /** Calls `read(tag, value)` for each tagged value to the end. Tags ascend. */
  tagged(sizeOfLength, read = () => {}) {
    for (let last = -1; this.left > 0;) {
      last = this.number(1, last + 1)
      read(last, new Reader(this.take(this.number(sizeOfLength))))
    }
  }

  /** 1 to 16 versions or suites, none twice. */
  numbers() {
    const found = Array.from({ length: this.number(1, 1, 16) }, () => this.number(2))
    need(new Set(found).size === found.length, 'twice in a list')
    return found
  }

  end() {
    need(this.left === 0, 'bytes after the last field')
  }
}

function extensions(list) {
  const names = new Set()
  const types = new Set()
  while (list.left > 0) {
    const name = list.take(list.number(1, 1, 32)).toString('latin1')
    need(NAME.test(name) && !names.has(name), 'an extension name')
    names.add(name)
    const base = list.number(1, 0x80)
    const count = list.number(1, 1, 16)
    need(base + count - 1 <= 0xfe && names.size <= 24, 'too many extension types')
    for (let type = base; type < base + count; type++) {
      need(!types.has(type), 'an extension type twice')
      types.add(type)
    }
    list.take(list.number(1))
  }
}

function address(value) {
  const type = value.number(1)
  const size = value.number(1)
  need((ADDRESS_SIZE.get(type) ?? size) === size, 'the size of an address')
  value.take(size)
  value.end()
}

function hello(body) {
  body.number(2, 1, 1024)
  body.number(2, 1, 1024)
  body.number(2, 30, 600)
  body.tagged(2, (tag, value) => {
    if (tag === 1) value.text(value.left, 64)
    if (tag === 3) address(value)
    if (tag === 4) extensions(value)
  })
}

function spans(body) {
  body.number(2)
  for (let count = body.number(2, 1, 16378), least = 0; count > 0; count--) {
    const first = body.number(2, least)
    least = body.number(2, first) + 1
  }
}

function request(body) {
  body.take(10)
  const block = body.number(4)
  need(block % 2 ** body.number(1, 0, 6) === 0, 'a block that is not aligned')
}

function data(body) {
  body.take(8)
  body.take(32 * body.number(1, 0, 32))
  need(body.left >= 1 && body.left <= 16384, 'the size of the data')
  body.rest()
}

function reject(body) {
  body.take(4)
  const code = body.number(1, 1, 6)
  body.number(2, 0, code === 2 || code === 4 ? 0xffff : 0)
}

function peers(body) {
  body.number(2)
  const added = body.number(1, 0, 32)
  for (let left = added; left > 0; left--) {
    body.number(1)
    body.take(body.number(2, 1, 512))
  }
  const dropped = body.number(1, 0, 64)
  body.take(32 * dropped)
  need(added + dropped > 0, 'both lists empty')
}

function object(body) {
  body.take(3)
  need(body.take(8).readBigUInt64BE() <= 1n << 46n, 'the length of an object')
  body.take(32)
}

function close(body) {
  body.take(3)
  body.text(body.left, 256)
}

const fixed = (size) => (body) => body.take(size)

/** Frame type -> what reads its body. */
export const FORMS = new Map([
  [HELLO, hello], [PAD, (body) => body.rest()], [CLOSE, close], [PING, fixed(8)], [PONG, fixed(8)], [JOIN, fixed(67)],
  [REFUSE, (body) => [body.take(2), body.number(1, 0, 0)]], [LEAVE, fixed(2)], [OBJECT, object], [HAVE, spans],
  [LOST, spans], [INTEREST, (body) => [body.take(2), body.number(1, 0, 1)]], [CREDIT, fixed(8)],
  [SUGGEST, (body) => [body.take(2), body.number(2, body.number(2))]], [REQUEST, request], [DATA, data],
  [REJECT, reject], [CANCEL, fixed(4)], [PEERS, peers], [GET_PEERS, fixed(3)],
])
