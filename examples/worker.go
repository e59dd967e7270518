// A producer and a worker with go-redis, as Debian has it: apt install golang-go golang-gopkg-redis.v5-dev
//
//	GO111MODULE=off GOPATH=/usr/share/gocode go build -o worker examples/worker.go
//	./worker 127.0.0.1:7711 work        # until SIGTERM or Ctrl-C; `work 10`: ten jobs; `produce 'a body'`: adds one
//
// Both go on after a restart of the node. To try the rest: a job `sleep 90` takes 90 s, a job `fail` always fails.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"gopkg.in/redis.v5"
)

// GETJOB waits 2 s for a job and ADDJOB 3 s for its copies: both must be shorter than ReadTimeout.
var client, stopping = redis.NewClient(&redis.Options{Addr: os.Args[1], ReadTimeout: 5 * time.Second}), make(chan os.Signal, 1)

// call sends a command until it is answered: a node that stops is back soon. So an ADDJOB may be done twice.
func call(words ...interface{}) interface{} {
	for len(stopping) == 0 || words[0] != "GETJOB" { // A worker that stops asks for no more jobs.
		command := redis.NewCmd(words...)
		err := client.Process(command)
		if err == nil || err == redis.Nil || strings.HasPrefix(err.Error(), "NOJOB") {
			return command.Val()
		}
		fmt.Fprintln(os.Stderr, "connection:", err)
		time.Sleep(100 * time.Millisecond)
	}
	return nil
}

// handle is your work. An error gives the job back; after a crash it is delivered again when its RETRY has passed.
func handle(body string) error {
	if strings.HasPrefix(body, "fail") {
		return fmt.Errorf("cannot %s", body)
	}
	pause, _ := time.ParseDuration(strings.Fields(body + " 0 0")[1] + "s")
	time.Sleep(pause)
	_, err := fmt.Println("worked on", body)
	return err
}

func work(job interface{}, body string) interface{} {
	done := make(chan error)
	go func() { done <- handle(body) }()
	for {
		select {
		case err := <-done:
			if err == nil {
				return call("ACKJOB", job)
			}
			return call("NACK", job, "REASON", err.Error())
		case <-time.After(300 * time.Millisecond): // The shortest RETRY is 1 s.
			call("WORKING", job)
		}
	}
}

func main() {
	left := 1 << 62
	for _, word := range os.Args[3:] {
		if fmt.Sscan(word, &left); os.Args[2] == "produce" { // At most three deliveries, then go-jobs.dead.
			fmt.Println("added", call("ADDJOB", "go-jobs", word, 3000, "RETRY", 60, "MAXDELIVER", 3, "BACKOFF", 1, 60), word)
		}
	}
	signal.Notify(stopping, syscall.SIGTERM, syscall.SIGINT) // The job in hand is finished.
	for os.Args[2] == "work" && left > 0 && len(stopping) == 0 {
		jobs, _ := call("GETJOB", "TIMEOUT", 2000, "FROM", "go-jobs").([]interface{})
		for _, job := range jobs {
			left--
			work(job.([]interface{})[1], job.([]interface{})[2].(string))
		}
	}
}
