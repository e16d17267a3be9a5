// A peer of p2pwire/1 that has nothing and wants nothing: it proves who it is, says HELLO, answers PING, refuses every
// topic, and closes as is due.
//
// It was written from SPEC.md alone and shares nothing with any other implementation. It does no input or output: bytes
// and milliseconds come in by `receive` and `tick`, bytes go out by `take`.

import { randomBytes, timingSafeEqual } from 'node:crypto'

import * as f from './forms.mjs'
import { Dh, hmac, Noise, proves, sha256, signedText, Silent } from './keys.mjs'

const MAGIC = Buffer.from('89503250570d0a1a', 'hex')
const VERSION = 1, SUITE = 1
const OFFER = 1, ANSWER = 2, REFUSAL = 3
const INTERNAL = 1, PROTOCOL = 2, UNKNOWN_FRAME = 3, UNSOLICITED = 6, CREDIT_EXCEEDED = 7, FLOOD = 8, TIMEOUT = 9
const DUPLICATE = 10, SELF = 11, SHUTDOWN = 13, LAST_CODE = 14
const NO_VERSION = 1, NO_SUITE = 2, USE_SUITE = 3
const NO_FRAME = 0xff
const GREASE_TAG = 0x2b, GREASE_FRAME = 0x6b, GREASE_SHARE = 1 / 4
const HANDSHAKE_TIME = 10_000, HELLO_TIME = 10_000, DRAIN_TIME = 5_000, PING_TIME = 60_000, IDLE = 150_000
const DRAIN_BYTES = 20 * 2 ** 20
const ANSWERS = 65536
const BURST = 1000, RATE = 100, BYTES_BURST = 2 ** 20, BYTES_RATE = 65536
const ON_A_HANDLE = new Set([f.OBJECT, f.HAVE, f.LOST, f.INTEREST, f.SUGGEST, f.PEERS, f.GET_PEERS])
const NOT_COUNTED = new Set([f.HELLO, f.CLOSE, f.REQUEST, f.DATA, f.REJECT])

/** The link is to be closed with a code and the frame type to blame. */
class Fault extends Error {
  constructor(code, blame, detail = '') {
    super(detail)
    Object.assign(this, { code, blame })
  }
}

const isGrease = (value) => (value & 0x0f0f) === 0x0a0a
const u16 = (...values) => Buffer.concat(values.map((value) => Buffer.from([value >> 8, value & 0xff])))
const sized = (data) => Buffer.concat([u16(data.length), data])
const listed = (...values) => Buffer.concat([Buffer.from([values.length]), u16(...values)])
const preamble = (kind, ...parts) => Buffer.concat([MAGIC, Buffer.from([kind]), sized(Buffer.concat(parts))])

/** One link. `links` are those of this identity, in the order in which their message 1 went or came. */
export class Peer {
  constructor(role, identity, now, { links = [], record = null } = {}) {
    this.initiator = role === 'initiator'
    Object.assign(this, { identity, links, record, now })
    // Numbers without a meaning, now and then, so that nobody comes to stumble over them.
    this.greases = Math.random() < GREASE_SHARE ? [0x0a0a | (randomBytes(2).readUInt16BE() & 0xf0f0)] : []
    this.fixed = new Dh()
    this.ephemeral = new Dh()
    this.other = null // the other side's identity, once it is proved
    this.ended = false // nothing more will be sent
    this.closed = false // the carrier is to be closed
    this.shaken = false
    this.established = false
    this.events = []
    this.out = []
    this.buffered = []
    this.size = 0
    this.outSize = 0
    this.atEnd = false
    this.since = now // the opening of the carrier, the end of the handshake, or CLOSE
    this.heard = now // when the last record was complete
    this.asked = now // from when on the next PING is reckoned
    this.idle = IDLE
    this.waiting = 0
    this.given = 0
    this.taken = 0
    this.takenAt = now
    this.drained = 0
    this.pings = new Set()
    this.pingsSent = 0
    this.everJoined = new Uint8Array(65536)
    this.granted = 64n
    this.credit = 64
    this.frames = BURST * 1000 // in thousandths
    this.bytes = BYTES_BURST * 1000
    this.filled = now
    this.elders = []
    this.reading = this.#run()
    this.wanted = this.reading.next().value
  }

  // --- in, out, time ---

  /** Bytes of the other side; none: there will be no more. */
  receive(data, now) {
    this.tick(now, this.waiting)
    if (this.ended) {
      this.drained += data.length
      this.closed ||= data.length === 0 || this.drained >= DRAIN_BYTES
      return
    }
    if (data.length === 0) this.atEnd = true
    this.buffered.push(data)
    this.size += data.length
    this.#work()
  }

  /** What is to be sent now. Call until there is nothing, as long as the carrier takes it. */
  take() {
    this.#work()
    const out = Buffer.concat(this.out)
    this.given += out.length
    this.out = []
    this.outSize = 0
    return out
  }

  /** Let time go by. `waiting` bytes of what was taken have not gone out; above 64 KiB nothing is read. */
  tick(now, waiting = 0) {
    this.waiting = waiting
    if (waiting > ANSWERS) {
      this.heard += now - this.now
      this.asked += now - this.now
    }
    if (waiting === 0 || this.given - waiting > this.taken) {
      this.taken = this.given - waiting
      this.takenAt = now
    }
    for (let due; !this.closed && (due = this.#due()) <= now;) {
      this.now = Math.max(this.now, due)
      this.#onTime()
    }
    this.now = now
  }

  /** Say CLOSE, if the handshake is over, and go. */
  close(code = SHUTDOWN, blame = NO_FRAME, detail = '') {
    if (this.ended) return
    if (!this.shaken) return this.#drop('closed before the handshake was over')
    this.#send(f.CLOSE, u16(code), Buffer.from([blame]), Buffer.from(detail))
    this.#over({ code, by_peer: false, truncated: false })
    this.#drain()
  }

  #due() {
    if (this.ended) return this.since + DRAIN_TIME
    if (!this.shaken) return this.since + HANDSHAKE_TIME
    return Math.min(this.#endOfPatience(), this.asked + Math.min(PING_TIME, this.idle / 3))
  }

  #endOfPatience() {
    const silent = Math.min(this.heard, this.takenAt) + this.idle
    return this.established ? silent : Math.min(silent, this.since + HELLO_TIME)
  }

  #onTime() {
    if (this.ended) {
      this.closed = true
    } else if (!this.shaken) {
      this.#drop('the handshake took too long')
    } else if (this.now >= this.#endOfPatience()) {
      this.close(TIMEOUT)
    } else {
      this.asked = this.now
      if (this.pings.size >= 4) return
      const data = Buffer.alloc(8)
      data.writeUInt32BE(++this.pingsSent)
      this.pings.add(data.toString('hex'))
      this.#send(f.PING, data)
    }
  }

  /** Read what is there, until too many answers wait. */
  #work() {
    try {
      while (!this.ended && this.outSize <= ANSWERS && this.size >= this.wanted) {
        this.wanted = this.reading.next(this.#front(this.wanted)).value
      }
      if (this.atEnd && !this.ended && this.outSize <= ANSWERS) {
        this.#over({ code: INTERNAL, by_peer: false, truncated: true })
        this.#drop('the stream ended')
      }
    } catch (error) {
      if (error instanceof Fault) {
        this.close(error.code, error.blame, error.message)
      } else if (error instanceof Silent || error instanceof f.Malformed) {
        this.#over({ code: PROTOCOL, by_peer: false, truncated: false })
        this.#drop(error.message)
      } else {
        throw error
      }
    }
    this.closed ||= this.ended && this.atEnd
  }

  #front(size) {
    if (this.buffered.length === 0 || this.buffered[0].length < size) this.buffered = [Buffer.concat(this.buffered)]
    const [first] = this.buffered
    this.buffered[0] = first.subarray(size)
    this.size -= size
    return first.subarray(0, size)
  }

  #drop(reason) {
    if (!this.shaken) this.events.push({ ev: 'refused', text: reason })
    this.ended = this.closed = true
    this.buffered = []
  }

  #drain() {
    this.ended = true
    this.since = this.now
    this.buffered = []
  }

  #over(how) {
    if (this.links.includes(this)) this.links.splice(this.links.indexOf(this), 1)
    if (this.established) this.events.push({ ev: 'closed', ...how })
  }

  #write(...parts) {
    this.out.push(...parts)
    this.outSize += parts.reduce((sum, part) => sum + part.length, 0)
  }

  // --- the handshake: generators that ask for so many bytes and get them ---

  * #run() {
    if (this.initiator) yield* this.#initiate()
    else yield* this.#respond()
    this.shaken = true
    this.since = this.heard = this.asked = this.now
    if (this.other.equals(this.identity.public)) throw new Fault(SELF, NO_FRAME)
    for (const elder of this.elders) if (elder.other.equals(this.other)) elder.close(DUPLICATE)
    const grease = this.greases.map(() => [GREASE_TAG, Buffer.from('grease')])
    const parameters = [[1, Buffer.from('minimal-node/1')], [2, this.record], ...grease].filter(([, value]) => value)
    this.#send(f.HELLO, u16(1024, 64, IDLE / 1000), ...parameters.flatMap(([t, v]) => [Buffer.from([t]), sized(v)]))
    for (const [, value] of grease) this.#send(GREASE_FRAME, value)
    for (;;) yield* this.#record()
  }

  * #preamble() {
    for (const byte of MAGIC) if ((yield 1)[0] !== byte) throw new Silent('no magic')
    const head = Buffer.from(yield 3)
    const size = head.readUInt16BE(1)
    const expected = this.initiator ? [ANSWER, REFUSAL] : [OFFER]
    if (size < 4 || size > 512 || !expected.includes(head[0])) throw new Silent('no such preamble')
    const body = Buffer.from(yield size)
    return { kind: head[0], body: new f.Reader(body), all: Buffer.concat([MAGIC, head, body]) }
  }

  * #message() {
    const size = (yield 2).readUInt16BE()
    if (size < 1 || size > 1024) throw new Silent('no such handshake message')
    return new f.Reader(Buffer.from(yield size))
  }

  * #initiate() {
    const offer = preamble(OFFER, listed(...this.greases, VERSION), listed(...this.greases, SUITE), u16(SUITE))
    const noise = new Noise(Buffer.concat([Buffer.from('p2pwire/1\0'), offer, u16(0)]))
    noise.mixHash(this.ephemeral.public)
    this.#write(offer, sized(Buffer.concat([this.ephemeral.public, noise.seal(Buffer.alloc(0))])))
    this.links.push(this)

    const answer = yield* this.#preamble()
    if (answer.kind === REFUSAL) {
      answer.body.number(1)
      answer.body.numbers()
      answer.body.numbers()
      answer.body.end()
      throw new Silent('refused')
    }
    const version = answer.body.number(2)
    const suite = answer.body.number(2)
    answer.body.tagged(1)
    if (version !== VERSION || suite !== SUITE) throw new Silent('chose what was not offered')

    const message = yield* this.#message()
    const re = message.take(32)
    noise.mixHash(re)
    noise.mixKey(this.ephemeral.with(re))
    noise.mixKey(this.ephemeral.with(noise.open(message.take(48))))
    const hR = noise.h
    const other = this.#proved(noise.open(message.rest()), 'responder', hR, answer.all)
    if (this.links.some((link) => link !== this && link.shaken && !link.ended && link.other.equals(other))) {
      throw new Silent('there is a link to this peer already')
    }
    this.other = other

    const fixed = noise.seal(this.fixed.public)
    noise.mixKey(this.fixed.with(re))
    this.#write(sized(Buffer.concat([fixed, noise.seal(this.#proof('initiator', noise.h, answer.all))])));
    [this.sealer, this.opener] = noise.split()
  }

  * #respond() {
    const { body, all: offer } = yield* this.#preamble()
    const versions = body.numbers()
    const suites = body.numbers()
    const keySuite = body.number(2)
    body.tagged(1)
    if (!suites.includes(keySuite) || isGrease(keySuite)) throw new Silent('a key_suite that was not offered')
    const reason = !versions.includes(VERSION) ? NO_VERSION : !suites.includes(SUITE) ? NO_SUITE
      : keySuite !== SUITE ? USE_SUITE : 0
    if (reason) {
      this.#write(preamble(REFUSAL, Buffer.from([reason]), listed(VERSION), listed(SUITE)))
      this.#drain()
      return yield 0
    }
    const first = yield* this.#message()
    const re = first.take(32)
    first.end()
    const noise = new Noise(Buffer.concat([Buffer.from('p2pwire/1\0'), offer, u16(0)]))
    noise.mixHash(re)
    noise.open(Buffer.alloc(0))
    this.elders = this.links.filter((link) => link.established)
    this.links.push(this)

    const answer = preamble(ANSWER, u16(VERSION, SUITE))
    noise.mixHash(this.ephemeral.public)
    noise.mixKey(this.ephemeral.with(re))
    const fixed = noise.seal(this.fixed.public)
    noise.mixKey(this.fixed.with(re))
    const payload = noise.seal(this.#proof('responder', noise.h, answer))
    this.#write(answer, sized(Buffer.concat([this.ephemeral.public, fixed, payload])))

    const third = yield* this.#message()
    noise.mixKey(this.ephemeral.with(noise.open(third.take(48))))
    const hI = noise.h
    this.other = this.#proved(noise.open(third.rest()), 'initiator', hI, answer);
    [this.opener, this.sealer] = noise.split()
  }

  #proof(role, h, answer) {
    const content = Buffer.concat([h, sha256(answer)])
    return Buffer.concat([this.identity.public, this.identity.sign(`handshake-${role}`, content)])
  }

  #proved(payload, role, h, answer) {
    const body = new f.Reader(payload)
    const identity = body.take(32)
    const signature = body.take(64)
    body.tagged(1)
    const content = Buffer.concat([h, sha256(answer)])
    if (!proves(identity, `handshake-${role}`, content, signature)) throw new Silent('no proof of identity')
    return identity
  }

  // --- records and frames ---

  #send(type, ...body) {
    const sealed = this.sealer.seal(Buffer.concat([Buffer.from([type]), sized(Buffer.concat(body))]))
    this.sealer.rekeyWhenDue()
    this.#write(sized(sealed))
  }

  * #record() {
    const size = (yield 2).readUInt16BE()
    if (size < 17) throw new Silent('no such record')
    const plaintext = this.opener.open(yield size)
    this.opener.rekeyWhenDue()
    this.heard = this.asked = this.now
    for (let at = 0; at < plaintext.length && !this.ended;) {
      if (plaintext.length - at < 3) throw new Fault(PROTOCOL, NO_FRAME, 'bytes after the last frame')
      const end = at + 3 + plaintext.readUInt16BE(at + 1)
      if (end > plaintext.length) throw new Fault(PROTOCOL, plaintext[at], 'a frame beyond its record')
      this.#frame(plaintext[at], plaintext.subarray(at + 3, end))
      at = end
    }
  }

  #frame(type, body) {
    if (type !== f.CLOSE && this.established === (type === f.HELLO)) {
      throw new Fault(PROTOCOL, type, 'HELLO comes first, and once')
    }
    const form = f.FORMS.get(type)
    if (form) this.#checked(form, type, body)
    else if (type % 2 === 0) throw new Fault(UNKNOWN_FRAME, type)
    const answersPing = type === f.PONG && this.pings.delete(body.toString('hex'))
    this.#act(type, body)
    if (!NOT_COUNTED.has(type) && !answersPing) this.#count(type, body.length + 3)
  }

  #checked(form, type, body) {
    try {
      const reader = new f.Reader(body)
      form(reader)
      reader.end()
    } catch (error) {
      throw error instanceof f.Malformed ? new Fault(PROTOCOL, type, error.message) : error
    }
  }

  #act(type, body) {
    if (type === f.HELLO) {
      this.#establish(body.readUInt16BE(4) * 1000)
    } else if (type === f.CLOSE) {
      const code = body.readUInt16BE()
      this.#over({ code: code <= LAST_CODE ? code : INTERNAL, by_peer: true, truncated: false })
      this.out = []
      this.#drop('closed')
    } else if (type === f.PING) {
      this.#send(f.PONG, body)
    } else if (type === f.JOIN) {
      // This takes as long as for a topic that is known.
      timingSafeEqual(hmac(randomBytes(32), signedText('cap', Buffer.alloc(33))), body.subarray(35))
      this.everJoined[body.readUInt16BE()] = 1
      this.#send(f.REFUSE, body.subarray(0, 2), Buffer.from([0]))
    } else if (ON_A_HANDLE.has(type)) {
      if (!this.everJoined[body.readUInt16BE()]) throw new Fault(PROTOCOL, type, 'a handle that was never joined')
    } else if (type === f.REQUEST) {
      this.#reject(body)
    } else if (type === f.DATA || type === f.REJECT) {
      throw new Fault(UNSOLICITED, type)
    } else if (type === f.CREDIT) {
      const total = body.readBigUInt64BE()
      if (total < this.granted) throw new Fault(PROTOCOL, type, 'credit is never taken back')
      this.granted = total
    }
  }

  #reject(body) {
    if (!this.everJoined[body.readUInt16BE(4)]) throw new Fault(PROTOCOL, f.REQUEST, 'a handle that was never joined')
    this.credit -= 2 ** body[14]
    if (this.credit < 0) throw new Fault(CREDIT_EXCEEDED, f.REQUEST)
    this.#send(f.REJECT, body.subarray(0, 4), Buffer.from([6, 0, 0]))
  }

  #establish(idle) {
    this.established = true
    this.idle = Math.min(IDLE, idle)
    this.events.push({ ev: 'link', identity: this.other.toString('hex') })
    const same = (link) => link !== this && link.established && link.other.equals(this.other)
    for (const link of this.links.filter(same)) {
      let loser = this.links.indexOf(link) < this.links.indexOf(this) ? link : this
      // Of two links dialled by different sides that of the higher identity goes.
      const higher = Buffer.compare(this.identity.public, this.other) > 0
      if (link.initiator !== this.initiator) loser = this.initiator === higher ? this : link
      loser.close(DUPLICATE)
    }
  }

  /** Take a frame from the control budget. */
  #count(type, size) {
    const passed = this.now - this.filled
    this.filled = this.now
    this.frames = Math.min(BURST * 1000, this.frames + RATE * passed) - 1000
    this.bytes = Math.min(BYTES_BURST * 1000, this.bytes + BYTES_RATE * passed) - 1000 * size
    if (this.frames < 0 || this.bytes < 0) throw new Fault(FLOOD, type)
  }
}
