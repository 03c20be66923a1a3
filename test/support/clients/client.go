// One POST with net/http, as people write it, and what came of it.
//
//	go run client.go URL
//
// Prints JSON: the status and the text of the last answer. Every name under localhost means this
// machine, as RFC 6761 asks for and not every system does.
package main

import (
	"context"
	"encoding/json"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
)

func main() {
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		host, port, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		if strings.HasSuffix(host, ".localhost") {
			host = "127.0.0.1"
		}
		var dialer net.Dialer
		return dialer.DialContext(ctx, network, net.JoinHostPort(host, port))
	}
	client := http.Client{Transport: &http.Transport{DialContext: dial}}
	response, err := client.Post(os.Args[1], "text/plain", strings.NewReader("question"))
	if err != nil {
		log.Fatal(err)
	}
	text, err := io.ReadAll(response.Body)
	if err != nil {
		log.Fatal(err)
	}
	json.NewEncoder(os.Stdout).Encode(map[string]any{"status": response.StatusCode, "text": string(text)})
}
