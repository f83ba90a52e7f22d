// Recovers from thousands of nil pointers, which Go finds out by a signal that it takes.
package main

import "os"

type member struct{ value int }

var nothing *member

func recovers() (recovered int) {
	defer func() {
		if recover() != nil {
			recovered = 1
		}
	}()
	return nothing.value
}

func main() {
	recovered := 0
	for n := 0; n < 5000; n++ {
		recovered += recovers()
	}
	if recovered != 5000 {
		os.Exit(99)
	}
	os.Stdout.WriteString("recovered\n")
}
