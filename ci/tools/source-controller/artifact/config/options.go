// Package config holds the flags of the artifact storage and server.
package config

import (
	"time"

	"github.com/spf13/pflag"
)

// Options are the flags of the controller that this module reads.
type Options struct {
	// StoragePath is the folder that artifacts are kept in.
	StoragePath string
	// StorageAddress is where they are served.
	StorageAddress string
	// StorageAdvAddress is the host name that their URLs begin with.
	StorageAdvAddress string
	// ArtifactDigestAlgo names the algorithm that they are summed with.
	ArtifactDigestAlgo string
	// ArtifactRetentionTTL is how long an old artifact is kept.
	ArtifactRetentionTTL time.Duration
	// ArtifactRetentionRecords is how many artifacts are kept at least.
	ArtifactRetentionRecords int
}

// BindFlags declares the flags, by the names that the controller's own have.
func (o *Options) BindFlags(flags *pflag.FlagSet) {
	flags.StringVar(&o.StoragePath, "storage-path", "/data", "folder of the artifacts")
	flags.StringVar(&o.StorageAddress, "storage-addr", ":9090", "address of the artifact server")
	flags.StringVar(&o.StorageAdvAddress, "storage-adv-addr", "localhost:9090", "host name in the artifacts' URLs")
	flags.StringVar(&o.ArtifactDigestAlgo, "artifact-digest-algo", "sha256", "algorithm of the artifacts' digests")
	flags.DurationVar(&o.ArtifactRetentionTTL, "artifact-retention-ttl", time.Minute, "how long old artifacts are kept")
	flags.IntVar(&o.ArtifactRetentionRecords, "artifact-retention-records", 2, "how many artifacts are kept at least")
}
