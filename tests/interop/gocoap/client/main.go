// SPDX-License-Identifier: Apache-2.0

// A client on go-coap: JSON requests on standard input, JSON responses on standard output.
package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/plgd-dev/go-coap/v3/message"
	"github.com/plgd-dev/go-coap/v3/message/codes"
	"github.com/plgd-dev/go-coap/v3/message/pool"
	"github.com/plgd-dev/go-coap/v3/udp"
	"github.com/plgd-dev/go-coap/v3/udp/client"
)

type request struct {
	Method, Path, Query, Etag string
	Payload                   *string
	Format, Accept            *uint32
	Non                       bool
}

type response struct {
	Code     string `json:"code"`
	Payload  string `json:"payload"`
	Format   *int   `json:"format"`
	Etag     string `json:"etag"`
	Location string `json:"location"`
}

var methods = map[string]codes.Code{
	"GET": codes.GET, "POST": codes.POST, "PUT": codes.PUT, "DELETE": codes.DELETE,
}

func build(conn *client.Conn, ctx context.Context, ask request) (*pool.Message, error) {
	m := conn.AcquireMessage(ctx)
	token, err := message.GetToken()
	if err != nil {
		return nil, err
	}
	m.SetCode(methods[ask.Method])
	m.SetToken(token)
	if err = m.SetPath(ask.Path); err != nil {
		return nil, err
	}
	for _, q := range strings.Split(ask.Query, "&") {
		if q != "" {
			m.AddQuery(q)
		}
	}
	if ask.Format != nil {
		m.SetContentFormat(message.MediaType(*ask.Format))
	}
	if ask.Accept != nil {
		m.SetAccept(message.MediaType(*ask.Accept))
	}
	if ask.Etag != "" {
		tag, err := hex.DecodeString(ask.Etag)
		if err != nil {
			return nil, err
		}
		if err = m.AddETag(tag); err != nil {
			return nil, err
		}
	}
	if ask.Payload != nil {
		m.SetBody(bytes.NewReader([]byte(*ask.Payload)))
	}
	m.SetType(message.Confirmable)
	if ask.Non {
		m.SetType(message.NonConfirmable)
	}
	return m, nil
}

func show(m *pool.Message) (response, error) {
	body, err := m.ReadBody()
	if err != nil {
		return response{}, err
	}
	out := response{Payload: hex.EncodeToString(body)}
	out.Code = fmt.Sprintf("%d.%02d", m.Code()>>5, m.Code()&31)
	if format, err := m.ContentFormat(); err == nil {
		value := int(format)
		out.Format = &value
	}
	if tag, err := m.ETag(); err == nil {
		out.Etag = hex.EncodeToString(tag)
	}
	for _, o := range m.Options() {
		if o.ID == message.LocationPath {
			out.Location += "/" + string(o.Value)
		}
	}
	return out, nil
}

func exchange(conn *client.Conn, line []byte) (response, error) {
	var ask request
	if err := json.Unmarshal(line, &ask); err != nil {
		return response{}, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	m, err := build(conn, ctx, ask)
	if err != nil {
		return response{}, err
	}
	got, err := conn.Do(m)
	if err != nil {
		return response{}, err
	}
	return show(got)
}

func main() {
	base, err := url.Parse(os.Args[1])
	if err != nil {
		panic(err)
	}
	conn, err := udp.Dial(base.Host)
	if err != nil {
		panic(err)
	}
	lines := bufio.NewScanner(os.Stdin)
	out := json.NewEncoder(os.Stdout)
	for lines.Scan() {
		got, err := exchange(conn, lines.Bytes())
		if err != nil {
			_ = out.Encode(map[string]string{"error": err.Error()})
			continue
		}
		_ = out.Encode(got)
	}
}
