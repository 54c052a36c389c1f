package main

import (
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"holdfast/config"
)

func newDirectives(io streams) *cobra.Command {
	return &cobra.Command{
		Use:   "directives [NAME]",
		Short: "List the directives, with what differs from nginx",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return listDirectives(io)
			}
			return describeDirective(io, args[0])
		},
	}
}

// listDirectives prints the supported directives, one a line; the others are only
// counted, since their names are nginx's and their number is large.
func listDirectives(io streams) error {
	table := tabwriter.NewWriter(io.out, 0, 0, 2, ' ', 0)
	others := 0
	for _, d := range config.Directives() {
		if d.Support != config.Supported {
			others++
			continue
		}
		fmt.Fprintf(table, "%s\t%s\t%s\n", d.Name, d.Contexts, d.Doc)
	}
	fmt.Fprintf(table, "\n%d more are known and have no effect, or are refused: holdfast directives NAME says which.\n",
		others)
	return table.Flush()
}

func describeDirective(io streams, name string) error {
	found := false
	for _, d := range config.Directives() {
		if d.Name != name {
			continue
		}
		if found {
			fmt.Fprintln(io.out)
		}
		found = true
		table := tabwriter.NewWriter(io.out, 0, 0, 2, ' ', 0)
		for _, row := range [][2]string{
			{"syntax", d.Name + " " + d.Args}, {"default", d.Default}, {"context", d.Contexts.String()},
			{"support", d.Support.String()}, {"what", d.Doc}, {"nginx", d.Deviation},
		} {
			if row[1] != "" {
				fmt.Fprintf(table, "%s:\t%s\n", row[0], row[1])
			}
		}
		if err := table.Flush(); err != nil {
			return err
		}
	}
	if !found {
		return fmt.Errorf("there is no directive %q; holdfast directives lists them", name)
	}
	return nil
}
