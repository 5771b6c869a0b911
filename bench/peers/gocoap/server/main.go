// SPDX-License-Identifier: Apache-2.0

// The least server on go-coap: /bench, which PUT replaces and GET reads and observes. Arguments: the
// loopback port, and "con" when notifications are to be confirmable.
package main

import (
	"bytes"
	"log"
	"os"
	"os/signal"
	"runtime/debug"
	"sync"
	"syscall"

	coap "github.com/plgd-dev/go-coap/v3"
	"github.com/plgd-dev/go-coap/v3/message"
	"github.com/plgd-dev/go-coap/v3/message/codes"
	"github.com/plgd-dev/go-coap/v3/mux"
)

// An observer gets the newest state; what it could not be told in time it need not be told.
type observer struct {
	conn     mux.Conn
	token    message.Token
	sequence uint32
	changed  chan struct{}
}

var (
	guard     sync.RWMutex
	stored    = []byte{}
	observers = map[string]*observer{} // by address and token
	kind      = message.NonConfirmable
)

func current() []byte {
	guard.RLock()
	defer guard.RUnlock()
	return stored
}

func (o *observer) notify() error {
	m := o.conn.AcquireMessage(o.conn.Context())
	defer o.conn.ReleaseMessage(m)
	o.sequence++
	m.SetType(kind)
	m.SetCode(codes.Content)
	m.SetToken(o.token)
	m.SetObserve(o.sequence)
	m.SetContentFormat(message.AppOctets)
	m.SetBody(bytes.NewReader(current()))
	return o.conn.WriteMessage(m)
}

// A confirmable notification blocks until it is acknowledged, so that each observer has its own loop.
func (o *observer) run(key string) {
	for {
		select {
		case <-o.changed:
			if o.notify() != nil {
				forget(key)
				return
			}
		case <-o.conn.Done():
			forget(key)
			return
		}
	}
}

func forget(key string) {
	guard.Lock()
	defer guard.Unlock()
	delete(observers, key)
}

func register(conn mux.Conn, token message.Token) {
	key := conn.RemoteAddr().String() + string(token)
	guard.Lock()
	defer guard.Unlock()
	if observers[key] != nil {
		return
	}
	o := &observer{conn: conn, token: append(message.Token{}, token...), sequence: 1,
		changed: make(chan struct{}, 1)}
	observers[key] = o
	go o.run(key)
}

func replace(body []byte) {
	guard.Lock()
	defer guard.Unlock()
	stored = body
	for _, o := range observers {
		select {
		case o.changed <- struct{}{}:
		default: // it will be told this state, too
		}
	}
}

func onBench(w mux.ResponseWriter, r *mux.Message) {
	var err error
	if r.Code() == codes.PUT {
		var body []byte
		if body, err = r.ReadBody(); err == nil {
			replace(body)
			err = w.SetResponse(codes.Changed, message.TextPlain, nil)
		}
	} else if observe, e := r.Options().Observe(); e == nil && observe == 0 {
		var value [4]byte
		n, _ := message.EncodeUint32(value[:], 1)
		register(w.Conn(), r.Token())
		err = w.SetResponse(codes.Content, message.AppOctets, bytes.NewReader(current()),
			message.Option{ID: message.Observe, Value: value[:n]})
	} else {
		err = w.SetResponse(codes.Content, message.AppOctets, bytes.NewReader(current()))
	}
	if err != nil {
		log.Print(err)
	}
}

// Gives memory back before it is read.
func collectOnSignal() {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGUSR2)
	for range signals {
		debug.FreeOSMemory()
	}
}

func main() {
	if len(os.Args) > 2 && os.Args[2] == "con" {
		kind = message.Confirmable
	}
	go collectOnSignal()
	r := mux.NewRouter()
	if err := r.Handle("/bench", mux.HandlerFunc(onBench)); err != nil {
		log.Fatal(err)
	}
	log.Fatal(coap.ListenAndServe("udp", "127.0.0.1:"+os.Args[1], r))
}
