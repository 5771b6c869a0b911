// SPDX-License-Identifier: Apache-2.0

// A client on pion's DTLS with a connection ID. Arguments: address, then "psk IDENTITY KEY" or
// "x509 KEY-FILE CHAIN-FILE CA-FILE SERVER-NAME", then the number of a cipher suite. It puts the
// suite's number to /x, reads it back when it is given a line, and prints code and payload of each
// answer on a line.
package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/pion/dtls/v3"
)

const (
	get     = 1
	put     = 3
	timeout = 60 * time.Second
	idBytes = 5
)

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// The configuration of a mode, and how many arguments it takes.
func configure(a []string) (*dtls.Config, int) {
	if a[0] == "psk" {
		return &dtls.Config{
			PSK:             func([]byte) ([]byte, error) { return []byte(a[2]), nil },
			PSKIdentityHint: []byte(a[1]),
		}, 3
	}
	own, err := tls.LoadX509KeyPair(a[2], a[1])
	must(err)
	trusted, err := os.ReadFile(a[3])
	must(err)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(trusted)
	return &dtls.Config{
		Certificates: []tls.Certificate{own},
		RootCAs:      roots,
		ServerName:   a[4],
	}, 5
}

// A confirmable request for /x. RFC 7252 section 3.
func request(code byte, id uint16, payload string) []byte {
	m := []byte{0x41, code, byte(id >> 8), byte(id), byte(id), 0xb1, 'x'}
	if payload != "" {
		m = append(append(m, 0xff), payload...)
	}
	return m
}

// A nibble of an option's head with the bytes that extend it. RFC 7252 section 3.1.
func number(nibble byte, rest []byte) (int, []byte) {
	switch {
	case nibble < 13:
		return int(nibble), rest
	case nibble == 13 && len(rest) >= 1:
		return 13 + int(rest[0]), rest[1:]
	case nibble == 14 && len(rest) >= 2:
		return 269 + int(rest[0])<<8 + int(rest[1]), rest[2:]
	}
	log.Fatalf("not an option: %d %x", nibble, rest)
	return 0, nil
}

// What stands behind the options, whose values may hold any byte. RFC 7252 section 3.1.
func payloadOf(rest []byte) string {
	for len(rest) > 0 {
		head := rest[0]
		rest = rest[1:]
		if head == 0xff {
			return string(rest)
		}
		length := 0
		_, rest = number(head>>4, rest)
		length, rest = number(head&15, rest)
		if length > len(rest) {
			log.Fatalf("cut option: %x", rest)
		}
		rest = rest[length:]
	}
	return ""
}

// The code and payload of a piggybacked response.
func read(answer []byte, id uint16) (string, string) {
	if len(answer) < 5 || answer[0] != 0x61 || answer[4] != byte(id) {
		log.Fatalf("not the answer: %x", answer)
	}
	return fmt.Sprintf("%d.%02d", answer[1]>>5, answer[1]&31), payloadOf(answer[5:])
}

func main() {
	remote, err := net.ResolveUDPAddr("udp", os.Args[1])
	must(err)
	config, used := configure(os.Args[2:])
	suite, err := strconv.ParseUint(os.Args[2+used], 0, 16)
	must(err)
	config.CipherSuites = []dtls.CipherSuiteID{dtls.CipherSuiteID(suite)}
	config.ExtendedMasterSecret = dtls.RequireExtendedMasterSecret
	config.ConnectionIDGenerator = dtls.RandomCIDGenerator(idBytes)
	limit, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	conn, err := dtls.Dial("udp", remote, config)
	must(err)
	err = conn.HandshakeContext(limit)
	must(err)
	defer conn.Close()
	must(conn.SetDeadline(time.Now().Add(timeout)))
	for id, code := range []byte{put, get} {
		body := ""
		if code == put {
			body = os.Args[2+used]
		} else {
			_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
		}
		_, err = conn.Write(request(code, uint16(id), body))
		must(err)
		buffer := make([]byte, 2048)
		n, err := conn.Read(buffer)
		must(err)
		status, payload := read(buffer[:n], uint16(id))
		fmt.Printf("%s %s\n", status, payload)
	}
}
