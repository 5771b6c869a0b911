// SPDX-License-Identifier: Apache-2.0
// A client on node-coap: JSON requests on standard input, JSON responses on standard output.
'use strict'

const coap = require('coap')
const readline = require('readline')

const base = new URL(process.argv[2].replace(/^coap:/, 'http:'))

const FORMATS = { 'text/plain': 0, 'application/link-format': 40, 'application/json': 50 }

// Entity-tags are bytes; the library would make text of them.
coap.registerOption('ETag', bytes => bytes, bytes => bytes)

function valuesOf (response, name) {
  return response._packet.options.filter(o => o.name === name).map(o => o.value)
}

function shown (response, body) {
  const format = valuesOf(response, 'Content-Format')[0]
  const etag = valuesOf(response, 'ETag')[0]
  return {
    code: response.code,
    payload: body.toString('hex'),
    format: format === undefined ? null : FORMATS[format],
    etag: etag === undefined ? '' : etag.toString('hex'),
    location: valuesOf(response, 'Location-Path').map(part => '/' + part).join('')
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
    agent
  })
  if (given.format !== undefined) request.setOption('Content-Format', uint(given.format))
  if (given.accept !== undefined) request.setOption('Accept', uint(given.accept))
  if (given.etag) request.setOption('ETag', [Buffer.from(given.etag, 'hex')])
  if ((given.payload || '').length > 1024) request.setOption('Block1', Buffer.of(6)) // 1024 bytes
  request.on('response', response => {
    const parts = []
    response.on('data', part => parts.push(part))
    response.on('end', () => console.log(JSON.stringify(shown(response, Buffer.concat(parts)))))
  })
  request.on('error', why => console.log(JSON.stringify({ error: String(why) })))
  request.end(given.payload === undefined ? undefined : Buffer.from(given.payload))
}

function uint (value) {
  return Buffer.from(value === 0 ? [] : value < 256 ? [value] : [value >> 8, value & 255])
}

const agent = new coap.Agent({ type: 'udp4' })
const lines = readline.createInterface({ input: process.stdin })
lines.on('line', ask).on('close', () => process.exit(0))
