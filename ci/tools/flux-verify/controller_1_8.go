//go:build flux18

package main

import (
	"net/http"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	sourcev1 "github.com/fluxcd/source-controller/api/v1"
	scosign "github.com/fluxcd/source-controller/internal/oci/cosign"
)

// verifiedAndPulled is the reference that 1.8 works with: the tag, where the
// source names one, which it resolves again each time.
func verifiedAndPulled(ref name.Reference, _ string) name.Reference { return ref }

// verifierOptions is what 1.8's verifySignature gives to every verifier.
func verifierOptions(
	_ *sourcev1.OCIRepository, _ map[string]map[string]string, _ *http.Transport, options []remote.Option,
) ([]scosign.Options, error) {
	return []scosign.Options{scosign.WithRemoteOptions(options...)}, nil
}
