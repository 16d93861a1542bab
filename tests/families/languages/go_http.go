// net/http's server and client on loopback, in one process and between two ("serve" is the other one).
package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/rpc"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"
)

func handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		check(err)
		w.Header().Set("X-Method", r.Method)
		w.Write(bytes.ToUpper(body))
	})
	mux.HandleFunc("/stream", func(w http.ResponseWriter, r *http.Request) {
		for i := 0; i < 5; i++ {
			fmt.Fprintf(w, "chunk %d\n", i)
			w.(http.Flusher).Flush()
			time.Sleep(time.Millisecond)
		}
	})
	mux.HandleFunc("/slow", func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-time.After(time.Minute):
		}
	})
	mux.HandleFunc("/panic", func(w http.ResponseWriter, r *http.Request) {
		var p *http.Request
		defer func() {
			fmt.Fprint(w, "recovered: ", recover())
		}()
		fmt.Fprint(w, p.Method)
	})
	return mux
}

func get(client *http.Client, url string) string {
	r, err := client.Get(url)
	if err != nil {
		return "error"
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	return fmt.Sprint(r.StatusCode, " ", r.TransferEncoding, " ", len(body), " ", strings.TrimSpace(string(body)), " ", err)
}

func requests(client *http.Client, url string) {
	for _, size := range []int{0, 1, 5000, 3_000_000} {
		r, err := client.Post(url+"/echo", "text/plain", strings.NewReader(strings.Repeat("x", size)))
		check(err)
		body, err := io.ReadAll(r.Body)
		check(err)
		r.Body.Close()
		fmt.Println(r.Proto, r.Status, r.Header.Get("X-Method"), len(body), bytes.Count(body, []byte("X")))
	}
	fmt.Println(get(client, url+"/stream"))
	fmt.Println(get(client, url+"/panic"))
	fmt.Println(get(client, url+"/none"))
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	request, _ := http.NewRequestWithContext(ctx, "GET", url+"/slow", nil)
	_, err := client.Do(request)
	fmt.Println("slow", errors.Is(err, context.DeadlineExceeded))
	var wg sync.WaitGroup
	var mu sync.Mutex
	total := 0
	for i := 0; i < 20; i++ {
		wg.Add(1)
		go func(i int) {
			defer wg.Done()
			for j := 0; j < 10; j++ {
				r, err := client.Post(url+"/echo", "text/plain", strings.NewReader(strings.Repeat("y", i*j*10)))
				check(err)
				n, err := io.Copy(io.Discard, r.Body)
				check(err)
				r.Body.Close()
				mu.Lock()
				total += int(n)
				mu.Unlock()
			}
		}(i)
	}
	wg.Wait()
	fmt.Println("parallel", total)
}

type Arithmetic struct{}

func (Arithmetic) Multiply(args [2]int, reply *int) error {
	*reply = args[0] * args[1]
	return nil
}

func sockets() {
	check(rpc.Register(Arithmetic{}))
	listener, err := net.Listen("unix", fmt.Sprintf("/tmp/go-rpc-%d", os.Getpid()))
	check(err)
	go func() {
		connection, err := listener.Accept()
		check(err)
		rpc.ServeConn(connection)
	}()
	client, err := rpc.Dial("unix", listener.Addr().String())
	check(err)
	var reply int
	check(client.Call("Arithmetic.Multiply", [2]int{6, 7}, &reply))
	fmt.Println("rpc", reply, client.Close(), listener.Close())

	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	check(err)
	conn, err := net.Dial("udp", server.LocalAddr().String())
	check(err)
	conn.Write([]byte("datagram"))
	buffer := make([]byte, 100)
	n, from, err := server.ReadFrom(buffer)
	check(err)
	server.WriteTo(buffer[:n], from)
	server.Close()
	n, err = conn.Read(buffer)
	fmt.Println("udp", string(buffer[:n]), err)
	conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	conn.Write([]byte("x"))
	_, err = conn.Read(buffer)
	fmt.Println("udp", errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, os.ErrDeadlineExceeded))
	_, err = net.Dial("tcp", "127.0.0.1:1")
	fmt.Println(err)
}

func serve() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	server := http.Server{Handler: handler()}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	done := make(chan error)
	go func() {
		<-stop
		done <- server.Shutdown(context.Background())
	}()
	fmt.Println(listener.Addr())
	fmt.Fprintln(os.Stderr, "serve:", server.Serve(listener))
	fmt.Fprintln(os.Stderr, "shutdown:", <-done)
}

func web() {
	server := httptest.NewServer(handler())
	requests(server.Client(), server.URL)
	server.Close()

	secure := httptest.NewUnstartedServer(handler())
	secure.EnableHTTP2 = true
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	requests(secure.Client(), secure.URL)
	connection, err := tls.Dial("tcp", secure.Listener.Addr().String(), &tls.Config{InsecureSkipVerify: true})
	check(err)
	state := connection.ConnectionState()
	fmt.Printf("%x %v\n", state.Version, state.HandshakeComplete)
	connection.Close()
	secure.Close()

	child := exec.Command(os.Args[0], "serve")
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	check(err)
	check(child.Start())
	var address string
	fmt.Fscan(out, &address)
	requests(&http.Client{Transport: &http.Transport{}}, "http://"+address)
	check(child.Process.Signal(syscall.SIGTERM))
	fmt.Println("child", child.Wait())
	sockets()
}
