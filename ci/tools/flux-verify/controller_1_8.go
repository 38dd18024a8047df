//go:build flux18

package main

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/theupdateframework/go-tuf/v2/metadata"

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

// deployWithTrustedRoot sets the process up as a deployment of 1.8 with a
// Sigstore of its own must be: a TUF mirror for bundles, files named by the
// environment for legacy signatures. The mirror is served on loopback until
// the returned function is called.
func deployWithTrustedRoot(ctx context.Context, text string) (func(), error) {
	trusted, err := root.NewTrustedRootFromJSON([]byte(text))
	if err != nil {
		return nil, fmt.Errorf("trustedRoot: %w", err)
	}
	files, err := mirror(text)
	if err != nil {
		return nil, fmt.Errorf("trustedRoot: %w", err)
	}
	folder, err := os.MkdirTemp("", "flux-verify-")
	if err != nil {
		return nil, err
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		os.RemoveAll(folder)
		return nil, err
	}
	server := &http.Server{Handler: files, ReadHeaderTimeout: 5 * time.Second}
	go server.Serve(listener)
	end := func() {
		server.Close()
		os.RemoveAll(folder)
	}
	for variable, content := range map[string][]byte{
		"TUF_ROOT_JSON":                   files["/1.root.json"],
		"SIGSTORE_ROOT_FILE":              certificates(trusted),
		"SIGSTORE_REKOR_PUBLIC_KEY":       firstKey(trusted.RekorLogs()),
		"SIGSTORE_CT_LOG_PUBLIC_KEY_FILE": firstKey(trusted.CTLogs()),
	} {
		path := filepath.Join(folder, variable)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			end()
			return nil, err
		}
		os.Setenv(variable, path)
	}
	os.Setenv("TUF_ROOT", filepath.Join(folder, "tuf"))
	os.Setenv("TUF_MIRROR", "http://"+listener.Addr().String())
	return end, nil
}

// certificates are all of the authorities', as PEM.
func certificates(trusted *root.TrustedRoot) []byte {
	var found []*x509.Certificate
	for _, authority := range trusted.FulcioCertificateAuthorities() {
		if chain, ok := authority.(*root.FulcioCertificateAuthority); ok {
			found = append(append(found, chain.Root), chain.Intermediates...)
		}
	}
	content, _ := cryptoutils.MarshalCertificatesToPEM(found)
	return content
}

// firstKey is a log's key, as PEM. The controller takes one; legacy signatures
// of a second instance cannot be verified by it.
func firstKey(logs map[string]*root.TransparencyLog) []byte {
	for _, log := range logs {
		if content, err := x509.MarshalPKIXPublicKey(log.PublicKey); err == nil {
			return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: content})
		}
	}
	return nil
}

// tufFiles are the files of a TUF repository by URL path.
type tufFiles map[string][]byte

func (f tufFiles) ServeHTTP(response http.ResponseWriter, request *http.Request) {
	content, ok := f[request.URL.Path]
	if !ok {
		http.NotFound(response, request)
		return
	}
	response.Write(content)
}

// mirror makes a TUF repository with one target, the trust root, by a key that
// nobody keeps.
func mirror(trustedRoot string) (tufFiles, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	signer, err := signature.LoadSigner(private, crypto.Hash(0))
	if err != nil {
		return nil, err
	}
	key, err := metadata.KeyFromPublicKey(private.Public())
	if err != nil {
		return nil, err
	}
	expires := time.Now().UTC().Add(24 * time.Hour)
	top := metadata.Root(expires)
	for _, role := range metadata.TOP_LEVEL_ROLE_NAMES {
		if err := top.Signed.AddKey(key, role); err != nil {
			return nil, err
		}
	}
	target, err := metadata.TargetFile().FromBytes("trusted_root.json", []byte(trustedRoot))
	if err != nil {
		return nil, err
	}
	targets := metadata.Targets(expires)
	targets.Signed.Targets["trusted_root.json"] = target
	files := tufFiles{"/targets/" + target.Hashes["sha256"].String() + ".trusted_root.json": []byte(trustedRoot)}
	for path, role := range map[string]interface {
		Sign(signature.Signer) (*metadata.Signature, error)
		ToBytes(bool) ([]byte, error)
	}{
		"/1.root.json":     top,
		"/1.targets.json":  targets,
		"/1.snapshot.json": metadata.Snapshot(expires),
		"/timestamp.json":  metadata.Timestamp(expires),
	} {
		if _, err := role.Sign(signer); err != nil {
			return nil, err
		}
		if files[path], err = role.ToBytes(false); err != nil {
			return nil, fmt.Errorf("%s: %w", strings.TrimPrefix(path, "/"), err)
		}
	}
	return files, nil
}
