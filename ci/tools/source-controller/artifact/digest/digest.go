// Package digest names the algorithm that artifacts are summed with.
package digest

import (
	"fmt"

	"github.com/opencontainers/go-digest"
)

// Canonical is the algorithm that the controller uses.
var Canonical = digest.SHA256

// AlgorithmForName returns the algorithm of that name, if it can be used here.
func AlgorithmForName(name string) (digest.Algorithm, error) {
	algorithm := digest.Algorithm(name)
	if !algorithm.Available() {
		return "", fmt.Errorf("unsupported digest algorithm %q", name)
	}
	return algorithm, nil
}
