//go:build !flux18

package main

import (
	"fmt"
	"net/http"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	sourcev1 "github.com/fluxcd/source-controller/api/v1"
	scosign "github.com/fluxcd/source-controller/internal/oci/cosign"
)

// trustedRootKey is the key of the Secret that trustedRootSecretRef names.
const trustedRootKey = "trusted_root.json"

// verifiedAndPulled is the reference that 1.9 works with once the tag is
// resolved: the digest, for both.
func verifiedAndPulled(ref name.Reference, digest string) name.Reference {
	return ref.Context().Digest(digest)
}

// verifierOptions is what 1.9's verifySignature gives to every verifier.
func verifierOptions(
	source *sourcev1.OCIRepository, secrets map[string]map[string]string, client *http.Transport, options []remote.Option,
) ([]scosign.Options, error) {
	chosen := []scosign.Options{
		scosign.WithRemoteOptions(options...),
		scosign.WithInsecure(source.Spec.Insecure),
		scosign.WithTLSConfig(client.TLSClientConfig),
	}
	ref := source.Spec.Verify.TrustedRootSecretRef
	if ref == nil {
		return chosen, nil
	}
	secret, ok := secrets[ref.Name]
	if !ok {
		return nil, fmt.Errorf("failed to read trusted root from secret '%s/%s': secrets %q not found",
			source.Namespace, ref.Name, ref.Name)
	}
	root, ok := secret[trustedRootKey]
	if !ok {
		return nil, fmt.Errorf("failed to read trusted root from secret '%s/%s': '%s' not found in secret '%s/%s'",
			source.Namespace, ref.Name, trustedRootKey, source.Namespace, ref.Name)
	}
	return append(chosen, scosign.WithTrustedRoot([]byte(root))), nil
}
