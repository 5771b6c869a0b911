// SPDX-License-Identifier: Apache-2.0
// A client on node-coap: JSON requests on standard input, JSON responses on standard output.
'use strict'

const coap = require('coap')
const readline = require('readline')

const base = new URL(process.argv[2].replace(/^coap:/, 'http:'))

function valueOf (response, name) {
  const option = response.options.find(o => o.name === name)
  return option === undefined ? null : option.value
}

function formatOf (response) {
  const packet = response._packet.options.find(o => o.name === 'Content-Format')
  const value = packet === undefined ? null : packet.value
  return Buffer.isBuffer(value) ? (value.length ? value.readUIntBE(0, value.length) : 0) : value
}

const FORMATS = { 'text/plain': 0, 'application/link-format': 40, 'application/json': 50 }

function shown (response, body) {
  const etag = valueOf(response, 'ETag')
  const format = formatOf(response)
  const location = response.options.filter(o => o.name === 'Location-Path')
    .map(o => Array.isArray(o.value) ? o.value : [o.value]).flat().map(String)
  return {
    code: response.code,
    payload: body.toString('hex'),
    format: format in FORMATS ? FORMATS[format] : format,
    etag: etag === null ? '' : Buffer.from(etag).toString('hex'),
    location: location.map(part => '/' + part.replace(/^\//, '')).join('')
  }
}

function ask (line) {
  const given = JSON.parse(line)
  const request = coap.request({
    hostname: base.hostname,
    port: Number(base.port),
    pathname: given.path,
    query: given.query || '',
    method: given.method,
    confirmable: !given.non,
    agent: agent
  })
  if (given.format !== undefined) request.setOption('Content-Format', Buffer.from(uint(given.format)))
  if (given.accept !== undefined) request.setOption('Accept', Buffer.from(uint(given.accept)))
  if (given.etag) request.setOption('ETag', [Buffer.from(given.etag, 'hex')])
  request.on('response', response => {
    const parts = []
    response.on('data', part => parts.push(part))
    response.on('end', () => console.log(JSON.stringify(shown(response, Buffer.concat(parts)))))
  })
  request.on('error', why => console.log(JSON.stringify({ error: String(why) })))
  request.end(given.payload === undefined ? undefined : Buffer.from(given.payload))
}

function uint (value) {
  return value === 0 ? [] : value < 256 ? [value] : [value >> 8, value & 255]
}

const agent = new coap.Agent({ type: 'udp4' })
readline.createInterface({ input: process.stdin }).on('line', ask).on('close', () => process.exit(0))
