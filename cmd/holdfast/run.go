package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"holdfast/demo"
	"holdfast/engine"
)

func newRun(src *source, io streams) *cobra.Command {
	return &cobra.Command{
		Use:   "run",
		Short: "Run the proxy in the foreground",
		Long: "run reads the configuration and serves until a signal ends it: TERM or INT at once, QUIT gracefully.\n" +
			"It writes its pid file once its ports listen.",
		Example: "  holdfast run -c nginx.conf",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return serve(cmd.Context(), *src, io) },
	}
}

// serve runs the proxy until a signal or ctx ends it.
func serve(ctx context.Context, src source, io streams) error {
	cfg, problems := src.load()
	for _, p := range problems {
		fmt.Fprintln(io.err, p)
	}
	if cfg == nil {
		return errSaid
	}
	demo.StopWorkerPools()
	return engine.Run(ctx, engine.Options{
		Config: cfg, ConfigPath: src.path(), Version: version, Stderr: io.err, Load: src.read,
	})
}
