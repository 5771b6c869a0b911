// SPDX-License-Identifier: Apache-2.0

// A server on go-coap: the scene of servers.py on the loopback port given.
package main

import (
	"bytes"
	"fmt"
	"log"
	"os"
	"sync"
	"time"

	coap "github.com/plgd-dev/go-coap/v3"
	"github.com/plgd-dev/go-coap/v3/message"
	"github.com/plgd-dev/go-coap/v3/message/codes"
	"github.com/plgd-dev/go-coap/v3/mux"
)

var (
	guard  sync.Mutex
	stored []byte
)

func large() []byte {
	var out bytes.Buffer
	for i := 0; i < 500; i++ {
		fmt.Fprintf(&out, "%07d\n", i)
	}
	return out.Bytes()
}

func answer(w mux.ResponseWriter, code codes.Code, format message.MediaType, body []byte,
	opts ...message.Option) {
	var err error
	if body == nil {
		err = w.SetResponse(code, format, nil, opts...)
	} else {
		err = w.SetResponse(code, format, bytes.NewReader(body), opts...)
	}
	if err != nil {
		log.Print(err)
	}
}

func onStored(w mux.ResponseWriter, r *mux.Message) {
	guard.Lock()
	defer guard.Unlock()
	body, err := r.ReadBody()
	if err != nil {
		answer(w, codes.BadRequest, message.TextPlain, nil)
		return
	}
	switch r.Code() {
	case codes.GET:
		if stored == nil {
			answer(w, codes.NotFound, message.TextPlain, nil)
			return
		}
		answer(w, codes.Content, message.TextPlain, stored)
	case codes.PUT:
		code := codes.Changed
		if stored == nil {
			code = codes.Created
		}
		stored = body
		answer(w, code, message.TextPlain, nil)
	case codes.POST:
		answer(w, codes.Changed, message.TextPlain, body)
	case codes.DELETE:
		stored = nil
		answer(w, codes.Deleted, message.TextPlain, nil)
	}
}

func main() {
	r := mux.NewRouter()
	content := func(path string, format message.MediaType, body []byte, delay time.Duration,
		opts ...message.Option) {
		err := r.Handle(path, mux.HandlerFunc(func(w mux.ResponseWriter, _ *mux.Message) {
			time.Sleep(delay)
			answer(w, codes.Content, format, body, opts...)
		}))
		if err != nil {
			log.Fatal(err)
		}
	}
	tag := message.Option{ID: message.ETag, Value: []byte("tag1")}
	links := []byte(`</text>;rt="greeting",</slow>,</large>,</stored>`)
	content("/text", message.TextPlain, []byte("hello"), 0, tag)
	content("/slow", message.TextPlain, []byte("finally"), 800*time.Millisecond)
	content("/large", message.TextPlain, large(), 0, tag)
	content("/.well-known/core", message.AppLinkFormat, links, 0)
	if err := r.Handle("/stored", mux.HandlerFunc(onStored)); err != nil {
		log.Fatal(err)
	}
	log.Fatal(coap.ListenAndServe("udp", "127.0.0.1:"+os.Args[1], r))
}
