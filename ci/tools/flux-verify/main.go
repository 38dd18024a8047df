// Command flux-verify answers what Flux's source-controller would say about
// one OCIRepository: whether it verifies, and whether it can be pulled.
//
// The verification is source-controller's own package internal/oci/cosign;
// the module lies below its path so that Go lets it be imported. What the
// reconciler does around it (internal/controller/ocirepository_controller.go,
// reconcileSource and verifySignature) is in source.go.
//
//	flux-verify < question.json > answer.json
//
// The exit code is 0 for every answer and 2 where the question cannot be read
// or asks for something that needs a cluster. --version prints the versions of
// the modules that decide. The environment is the deployment's: where the
// source names no trust root, TUF_MIRROR, TUF_ROOT_JSON and the variables
// SIGSTORE_… lead to another instance than the public good one, as in the
// controller itself.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/sigstore/cosign/v3/pkg/cosign"
	kjson "sigs.k8s.io/json"

	sourcev1 "github.com/fluxcd/source-controller/api/v1"
)

// maxQuestion bounds standard input, in bytes.
const maxQuestion = 16 << 20

// question is what standard input holds.
type question struct {
	// Source is an OCIRepository as it stands in the cluster. A key that its
	// version of the API does not have is an error.
	Source json.RawMessage `json:"source"`
	// Secrets holds the Secrets of its namespace by name, each with its keys
	// and their text.
	Secrets map[string]map[string]string `json:"secrets,omitempty"`
}

// answer is what standard output gets.
type answer struct {
	Controller string `json:"controller"`
	// Verified is true where the controller would set SourceVerified=True.
	Verified bool `json:"verified"`
	// Ready is true where it would also have stored the artifact.
	Ready bool `json:"ready"`
	// Revision is what it would have stored.
	Revision string `json:"revision,omitempty"`
	// Condition, Reason and Message are what it would write into the status.
	Condition string `json:"condition,omitempty"`
	Reason    string `json:"reason,omitempty"`
	Message   string `json:"message,omitempty"`
	// Kinds are the types of errors in the chain that are known here.
	Kinds []string `json:"kinds,omitempty"`
	// HTTPStatus is the registry's, where it answered with an error.
	HTTPStatus int `json:"httpStatus,omitempty"`
	// Bundles has one message for each bundle that was refused.
	Bundles []string `json:"bundles,omitempty"`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "flux-verify: %v\n", err)
		os.Exit(2)
	}
}

func run(ctx context.Context, arguments []string, in io.Reader, out io.Writer) error {
	if len(arguments) == 1 && arguments[0] == "--version" {
		return json.NewEncoder(out).Encode(versions())
	}
	if len(arguments) > 0 {
		return fmt.Errorf("unexpected argument %q: the question is read from standard input", arguments[0])
	}
	asked, source, err := readQuestion(in)
	if err != nil {
		return err
	}
	given, err := reconcile(ctx, source, asked.Secrets)
	if err != nil {
		return err
	}
	given.Controller = versions()[controllerModule]
	return json.NewEncoder(out).Encode(given)
}

// readQuestion decodes as strictly as an API server with field validation does.
func readQuestion(in io.Reader) (*question, *sourcev1.OCIRepository, error) {
	content, err := io.ReadAll(io.LimitReader(in, maxQuestion+1))
	if err != nil {
		return nil, nil, fmt.Errorf("the question cannot be read: %w", err)
	}
	if len(content) > maxQuestion {
		return nil, nil, fmt.Errorf("the question has more than %d bytes", maxQuestion)
	}
	asked, source := &question{}, &sourcev1.OCIRepository{}
	if err := strictly(content, asked); err != nil {
		return nil, nil, fmt.Errorf("the question: %w", err)
	}
	if err := strictly(asked.Source, source); err != nil {
		return nil, nil, fmt.Errorf("the OCIRepository: %w", err)
	}
	return asked, source, nil
}

func strictly(content []byte, into any) error {
	strict, err := kjson.UnmarshalStrict(content, into)
	return errors.Join(append(strict, err)...)
}

const controllerModule = "github.com/fluxcd/source-controller"

// versions names the modules whose code decides, with their locked versions.
func versions() map[string]string {
	found := map[string]string{}
	info, _ := debug.ReadBuildInfo()
	for _, module := range info.Deps {
		switch module.Path {
		case controllerModule, "github.com/sigstore/cosign/v3", "github.com/sigstore/sigstore-go",
			"github.com/google/go-containerregistry":
			found[module.Path] = strings.TrimPrefix(module.Version, "v")
		}
	}
	return found
}

// describe adds to an answer what can be told of an error apart from its text.
func (a *answer) describe(err error) {
	var (
		noSignatures   *cosign.ErrNoSignaturesFound
		noMatch        *cosign.ErrNoMatchingSignatures
		noAttestations *cosign.ErrNoMatchingAttestations
		noTag          *cosign.ErrImageTagNotFound
		registry       *transport.Error
		network        net.Error
	)
	for _, known := range []struct {
		name  string
		found bool
	}{
		{"NoSignaturesFound", errors.As(err, &noSignatures)},
		{"NoMatchingSignatures", errors.As(err, &noMatch)},
		{"NoMatchingAttestations", errors.As(err, &noAttestations)},
		{"ImageTagNotFound", errors.As(err, &noTag)},
		{"Registry", errors.As(err, &registry)},
		{"Network", errors.As(err, &network)},
		{"Timeout", errors.Is(err, context.DeadlineExceeded)},
	} {
		if known.found {
			a.Kinds = append(a.Kinds, known.name)
		}
	}
	if registry != nil {
		a.HTTPStatus = registry.StatusCode
	}
	if noAttestations != nil {
		for _, cause := range joined(noAttestations) {
			a.Bundles = append(a.Bundles, cause.Error())
		}
	}
}

// joined returns what errors.Join put together below err.
func joined(err error) []error {
	for err != nil {
		if several, ok := err.(interface{ Unwrap() []error }); ok {
			return several.Unwrap()
		}
		err = errors.Unwrap(err)
	}
	return nil
}
