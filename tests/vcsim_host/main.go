// Command vcsim_host is the vCenter or the ESXi host that the tests of the vmware plugin talk to:
// govmomi's simulator with an inventory of any size and rules by which it misbehaves. Started by
// tests/lab/vcsim.py; rules.go has the rules.
package main

import (
	"crypto/tls"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"net/url"
	"os"
	"os/signal"
	"syscall"
	"time"

	_ "github.com/vmware/govmomi/lookup/simulator"
	_ "github.com/vmware/govmomi/pbm/simulator"
	_ "github.com/vmware/govmomi/ssoadmin/simulator"
	_ "github.com/vmware/govmomi/sts/simulator"
	_ "github.com/vmware/govmomi/vapi/cis/tasks/simulator"
	_ "github.com/vmware/govmomi/vapi/simulator"
	_ "github.com/vmware/govmomi/vapi/vm/simulator"
	_ "github.com/vmware/govmomi/vslm/simulator"
)

type options struct {
	inventory   inventory
	listen      string
	users       users
	timeout     time.Duration
	delay       time.Duration
	certificate string
	key         string
}

func main() {
	log.SetFlags(log.Lmicroseconds)
	var given options
	given.inventory.flags()
	flag.StringVar(&given.listen, "listen", "127.0.0.1:0", "address and port")
	flag.Var(&given.users, "user", "NAME:PASSWORD that may log in, repeatable; none: anybody may")
	flag.DurationVar(&given.timeout, "session-timeout", 30*time.Minute, "idle sessions end")
	flag.DurationVar(&given.delay, "delay", 0, "delay of every call")
	flag.StringVar(&given.certificate, "certificate", "", "PEM file; none: plain HTTP")
	flag.StringVar(&given.key, "key", "", "PEM file of the certificate's key")
	flag.Parse()
	// The folder with the files of the datastores is removed at the end, so the end must be ours.
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGTERM, syscall.SIGINT)
	go endWithParent(os.Getppid(), ended)
	if err := serve(given, ended); err != nil {
		log.Fatal(err)
	}
}

func serve(given options, ended chan os.Signal) error {
	model, err := given.inventory.create()
	if model != nil {
		defer model.Remove()
	}
	if err != nil {
		return err
	}
	service := model.Service
	service.RegisterEndpoints = true
	service.Listen = &url.URL{Host: given.listen}
	given.users.admit(service)
	expireSessions(service, given.timeout)
	knowPrivileges(service)
	knowEvcModes(service)
	if given.certificate != "" {
		pair, err := tls.LoadX509KeyPair(given.certificate, given.key)
		if err != nil {
			return err
		}
		service.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	}
	server := service.NewServer()
	host := newHost(service, server.Config.Handler, given.delay)
	server.Config.Handler = host
	control, err := host.control()
	if err != nil {
		return err
	}
	ready := map[string]any{
		"url":     fmt.Sprintf("%s://%s/sdk", server.URL.Scheme, server.URL.Host),
		"control": control,
		"pid":     os.Getpid(),
	}
	if err := json.NewEncoder(os.Stdout).Encode(ready); err != nil {
		return err
	}
	<-ended
	return nil
}

// endWithParent asks for the end when the parent has died: a test run that was killed leaves nothing.
func endWithParent(parent int, ended chan<- os.Signal) {
	for os.Getppid() == parent {
		time.Sleep(500 * time.Millisecond)
	}
	ended <- syscall.SIGTERM
}
