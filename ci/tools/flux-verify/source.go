package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/fluxcd/pkg/oci"
	"github.com/fluxcd/pkg/tar"
	"github.com/google/go-containerregistry/pkg/name"
	gcrv1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/sigstore/cosign/v3/pkg/cosign"

	sourcev1 "github.com/fluxcd/source-controller/api/v1"
	soci "github.com/fluxcd/source-controller/internal/oci"
	scosign "github.com/fluxcd/source-controller/internal/oci/cosign"
)

// The API server's default; the controller never sees an object without it.
const defaultTimeout = 60 * time.Second

// failure is an error with the condition and the reason that the reconciler
// writes for it.
type failure struct {
	condition, reason string
	err               error
}

func (f *failure) Error() string { return f.err.Error() }

func (f *failure) Unwrap() error { return f.err }

func fetchFailed(reason, format string, arguments ...any) error {
	return &failure{sourcev1.FetchFailedCondition, reason, fmt.Errorf(format, arguments...)}
}

// reconcile does what reconcileSource does for a new revision: find it, verify
// it, pull it. The error is for what this program does not do.
func reconcile(ctx context.Context, source *sourcev1.OCIRepository, secrets map[string]map[string]string) (*answer, error) {
	if err := needsNoCluster(source); err != nil {
		return nil, err
	}
	timeout := defaultTimeout
	if source.Spec.Timeout != nil {
		timeout = source.Spec.Timeout.Duration
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	client := remote.DefaultTransport.(*http.Transport).Clone()
	options := []remote.Option{
		remote.WithContext(ctx),
		remote.WithUserAgent(oci.UserAgent),
		remote.WithTransport(client),
		remote.WithAuthFromKeychain(soci.Anonymous{}),
	}
	given := &answer{}
	err := given.fetch(ctx, source, secrets, client, options)
	var failed *failure
	if errors.As(err, &failed) {
		given.Condition, given.Reason, given.Message = failed.condition, failed.reason, failed.Error()
		given.describe(err)
		return given, nil
	}
	given.Ready = err == nil
	return given, err
}

// needsNoCluster refuses what the controller reads from a cluster, other than
// the Secrets of `verify`, and registry clouds.
func needsNoCluster(source *sourcev1.OCIRepository) error {
	spec := source.Spec
	for field, used := range map[string]bool{
		"secretRef":          spec.SecretRef != nil,
		"serviceAccountName": spec.ServiceAccountName != "",
		"certSecretRef":      spec.CertSecretRef != nil,
		"proxySecretRef":     spec.ProxySecretRef != nil,
		"provider":           spec.Provider != "" && spec.Provider != sourcev1.GenericOCIProvider,
		"ref.semver":         spec.Reference != nil && spec.Reference.SemVer != "",
		"verify.provider":    spec.Verify != nil && spec.Verify.Provider == "notation",
	} {
		if used {
			return fmt.Errorf("spec.%s is not asked about here: it needs the controller itself", field)
		}
	}
	return nil
}

func (a *answer) fetch(
	ctx context.Context, source *sourcev1.OCIRepository, secrets map[string]map[string]string,
	client *http.Transport, options []remote.Option,
) error {
	ref, err := reference(source)
	if err != nil {
		return fetchFailed(sourcev1.URLInvalidReason, "URL validation failed for '%s': %w", source.Spec.URL, err)
	}
	digest, err := resolve(ref, options)
	if err != nil {
		return fetchFailed(sourcev1.OCIPullFailedReason, "failed to determine artifact digest: %w", err)
	}
	a.Revision = digest
	if tag, ok := ref.(name.Tag); ok {
		a.Revision = tag.TagStr() + "@" + digest
	}
	used := verifiedAndPulled(ref, digest)
	if source.Spec.Verify != nil {
		if source.Spec.Verify.Provider == "" {
			source.Spec.Verify.Provider = "cosign" // the API server's default
		}
		if err := verify(ctx, source, used, secrets, client, options); err != nil {
			provider := source.Spec.Verify.Provider
			if source.Spec.Verify.SecretRef == nil && provider == "cosign" {
				provider += " keyless"
			}
			return &failure{
				sourcev1.SourceVerifiedCondition, sourcev1.VerificationError,
				fmt.Errorf("failed to verify the signature using provider '%s': %w", provider, err),
			}
		}
		a.Verified = true
	}
	return pull(source, used, options)
}

// reference is parseRepository and getArtifactRef.
func reference(source *sourcev1.OCIRepository) (name.Reference, error) {
	if !strings.HasPrefix(source.Spec.URL, sourcev1.OCIRepositoryPrefix) {
		return nil, errors.New("URL must be in format 'oci://<domain>/<org>/<repo>'")
	}
	url := strings.TrimPrefix(source.Spec.URL, sourcev1.OCIRepositoryPrefix)
	var options []name.Option
	if source.Spec.Insecure {
		options = append(options, name.Insecure)
	}
	repository, err := name.NewRepository(url, options...)
	if err != nil {
		return nil, err
	}
	if _, tag, found := strings.Cut(strings.TrimPrefix(url, repository.RegistryStr()), ":"); found {
		return nil, fmt.Errorf("URL must not contain a tag; remove ':%s'", tag)
	}
	if wanted := source.Spec.Reference; wanted != nil && wanted.Digest != "" {
		return repository.Digest(wanted.Digest), nil
	} else if wanted != nil && wanted.Tag != "" {
		return repository.Tag(wanted.Tag), nil
	}
	return repository.Tag(name.DefaultTag), nil
}

// resolve is getRevision without the tag before it.
func resolve(ref name.Reference, options []remote.Option) (string, error) {
	if digest, ok := ref.(name.Digest); ok {
		hash, err := gcrv1.NewHash(digest.DigestStr())
		return hash.String(), err
	}
	if found, err := remote.Head(ref, options...); err == nil {
		return found.Digest.String(), nil
	}
	found, err := remote.Get(ref, options...)
	if err != nil {
		return "", err
	}
	return found.Digest.String(), nil
}

// verify is verifySignature for the provider cosign.
func verify(
	ctx context.Context, source *sourcev1.OCIRepository, ref name.Reference, secrets map[string]map[string]string,
	client *http.Transport, options []remote.Option,
) error {
	spec := source.Spec.Verify
	if spec.Provider != "cosign" {
		return fmt.Errorf("unsupported verification provider: %s", spec.Provider)
	}
	chosen, err := verifierOptions(source, secrets, client, options)
	if err != nil {
		return err
	}
	factory := scosign.NewCosignVerifierFactory()
	if spec.SecretRef != nil {
		keys, ok := secrets[spec.SecretRef.Name]
		if !ok {
			return fmt.Errorf("secrets %q not found", spec.SecretRef.Name)
		}
		for key, text := range keys {
			if !strings.HasSuffix(key, ".pub") {
				continue
			}
			verifier, err := factory.NewCosignVerifier(ctx, append(chosen, scosign.WithPublicKey([]byte(text)))...)
			if err != nil {
				return err
			}
			if result, err := verifier.Verify(ctx, ref); err == nil && result == soci.VerificationResultSuccess {
				return nil
			}
		}
		return fmt.Errorf("no matching signatures were found for '%s'", ref)
	}
	var identities []cosign.Identity
	for _, match := range spec.MatchOIDCIdentity {
		identities = append(identities, cosign.Identity{IssuerRegExp: match.Issuer, SubjectRegExp: match.Subject})
	}
	verifier, err := factory.NewCosignVerifier(ctx, append(chosen, scosign.WithIdentities(identities))...)
	if err != nil {
		return err
	}
	result, err := verifier.Verify(ctx, ref)
	if err == nil && result == soci.VerificationResultFailed {
		err = fmt.Errorf("no matching signatures were found for '%s'", ref)
	}
	return err
}

// pull is the rest of reconcileSource: the manifest, the layer, and what it is
// stored as. Nothing of it is kept.
func pull(source *sourcev1.OCIRepository, ref name.Reference, options []remote.Option) error {
	const reason = sourcev1.OCILayerOperationFailedReason
	image, err := remote.Image(ref, options...)
	if err != nil {
		return fetchFailed(sourcev1.OCIPullFailedReason, "failed to pull artifact from '%s': %w", source.Spec.URL, err)
	}
	if _, err := image.Manifest(); err != nil {
		return fetchFailed(reason, "failed to parse artifact manifest: %w", err)
	}
	blob, err := selectLayer(source, image)
	if err != nil {
		return fetchFailed(reason, "%w", err)
	}
	defer blob.Close()
	folder, err := os.MkdirTemp("", "flux-verify-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	switch source.GetLayerOperation() {
	case sourcev1.OCILayerExtract:
		if err := tar.Untar(blob, folder, tar.WithMaxUntarSize(-1), tar.WithSkipSymlinks()); err != nil {
			return fetchFailed(reason, "failed to extract layer contents from artifact: %w", err)
		}
	case sourcev1.OCILayerCopy:
		file, err := os.Create(filepath.Join(folder, "layer.tgz"))
		if err != nil {
			return fetchFailed(reason, "failed to create file to copy layer to: %w", err)
		}
		defer file.Close()
		if _, err := io.Copy(file, blob); err != nil {
			return fetchFailed(reason, "failed to copy layer from artifact: %w", err)
		}
	default:
		return fetchFailed(reason, "unsupported layer operation: %s", source.GetLayerOperation())
	}
	return nil
}

// selectLayer is the reconciler's function of that name.
func selectLayer(source *sourcev1.OCIRepository, image gcrv1.Image) (io.ReadCloser, error) {
	layers, err := image.Layers()
	if err != nil {
		return nil, fmt.Errorf("failed to parse artifact layers: %w", err)
	}
	if len(layers) < 1 {
		return nil, errors.New("no layers found in artifact")
	}
	layer := layers[0]
	if wanted := source.GetLayerMediaType(); wanted != "" {
		layer = nil
		for i, candidate := range layers {
			found, err := candidate.MediaType()
			if err != nil {
				return nil, fmt.Errorf("failed to determine the media type of layer[%v] from artifact: %w", i, err)
			}
			if string(found) == wanted {
				layer = candidate
				break
			}
		}
		if layer == nil {
			return nil, fmt.Errorf("failed to find layer with media type '%s' in artifact", wanted)
		}
	}
	blob, err := layer.Compressed()
	if err != nil {
		return nil, fmt.Errorf("failed to extract the first layer from artifact: %w", err)
	}
	return blob, nil
}
