package storage

import (
	"archive/tar"
	"compress/gzip"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/sourceignore"
	"github.com/fluxcd/pkg/sourceignore/gitignore"
	untar "github.com/fluxcd/pkg/tar"
)

// ArchiveFileFilter tells which files are left out.
type ArchiveFileFilter func(path string, info os.FileInfo) bool

// SourceIgnoreFilter leaves out what the patterns of .sourceignore match; the
// controller's defaults where there are none.
func SourceIgnoreFilter(patterns []gitignore.Pattern, domain []string) ArchiveFileFilter {
	matcher := sourceignore.NewDefaultMatcher(patterns, domain)
	return func(path string, info os.FileInfo) bool {
		return matcher.Match(strings.Split(path, string(filepath.Separator)), info.IsDir())
	}
}

// Archive stores a folder as a gzipped tar archive, and completes the artifact.
// The same files give the same bytes: no owner, no time.
func (s *Storage) Archive(artifact *meta.Artifact, folder string, filter ArchiveFileFilter) error {
	if info, err := os.Stat(folder); err != nil || !info.IsDir() {
		return fmt.Errorf("invalid dir path: %s", folder)
	}
	return s.store(artifact, func(writer io.Writer) error {
		compressed := gzip.NewWriter(writer)
		archive := tar.NewWriter(compressed)
		err := filepath.Walk(folder, func(path string, info fs.FileInfo, err error) error {
			if err != nil {
				return err
			}
			if !info.Mode().IsRegular() && !info.IsDir() || filter != nil && filter(path, info) {
				return nil
			}
			return add(archive, folder, path, info)
		})
		if err != nil {
			return err
		}
		if err := archive.Close(); err != nil {
			return err
		}
		return compressed.Close()
	})
}

func add(archive *tar.Writer, folder, path string, info fs.FileInfo) error {
	name, err := filepath.Rel(folder, path)
	if err != nil || name == "." {
		return err
	}
	header := &tar.Header{Name: filepath.ToSlash(name), Mode: fileMode, Typeflag: tar.TypeReg, Size: info.Size(), ModTime: time.Time{}}
	if info.IsDir() {
		header.Name, header.Mode, header.Typeflag, header.Size = header.Name+"/", folderMode, tar.TypeDir, 0
	}
	if err := archive.WriteHeader(header); err != nil || info.IsDir() {
		return err
	}
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = io.Copy(archive, file)
	return err
}

// CopyToPath unpacks an artifact, and copies what is below subPath to toPath.
func (s *Storage) CopyToPath(artifact *meta.Artifact, subPath, toPath string) error {
	file, err := os.Open(s.LocalPath(*artifact))
	if err != nil {
		return err
	}
	defer file.Close()
	folder, err := os.MkdirTemp("", "artifact-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	if err := untar.Untar(file, folder, untar.WithMaxUntarSize(-1)); err != nil {
		return fmt.Errorf("failed to untar archive: %w", err)
	}
	if !filepath.IsLocal(subPath) && subPath != "" {
		return fmt.Errorf("path %q leads out of the artifact", subPath)
	}
	if err := os.MkdirAll(filepath.Dir(toPath), folderMode); err != nil {
		return err
	}
	return os.CopyFS(toPath, os.DirFS(filepath.Join(folder, subPath)))
}
