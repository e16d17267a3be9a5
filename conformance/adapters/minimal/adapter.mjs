// Lets the suite judge the peer in peer.mjs: PCTL/1 on stdin and stdout.

import { randomBytes } from 'node:crypto'
import { createInterface } from 'node:readline'

import { Host } from './tcp.mjs'

const ABOUT = {
  pctl: 1, impl: 'minimal-node', version: '1', spec: ['p2pwire/1'], clock: 'virtual',
  roles: ['initiator', 'responder'], net: ['listen', 'dial', 'inline'], features: ['identity', 'record', 'events'],
}
const hosts = new Map()
const say = (message) => process.stdout.write(JSON.stringify(message) + '\n')

function bytesOf(host, { ms = 0, hex = '', piece = hex.length / 2, eof = false }) {
  const peer = host.peers[0] ?? host.peer(0)
  let tx = ''
  const take = () => {
    for (let data; (data = peer.take()).length > 0;) tx += data.toString('hex')
  }
  peer.tick(peer.now + ms)
  for (let at = 0; at < hex.length; at += 2 * piece) {
    peer.receive(Buffer.from(hex.slice(at, at + 2 * piece), 'hex'), peer.now)
    take()
  }
  if (eof) peer.receive(Buffer.alloc(0), peer.now)
  take()
  return { tx, ended: peer.ended, closed: peer.closed, events: peer.events.splice(0) }
}

async function start({ run, role, net, addr, config }) {
  const { identity, listening = [], unix_time: time = Math.floor(Date.now() / 1000) } = config
  const seed = identity ? Buffer.from(identity, 'hex') : randomBytes(32)
  const host = new Host(role, seed, listening, time, (event) => say({ ...event, run }))
  hosts.set(run, host)
  if (net === 'listen') return { addr: await host.listen() }
  if (net === 'inline') return bytesOf(host, {})
  await host.dial(addr)
  return {}
}

async function answer(asked) {
  const { op, run, action = 'close' } = asked
  if (op === 'hello') return ABOUT
  if (op === 'start') return start(asked)
  const host = hosts.get(run)
  if (!host || action !== 'close') return { skip: 'action' }
  if (op === 'rx' || op === 'tick') return bytesOf(host, asked)
  if (op === 'do') host.close()
  if (op === 'stop') {
    host.stop()
    hosts.delete(run)
  }
  return {}
}

for await (const line of createInterface({ input: process.stdin })) {
  const asked = JSON.parse(line)
  say({ re: asked.op, ...(await answer(asked)) })
}
process.exit(0)
