// Package distconsts stands in for a nested module of the Dagger engine that is
// not published on its own. It holds the names which the rest of the engine
// compiles against; the paths are where ci/toolchain puts the files before it
// starts the engine, inside the engine's own mount namespace.
package distconsts

// Where the engine keeps its state, listens, and finds its helpers.
const (
	EngineContainerName              = "dagger-engine.dev"
	EngineDefaultStateDir            = "/var/lib/dagger"
	EngineContainerBuiltinContentDir = "/usr/local/share/dagger/content"
	EngineCustomCACertsDir           = "/usr/local/share/ca-certificates"
	DefaultEngineSockAddr            = "unix:///run/dagger/engine.sock"
	RuncPath                         = "/usr/local/bin/runc"
	DaggerInitPath                   = "/usr/local/bin/dagger-init"
)

// Environment variables in which the engine finds the manifest digests of the
// SDKs that lie in EngineContainerBuiltinContentDir.
const (
	GoSDKManifestDigestEnvName         = "DAGGER_GO_SDK_MANIFEST_DIGEST"
	PythonSDKManifestDigestEnvName     = "DAGGER_PYTHON_SDK_MANIFEST_DIGEST"
	TypescriptSDKManifestDigestEnvName = "DAGGER_TYPESCRIPT_SDK_MANIFEST_DIGEST"
)

// OCIVersionAnnotation is the image annotation that names a release.
const OCIVersionAnnotation = "org.opencontainers.image.version"

// Images that the engine offers when a user asks for a terminal and names none.
const (
	AlpineVersion  = "3.22"
	AlpineImage    = "alpine:" + AlpineVersion
	GolangVersion  = "1.25"
	GolangImage    = "golang:" + GolangVersion + "-alpine"
	BusyboxVersion = "1.37"
	BusyboxImage   = "busybox:" + BusyboxVersion
)
