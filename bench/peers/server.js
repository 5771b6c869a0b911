// SPDX-License-Identifier: Apache-2.0
// The least server on node-coap: /bench, which PUT replaces and GET reads and observes, on the loopback
// port given. Notifications are confirmable when the registration is: the library has no switch.
'use strict'

const coap = require('coap')

const observers = new Set()
let body = Buffer.alloc(0)

function onObserve (request, response) {
  observers.add(response)
  response.on('finish', () => observers.delete(response))
  response.write(body)
}

function onPut (request, response) {
  body = request.payload
  response.code = '2.04'
  response.end()
  for (const observer of observers) observer.write(body)
}

function onRequest (request, response) {
  if (request.url !== '/bench') {
    response.code = '4.04'
    return response.end()
  }
  if (request.method === 'PUT') return onPut(request, response)
  if (request.headers.Observe === 0) return onObserve(request, response)
  response.end(body)
}

process.on('SIGUSR2', () => global.gc()) // before memory is read
coap.createServer({ type: 'udp4' }, onRequest).listen(Number(process.argv[2]), '127.0.0.1')
