// SPDX-License-Identifier: Apache-2.0
// A server on node-coap: the scene of servers.py on the loopback port given.
'use strict'

const coap = require('coap')

const LINES = Array.from({ length: 500 }, (_, i) => String(i).padStart(7, '0') + '\n')
const LARGE = Buffer.from(LINES.join(''))
let stored = null

function answer (response, code, payload) {
  response.code = code
  if (payload !== undefined) response.setOption('Content-Format', 'text/plain')
  response.end(payload)
}

function onStored (request, response) {
  if (request.method === 'GET') {
    return stored === null ? answer(response, '4.04') : answer(response, '2.05', stored)
  }
  if (request.method === 'PUT') {
    const code = stored === null ? '2.01' : '2.04'
    stored = request.payload
    return answer(response, code)
  }
  if (request.method === 'POST') return answer(response, '2.04', request.payload)
  stored = null
  return answer(response, '2.02')
}

function onRequest (request, response) {
  const path = request.url.split('?')[0]
  if (path === '/text') {
    response.setOption('ETag', 'tag1')
    return answer(response, '2.05', Buffer.from('hello'))
  }
  if (path === '/slow') {
    return setTimeout(() => answer(response, '2.05', Buffer.from('finally')), 800)
  }
  if (path === '/large') return answer(response, '2.05', LARGE)
  if (path === '/stored') return onStored(request, response)
  if (path === '/.well-known/core') {
    response.setOption('Content-Format', 'application/link-format')
    return response.end('</text>;rt="greeting",</slow>,</large>,</stored>')
  }
  return answer(response, '4.04')
}

coap.createServer({ type: 'udp4' }, onRequest).listen(Number(process.argv[2]), '127.0.0.1')
