// Package storage keeps the artifacts of sources in a folder, and says under
// which URL each of them is served.
//
// It stands in for the module of this name, which no module proxy serves: what
// the controller's reconcilers need of it, and no more. What an artifact is
// verified by is not here; that is the controller's own code.
package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	godigest "github.com/opencontainers/go-digest"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fluxcd/pkg/artifact/config"
	"github.com/fluxcd/pkg/artifact/digest"
)

const (
	folderMode = 0o750
	fileMode   = 0o600
)

// Storage is a folder of artifacts: kind/namespace/name/file.
type Storage struct {
	// BasePath is the folder.
	BasePath string
	// Hostname is what URLs begin with.
	Hostname string
	// ArtifactRetentionTTL is how long an old artifact is kept.
	ArtifactRetentionTTL time.Duration
	// ArtifactRetentionRecords is how many are kept at least.
	ArtifactRetentionRecords int

	mutex sync.Mutex
	locks map[string]*sync.Mutex
}

// New opens the folder that the flags name.
func New(options *config.Options) (*Storage, error) {
	info, err := os.Stat(options.StoragePath)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("%s is not a folder", options.StoragePath)
	}
	return &Storage{
		BasePath:                 options.StoragePath,
		Hostname:                 options.StorageAdvAddress,
		ArtifactRetentionTTL:     options.ArtifactRetentionTTL,
		ArtifactRetentionRecords: options.ArtifactRetentionRecords,
		locks:                    map[string]*sync.Mutex{},
	}, nil
}

// NewArtifactFor describes an artifact that is yet to be stored.
func (s *Storage) NewArtifactFor(kind string, object metav1.Object, revision, file string) meta.Artifact {
	path := filepath.Join(strings.ToLower(kind), object.GetNamespace(), object.GetName(), file)
	artifact := meta.Artifact{Path: filepath.ToSlash(path), Revision: revision}
	s.SetArtifactURL(&artifact)
	return artifact
}

// SetArtifactURL writes the URL that an artifact is served under.
func (s *Storage) SetArtifactURL(artifact *meta.Artifact) {
	if artifact.Path != "" {
		artifact.URL = s.urlOf(artifact.Path)
	}
}

// SetHostname puts the storage's host name into a URL.
func (s *Storage) SetHostname(text string) string {
	parsed, err := url.Parse(text)
	if err != nil {
		return ""
	}
	parsed.Host = s.Hostname
	return parsed.String()
}

func (s *Storage) urlOf(path string) string {
	host := strings.TrimSuffix(s.Hostname, "/")
	if !strings.Contains(host, "://") {
		host = "http://" + host
	}
	return host + "/" + strings.TrimPrefix(path, "/")
}

// LocalPath is where an artifact lies, or an empty text for a path that leads
// out of the folder.
func (s *Storage) LocalPath(artifact meta.Artifact) string {
	if artifact.Path == "" || !filepath.IsLocal(artifact.Path) {
		return ""
	}
	return filepath.Join(s.BasePath, artifact.Path)
}

// MkdirAll makes the folder of an artifact.
func (s *Storage) MkdirAll(artifact meta.Artifact) error {
	path, err := s.pathOf(artifact)
	if err != nil {
		return err
	}
	return os.MkdirAll(filepath.Dir(path), folderMode)
}

// ArtifactExist tells whether an artifact's file is there.
func (s *Storage) ArtifactExist(artifact meta.Artifact) bool {
	info, err := os.Lstat(s.LocalPath(artifact))
	return err == nil && info.Mode().IsRegular()
}

// VerifyArtifact compares an artifact's file with its digest.
func (s *Storage) VerifyArtifact(artifact meta.Artifact) error {
	if artifact.Digest == "" {
		return errors.New("artifact has no digest")
	}
	wanted, err := godigest.Parse(artifact.Digest)
	if err != nil {
		return fmt.Errorf("failed to parse artifact digest '%s': %w", artifact.Digest, err)
	}
	file, err := os.Open(s.LocalPath(artifact))
	if err != nil {
		return err
	}
	defer file.Close()
	verifier := wanted.Verifier()
	if _, err := io.Copy(verifier, file); err != nil {
		return err
	}
	if !verifier.Verified() {
		return fmt.Errorf("computed digest doesn't match '%s'", artifact.Digest)
	}
	return nil
}

// Remove deletes one artifact.
func (s *Storage) Remove(artifact meta.Artifact) error {
	path, err := s.pathOf(artifact)
	if err != nil {
		return err
	}
	return os.Remove(path)
}

// RemoveAll deletes all of an object's artifacts, and returns their folder.
func (s *Storage) RemoveAll(artifact meta.Artifact) (string, error) {
	path, err := s.pathOf(artifact)
	if err != nil {
		return "", err
	}
	folder := filepath.Dir(path)
	if _, err := os.Stat(folder); errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return folder, os.RemoveAll(folder)
}

// GarbageCollect deletes what is older than the retention time and not among
// the newest, never the artifact itself. It returns what it deleted.
func (s *Storage) GarbageCollect(ctx context.Context, artifact meta.Artifact, timeout time.Duration) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	path, err := s.pathOf(artifact)
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	type stored struct {
		path string
		time time.Time
	}
	var old []stored
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil || !info.Mode().IsRegular() || strings.HasSuffix(entry.Name(), ".lock") {
			continue
		}
		if candidate := filepath.Join(filepath.Dir(path), entry.Name()); candidate != path {
			old = append(old, stored{candidate, info.ModTime()})
		}
	}
	sort.Slice(old, func(i, j int) bool { return old[i].time.After(old[j].time) })
	var gone []string
	for i, file := range old {
		if err := ctx.Err(); err != nil {
			return gone, err
		}
		// The artifact itself is one of those that are kept.
		if i+1 < s.ArtifactRetentionRecords || time.Since(file.time) < s.ArtifactRetentionTTL {
			continue
		}
		if err := os.Remove(file.path); err != nil {
			return gone, err
		}
		gone = append(gone, file.path)
	}
	return gone, nil
}

// Lock keeps others from writing an artifact, until it is unlocked.
func (s *Storage) Lock(artifact meta.Artifact) (func(), error) {
	path, err := s.pathOf(artifact)
	if err != nil {
		return nil, err
	}
	s.mutex.Lock()
	lock, ok := s.locks[path]
	if !ok {
		lock = &sync.Mutex{}
		s.locks[path] = lock
	}
	s.mutex.Unlock()
	lock.Lock()
	return lock.Unlock, nil
}

// Symlink makes name, beside an artifact, lead to it, and returns its URL.
func (s *Storage) Symlink(artifact meta.Artifact, name string) (string, error) {
	path, err := s.pathOf(artifact)
	if err != nil {
		return "", err
	}
	link := filepath.Join(filepath.Dir(path), name)
	temporary := link + ".tmp"
	if err := os.Remove(temporary); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	if err := os.Symlink(path, temporary); err != nil {
		return "", err
	}
	if err := os.Rename(temporary, link); err != nil {
		return "", err
	}
	return s.urlOf(filepath.ToSlash(filepath.Join(filepath.Dir(artifact.Path), name))), nil
}

// Copy stores what can be read from reader, and completes the artifact.
func (s *Storage) Copy(artifact *meta.Artifact, reader io.Reader) error {
	return s.store(artifact, func(writer io.Writer) error {
		_, err := io.Copy(writer, reader)
		return err
	})
}

// CopyFromPath stores a file, and completes the artifact.
func (s *Storage) CopyFromPath(artifact *meta.Artifact, path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	return s.Copy(artifact, file)
}

// store writes an artifact beside its place and renames it there.
func (s *Storage) store(artifact *meta.Artifact, write func(io.Writer) error) (err error) {
	path, err := s.pathOf(*artifact)
	if err != nil {
		return err
	}
	file, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.tmp")
	if err != nil {
		return err
	}
	defer func() {
		file.Close()
		if err != nil {
			os.Remove(file.Name())
		}
	}()
	sum := digest.Canonical.Digester()
	size := &counter{}
	if err := write(io.MultiWriter(file, sum.Hash(), size)); err != nil {
		return err
	}
	if err := file.Chmod(fileMode); err != nil {
		return err
	}
	if err := file.Close(); err != nil {
		return err
	}
	if err := os.Rename(file.Name(), path); err != nil {
		return err
	}
	artifact.Digest = sum.Digest().String()
	artifact.LastUpdateTime = metav1.Now()
	artifact.Size = &size.bytes
	return nil
}

func (s *Storage) pathOf(artifact meta.Artifact) (string, error) {
	path := s.LocalPath(artifact)
	if path == "" {
		return "", fmt.Errorf("artifact path %q is not below the storage", artifact.Path)
	}
	return path, nil
}

// counter counts the bytes that are written to it.
type counter struct{ bytes int64 }

func (c *counter) Write(content []byte) (int, error) {
	c.bytes += int64(len(content))
	return len(content), nil
}
