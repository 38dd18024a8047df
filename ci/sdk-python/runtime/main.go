// Serves Python modules on an engine whose own Python SDK is not at hand.
//
// The engine loads this module wherever a dagger.json says "sdk": "python": the
// tool chain puts it where engine images keep theirs. A module runs with the
// published dagger-io of the engine's version, which is in the base image, and
// is installed from its own requirements.lock where it has one, as the official
// SDK does, and from its pyproject.toml otherwise.
package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"path"
	"strings"
	"unicode"

	"dagger/python-sdk/internal/dagger"
)

const (
	sourceDir = "/src"
	lock      = "requirements.lock"
	pip       = "/opt/dagger/bin/pip"
	python    = "/opt/dagger/bin/python"
)

// settingsJSON is written by the tool chain: what is particular to one machine.
//
//go:embed settings.json
var settingsJSON []byte

type settings struct {
	// Image is the reference of the base image, by digest.
	Image string `json:"image"`
	// Env holds pip's settings: where packages come from.
	Env map[string]string `json:"env"`
}

// requirementsScript prints what a project's pyproject.toml depends on, so that
// its dependencies make a layer that stays when only its code changes.
const requirementsScript = `
import pathlib, sys, tomllib
project = tomllib.loads(pathlib.Path(sys.argv[1]).read_text()).get("project", {})
print("\n".join(project.get("dependencies", [])))
`

type PythonSdk struct{}

// New takes the folder that the engine hands to every SDK that it has built in.
func New(
	// +optional
	sdkSourceDir *dagger.Directory,
) *PythonSdk {
	return &PythonSdk{}
}

// ModuleRuntime returns the container that answers calls of the module's functions.
func (m *PythonSdk) ModuleRuntime(
	ctx context.Context,
	modSource *dagger.ModuleSource,
	introspectionJson *dagger.File,
) (*dagger.Container, error) {
	var local settings
	if err := json.Unmarshal(settingsJSON, &local); err != nil {
		return nil, fmt.Errorf("settings.json: %w", err)
	}
	name, err := modSource.ModuleOriginalName(ctx)
	if err != nil {
		return nil, err
	}
	subpath, err := modSource.SourceSubpath(ctx)
	if err != nil {
		return nil, err
	}
	source := modSource.ContextDirectory().Directory(subpath)
	project := path.Join(sourceDir, subpath)

	ctr := dag.Container().From(local.Image)
	for variable, value := range local.Env {
		ctr = ctr.WithEnvVariable(variable, value)
	}
	ctr = ctr.
		WithEnvVariable("DAGGER_MODULE", name).
		WithEnvVariable("DAGGER_MAIN_OBJECT", pascal(name)).
		WithEnvVariable("DAGGER_DEFAULT_PYTHON_PACKAGE", strings.ReplaceAll(kebab(name), "-", "_")).
		WithMountedCache("/root/.cache/pip", dag.CacheVolume("python-sdk-pip"))
	locks, err := source.Glob(ctx, lock)
	if err != nil {
		return nil, err
	}
	if len(locks) == 1 {
		// Whole, with hashes: nothing is asked for that a newer release could break.
		ctr = ctr.
			WithFile("/opt/dagger/"+lock, source.File(lock)).
			WithExec([]string{pip, "install", "--quiet", "--no-deps", "--require-hashes", "-r", "/opt/dagger/" + lock})
	} else {
		ctr = ctr.
			WithNewFile("/opt/dagger/requirements.py", requirementsScript).
			WithFile("/opt/dagger/pyproject.toml", source.File("pyproject.toml")).
			WithExec([]string{"sh", "-ec", python + " /opt/dagger/requirements.py /opt/dagger/pyproject.toml >/opt/dagger/requirements.txt && " +
				pip + " install --quiet -r /opt/dagger/requirements.txt"})
	}
	return ctr.
		WithDirectory(sourceDir, modSource.ContextDirectory()).
		WithWorkdir(project).
		WithExec([]string{pip, "install", "--quiet", "--no-deps", "--no-build-isolation", "."}).
		WithoutMount("/root/.cache/pip").
		WithEntrypoint([]string{python, "-c", "import sys; from dagger.mod.cli import app; sys.exit(app())"}), nil
}

// Codegen returns the module's source as it is: the published dagger-io needs no generated client.
func (m *PythonSdk) Codegen(
	ctx context.Context,
	modSource *dagger.ModuleSource,
	introspectionJson *dagger.File,
) *dagger.GeneratedCode {
	return dag.GeneratedCode(modSource.ContextDirectory())
}

// words splits a module's name where Dagger does: at punctuation and at upper-case letters.
func words(name string) []string {
	var found []string
	var word strings.Builder
	flush := func() {
		if word.Len() > 0 {
			found = append(found, strings.ToLower(word.String()))
			word.Reset()
		}
	}
	for _, r := range name {
		switch {
		case !unicode.IsLetter(r) && !unicode.IsDigit(r):
			flush()
			continue
		case unicode.IsUpper(r):
			flush()
		}
		word.WriteRune(r)
	}
	flush()
	return found
}

func kebab(name string) string { return strings.Join(words(name), "-") }

func pascal(name string) string {
	var out strings.Builder
	for _, word := range words(name) {
		out.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	return out.String()
}
