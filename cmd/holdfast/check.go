package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"holdfast/config"
)

func newCheck(src *source, io streams) *cobra.Command {
	return &cobra.Command{
		Use:   "check",
		Short: "Report every problem of a configuration at once",
		Long: "check reads a configuration and everything it includes, and prints every problem with file and line.\n" +
			"It exits with 1 if one of them is an error; warnings are no failure.",
		Example: "  holdfast check -c nginx.conf",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			cfg, problems := src.load()
			errors := 0
			for _, p := range problems {
				fmt.Fprintln(io.out, p)
				if p.Severity == config.Error {
					errors++
				}
			}
			fmt.Fprintf(io.out, "%s: %s, %s\n", src.path(),
				plural(errors, "error"), plural(len(problems)-errors, "warning"))
			if cfg == nil {
				return errSaid
			}
			return nil
		},
	}
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
