// Asks a TLS server again and again, as services do that call each other, and trusts one authority.
// Usage: tls_dial ROUNDS PAUSE_MS ADDRESS AUTHORITY.pem [CERTIFICATE.pem KEY.pem]
package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"strconv"
	"time"
)

func dial(address string, config *tls.Config) error {
	connection, err := tls.Dial("tcp", address, config)
	if err != nil {
		return err
	}
	defer connection.Close()
	if _, err := connection.Write([]byte("GET / HTTP/1.0\r\n\r\n")); err != nil {
		return err
	}
	_, err = connection.Read(make([]byte, 16))
	return err
}

func main() {
	rounds, _ := strconv.Atoi(os.Args[1])
	pause, _ := strconv.Atoi(os.Args[2])
	authority, err := os.ReadFile(os.Args[4])
	if err != nil {
		panic(err)
	}
	config := &tls.Config{RootCAs: x509.NewCertPool(), ServerName: "webhook.test"}
	config.RootCAs.AppendCertsFromPEM(authority)
	if len(os.Args) > 6 {
		own, err := tls.LoadX509KeyPair(os.Args[5], os.Args[6])
		if err != nil {
			panic(err)
		}
		config.Certificates = []tls.Certificate{own}
	}
	for round := 0; round < rounds; round++ {
		fmt.Println(dial(os.Args[3], config))
		time.Sleep(time.Duration(pause) * time.Millisecond)
	}
	time.Sleep(1000 * time.Second)
}
