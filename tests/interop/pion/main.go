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
	timeout = 20 * time.Second
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

// The code and payload of a piggybacked response.
func read(answer []byte, id uint16) (string, string) {
	if len(answer) < 5 || answer[0] != 0x61 || answer[4] != byte(id) {
		log.Fatalf("not the answer: %x", answer)
	}
	payload := ""
	for i, c := range answer[5:] {
		if c == 0xff {
			payload = string(answer[5+i+1:])
			break
		}
	}
	return fmt.Sprintf("%d.%02d", answer[1]>>5, answer[1]&31), payload
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
