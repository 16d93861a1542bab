// Pure Go, statically linked: one program with a subcommand per file.
package main

import "os"

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func main() {
	switch os.Args[1] {
	case "panics":
		panics("")
	case "die":
		panics(os.Args[2])
	case "goroutines":
		goroutines()
	case "library":
		library()
	case "http":
		web()
	case "serve":
		serve()
	}
}
