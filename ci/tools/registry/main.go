// Command registry serves an OCI registry for tests and for the lab.
//
// It listens on loopback unless told otherwise. The referrers API can be
// switched off, so that clients meet both kinds of registry. With --dir blobs
// are kept on disk (an image layer need not fit in memory); manifests and tags
// always live in memory and go with the process.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
)

const shutdownGrace = 5 * time.Second

type settings struct {
	addr      string
	dir       string
	addrFile  string
	referrers bool
	quiet     bool
}

func main() {
	var s settings
	flag.StringVar(&s.addr, "addr", "127.0.0.1:5000", "`host:port` to listen on; port 0 takes a free one")
	flag.StringVar(&s.dir, "dir", "", "`folder` for blobs; memory when empty")
	flag.StringVar(&s.addrFile, "addr-file", "", "`file` that receives the address once the registry listens")
	flag.BoolVar(&s.referrers, "referrers", true, "answer the referrers API; when false it is 404, as registries before OCI 1.1 do")
	flag.BoolVar(&s.quiet, "quiet", false, "do not log requests")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "registry: unexpected argument %q\n", flag.Arg(0))
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := serve(ctx, s); err != nil {
		fmt.Fprintf(os.Stderr, "registry: %v\n", err)
		os.Exit(1)
	}
}

// serve runs the registry until ctx ends or the listener fails.
func serve(ctx context.Context, s settings) error {
	logger := log.New(os.Stderr, "", log.LstdFlags|log.LUTC)
	requests := logger
	if s.quiet {
		requests = log.New(io.Discard, "", 0)
	}
	options := []registry.Option{
		registry.WithReferrersSupport(s.referrers),
		registry.Logger(requests),
	}
	if s.dir != "" {
		if err := os.MkdirAll(s.dir, 0o755); err != nil {
			return err
		}
		options = append(options, registry.WithBlobHandler(registry.NewDiskBlobHandler(s.dir)))
	}
	listener, err := net.Listen("tcp", s.addr)
	if err != nil {
		return err
	}
	addr := listener.Addr().String()
	if s.addrFile != "" {
		if err := writeFile(s.addrFile, addr+"\n"); err != nil {
			return errors.Join(err, listener.Close())
		}
	}
	logger.Printf("serving on %s (referrers API: %t)", addr, s.referrers)

	server := &http.Server{Handler: registry.New(options...), ReadHeaderTimeout: 10 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
		grace, cancel := context.WithTimeout(context.Background(), shutdownGrace)
		defer cancel()
		return server.Shutdown(grace)
	}
}

// writeFile puts the text under a temporary name first, so that a reader that
// waits for the file never sees half an address.
func writeFile(path, text string) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".addr-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	if _, err := tmp.WriteString(text); err != nil {
		return errors.Join(err, tmp.Close())
	}
	if err := tmp.Close(); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}
