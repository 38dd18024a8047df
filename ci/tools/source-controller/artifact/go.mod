module github.com/fluxcd/pkg/artifact

go 1.26.0
