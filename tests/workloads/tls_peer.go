// Both ends of calls of admission webhooks, as Go programs make and answer them.
//
//	tls_peer serve CERT KEY                     prints its port; answers by path: /deny.., /slow.., /hang..,
//	                                            else allowed
//	tls_peer call|call2|tunnel PORT CERT KEY          for each line "METHOD PATH" a call; prints its status; after
//	                                            "RECONNECT" it is made on a new connection
//
// `call2` speaks HTTP/2; `tunnel` does what K3s does: TLS inside a tunnel that it asks itself for, over TLS.
package main

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

const planted = "planted-where-nobody-may-find-it"

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func serve(certificate, key string) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	answer := func(w http.ResponseWriter, r *http.Request) {
		var review struct{ Request struct{ Uid string } }
		json.NewDecoder(r.Body).Decode(&review)
		if strings.HasPrefix(r.URL.Path, "/slow") {
			time.Sleep(300 * time.Millisecond)
		}
		if strings.HasPrefix(r.URL.Path, "/hang") {
			time.Sleep(3 * time.Second)
		}
		response := map[string]any{"uid": review.Request.Uid, "allowed": true, "patch": planted}
		if strings.HasPrefix(r.URL.Path, "/deny") {
			status := map[string]any{"code": 403, "message": "no \"latest\" here"}
			response = map[string]any{"uid": review.Request.Uid, "allowed": false, "status": status}
		}
		w.Header().Set("X-Planted", planted)
		json.NewEncoder(w).Encode(map[string]any{"kind": "AdmissionReview", "response": response})
	}
	check(http.ServeTLS(listener, http.HandlerFunc(answer), certificate, key))
}

// The end of tunnels, in the same process: what comes in is passed on to where it was asked for.
func tunnels(config *tls.Config) string {
	listener, err := tls.Listen("tcp", "127.0.0.1:0", config)
	check(err)
	go func() {
		for {
			conn, err := listener.Accept()
			check(err)
			go func() {
				reader := bufio.NewReader(conn)
				request, err := http.ReadRequest(reader)
				check(err)
				target, err := net.Dial("tcp", request.Host)
				check(err)
				fmt.Fprintf(conn, "HTTP/1.1 200 Connection established\r\n\r\n")
				go io.Copy(target, reader)
				io.Copy(conn, target)
			}()
		}
	}()
	return listener.Addr().String()
}

func through(tunnel string, config *tls.Config) func(string, string) (net.Conn, error) {
	return func(network, address string) (net.Conn, error) {
		conn, err := tls.Dial("tcp", tunnel, config)
		check(err)
		fmt.Fprintf(conn, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n", address, address)
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		check(err)
		if response.StatusCode != 200 {
			panic(response.Status)
		}
		return conn, nil
	}
}

func call(how, port, certificate, key string) {
	text, err := os.ReadFile(certificate)
	check(err)
	pair, err := tls.LoadX509KeyPair(certificate, key)
	check(err)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(text)
	config := &tls.Config{RootCAs: pool, ServerName: "localhost"}
	// HTTP/1.1, as kube-apiserver speaks it to webhooks.
	none := map[string]func(string, *tls.Conn) http.RoundTripper{}
	transport := &http.Transport{TLSClientConfig: config, TLSNextProto: none}
	if how == "call2" {
		transport = &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true}
	}
	if how == "tunnel" {
		transport.Dial = through(tunnels(&tls.Config{Certificates: []tls.Certificate{pair}}), config)
	}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		method, path, _ := strings.Cut(lines.Text(), " ")
		if method == "RECONNECT" {
			transport.CloseIdleConnections()
			fmt.Println(200)
			continue
		}
		agent := "kube-apiserver-admission"
		body := `{"kind":"AdmissionReview","request":{"uid":"u-1","object":{"kind":"Secret","data":{"a":"` + planted + `"}}}}`
		switch method {
		case "ORDINARY":
			method, agent, body = "POST", "kubectl", `{"kind":"Secret","data":{"kind":"AdmissionReview"}}`
		case "PUT":
			agent, body = "leader-election", `{"kind":"Lease"}`
		}
		request, err := http.NewRequest(method, "https://127.0.0.1:"+port+path, strings.NewReader(body))
		check(err)
		request.Header.Set("User-Agent", agent)
		request.Header.Set("Authorization", "Bearer "+planted)
		response, err := (&http.Client{Transport: transport}).Do(request)
		check(err)
		io.Copy(io.Discard, response.Body)
		response.Body.Close()
		fmt.Println(response.StatusCode)
	}
}

func main() {
	if os.Args[1] == "serve" {
		serve(os.Args[2], os.Args[3])
	} else {
		call(os.Args[1], os.Args[2], os.Args[3], os.Args[4])
	}
}
