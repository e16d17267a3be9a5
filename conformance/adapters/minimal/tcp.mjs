// Puts peers on TCP. `node tcp.mjs PORT` runs one that listens, for the suite's `--bare`.

import { randomBytes } from 'node:crypto'
import { connect, createServer } from 'node:net'
import { performance } from 'node:perf_hooks'
import { fileURLToPath } from 'node:url'

import { Identity } from './keys.mjs'
import { Peer } from './peer.mjs'

const INBOUND = 200 // links that are accepted at a time
const ROOM = 65536 // bytes that may wait for the network; while there are more nothing is read
const LOOK = 50 // milliseconds between two looks at the clock

const milliseconds = () => Math.floor(performance.now())

/** An identity in one role, with any number of links. */
export class Host {
  constructor(role, seed, listening, unixTime, told) {
    Object.assign(this, { role, listening, unixTime, told, identity: new Identity(seed) })
    this.peers = []
    this.links = []
    this.carriers = new Set()
  }

  /** One more peer, without a carrier. */
  peer(now) {
    const record = this.listening.length > 0 ? this.identity.record(this.listening, this.unixTime) : null
    const peer = new Peer(this.role, this.identity, now, { links: this.links, record })
    this.peers.push(peer)
    return peer
  }

  /** Take connections on 127.0.0.1; tells the address when it can. */
  listen(port = 0) {
    this.server = createServer({ allowHalfOpen: true }, (socket) => this.#carry(socket))
    return new Promise((resolve, reject) => {
      this.server.once('error', reject)
      this.server.listen(port, '127.0.0.1', () => {
        const address = `127.0.0.1:${this.server.address().port}`
        if (this.listening.length === 0) this.listening = [address]
        resolve(address)
      })
    })
  }

  /** Connect to `host:port`. */
  dial(address) {
    const [host, port] = address.split(':')
    const socket = connect({ host, port: Number(port), allowHalfOpen: true })
    return new Promise((resolve, reject) => {
      socket.once('error', reject)
      socket.once('connect', () => resolve(this.#carry(socket)))
    })
  }

  /** Say CLOSE on every link. */
  close() {
    for (const peer of this.peers) peer.close()
  }

  /** Give everything back at once. */
  stop() {
    this.server?.close()
    for (const socket of this.carriers) socket.destroy()
  }

  #carry(socket) {
    if (this.role === 'responder' && this.peers.length >= INBOUND) {
      socket.destroy()
      return
    }
    const peer = this.peer(milliseconds())
    const turn = (data) => {
      if (data) peer.receive(data, milliseconds())
      while (socket.writable && socket.writableLength <= ROOM) {
        const out = peer.take()
        if (out.length === 0) break
        socket.write(out)
      }
      peer.tick(milliseconds(), socket.writableLength)
      for (const event of peer.events.splice(0)) this.told(event)
      if (peer.closed) return socket.destroy()
      if (peer.ended) socket.end()
      if (socket.writableLength > ROOM) socket.pause()
      else socket.resume()
    }
    const clock = setInterval(turn, LOOK)
    this.carriers.add(socket)
    socket.setNoDelay(true)
    socket.on('data', turn)
    socket.on('end', () => turn(Buffer.alloc(0)))
    socket.on('error', () => {})
    socket.on('close', () => {
      clearInterval(clock)
      peer.receive(Buffer.alloc(0), milliseconds())
      for (const event of peer.events.splice(0)) this.told(event)
      this.carriers.delete(socket)
      this.peers.splice(this.peers.indexOf(peer), 1)
    })
    turn()
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const host = new Host('responder', randomBytes(32), [], Math.floor(Date.now() / 1000), console.log)
  console.log(await host.listen(Number(process.argv[2])))
}
