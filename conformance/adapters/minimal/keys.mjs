// Proofs of identity, peer records, and Noise_XX_25519_AESGCM_SHA256.

import {
  createCipheriv, createDecipheriv, createHash, createHmac, createPrivateKey, createPublicKey, diffieHellman,
  randomBytes, sign, verify,
} from 'node:crypto'

const NAME = 'Noise_XX_25519_AESGCM_SHA256'
const TAG = 16
const REKEY_AFTER = 65536
const FIELD = 2n ** 255n - 19n
const PKCS8_ED25519 = Buffer.from('302e020100300506032b657004220420', 'hex')
const PKCS8_X25519 = Buffer.from('302e020100300506032b656e04220420', 'hex')
const littleEndian = (bytes) => BigInt('0x' + Buffer.from(bytes).reverse().toString('hex')) & (2n ** 255n - 1n)
const SMALL_ORDER = new Set([0n, 1n, FIELD - 1n, ...[
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
].map((text) => littleEndian(Buffer.from(text, 'hex')))])

/** The carrier is to be closed without a word. */
export class Silent extends Error {}

export const sha256 = (...parts) => createHash('sha256').update(Buffer.concat(parts)).digest()
export const hmac = (key, ...parts) => createHmac('sha256', key).update(Buffer.concat(parts)).digest()
export const signedText = (purpose, content) => Buffer.concat([Buffer.from(`p2pwire/1 ${purpose}\0`), content])

const publicKey = (curve, raw) =>
  createPublicKey({ key: { kty: 'OKP', crv: curve, x: raw.toString('base64url') }, format: 'jwk' })
const privateKey = (head, raw) =>
  createPrivateKey({ key: Buffer.concat([head, raw]), format: 'der', type: 'pkcs8' })
const rawOf = (key) => Buffer.from(key.export({ format: 'jwk' }).x, 'base64url')

/** An Ed25519 key pair. */
export class Identity {
  constructor(seed) {
    this.key = privateKey(PKCS8_ED25519, seed)
    this.public = rawOf(createPublicKey(this.key))
  }

  sign(purpose, content) {
    return sign(null, signedText(purpose, content), this.key)
  }

  /** A peer record with these addresses, `IPv4:port` each, good for an hour. */
  record(addresses, unixTime) {
    const head = Buffer.alloc(14)
    head.writeBigUInt64BE(BigInt(unixTime), 0)
    head.writeUInt32BE(3600, 8)
    head[13] = addresses.length
    const written = addresses.map((address) => {
      const [host, port] = address.split(':')
      return Buffer.from([1, 6, ...host.split('.').map(Number), port >> 8, port & 0xff])
    })
    const record = Buffer.concat([Buffer.from([1]), this.public, head, ...written])
    return Buffer.concat([record, this.sign('peer-record', record)])
  }
}

/** Whether a signature is right, by an identity that may be used. */
export function proves(identity, purpose, content, signature) {
  const y = littleEndian(identity)
  if (y >= FIELD || SMALL_ORDER.has(y)) return false
  try {
    return verify(null, signedText(purpose, content), publicKey('Ed25519', identity), signature)
  } catch {
    return false
  }
}

/** An X25519 key pair. */
export class Dh {
  constructor() {
    // Not `generateKeyPairSync`: Node 20 deadlocks if it frees a generated pair while it exports another.
    this.key = privateKey(PKCS8_X25519, randomBytes(32))
    this.public = rawOf(createPublicKey(this.key))
  }

  with(raw) {
    let shared
    try {
      shared = diffieHellman({ privateKey: this.key, publicKey: publicKey('X25519', raw) })
    } catch {
      throw new Silent('a key of low order')
    }
    if (shared.every((byte) => byte === 0)) throw new Silent('a key of low order')
    return shared
  }
}

/** One direction's key and counter. */
export class Cipher {
  constructor(key) {
    this.key = key
    this.n = 0
  }

  #nonce() {
    const nonce = Buffer.alloc(12)
    nonce.writeBigUInt64BE(BigInt(this.n++), 4)
    return nonce
  }

  static #encrypt(key, nonce, plaintext, ad) {
    const cipher = createCipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG }).setAAD(ad)
    return Buffer.concat([cipher.update(plaintext), cipher.final(), cipher.getAuthTag()])
  }

  seal(plaintext, ad = Buffer.alloc(0)) {
    return Cipher.#encrypt(this.key, this.#nonce(), plaintext, ad)
  }

  open(sealed, ad = Buffer.alloc(0)) {
    if (sealed.length < TAG) throw new Silent('no room for a tag')
    const cipher = createDecipheriv('aes-256-gcm', this.key, this.#nonce(), { authTagLength: TAG }).setAAD(ad)
    cipher.setAuthTag(sealed.subarray(-TAG))
    try {
      return Buffer.concat([cipher.update(sealed.subarray(0, -TAG)), cipher.final()])
    } catch {
      throw new Silent('does not decrypt')
    }
  }

  /** A new key after every 65536th record; the counter goes on. */
  rekeyWhenDue() {
    if (this.n % REKEY_AFTER !== 0) return
    const nonce = Buffer.concat([Buffer.alloc(4), Buffer.alloc(8, 0xff)])
    this.key = Cipher.#encrypt(this.key, nonce, Buffer.alloc(32), Buffer.alloc(0)).subarray(0, 32)
  }
}

/** Noise's symmetric state. */
export class Noise {
  constructor(prologue) {
    this.h = this.ck = Buffer.concat([Buffer.from(NAME)], 32)
    this.cipher = null
    this.mixHash(prologue)
  }

  mixHash(data) {
    this.h = sha256(this.h, data)
  }

  #derive(material) {
    const key = hmac(this.ck, material)
    const first = hmac(key, Buffer.from([1]))
    return [first, hmac(key, first, Buffer.from([2]))]
  }

  mixKey(material) {
    const [ck, key] = this.#derive(material)
    this.ck = ck
    this.cipher = new Cipher(key)
  }

  seal(plaintext) {
    const sealed = this.cipher ? this.cipher.seal(plaintext, this.h) : plaintext
    this.mixHash(sealed)
    return sealed
  }

  open(sealed) {
    const plaintext = this.cipher ? this.cipher.open(sealed, this.h) : sealed
    this.mixHash(sealed)
    return plaintext
  }

  /** Ciphers for the records of the initiator and of the responder. */
  split() {
    return this.#derive(Buffer.alloc(0)).map((key) => new Cipher(key))
  }
}
