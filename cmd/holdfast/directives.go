package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"holdfast/config"
)

func newDirectives(io streams) *cobra.Command {
	asJSON := false
	command := &cobra.Command{
		Use:   "directives [NAME]",
		Short: "List the directives, with what differs from nginx",
		Long: "directives lists what may be written in the configuration: each directive with its contexts, its default\n" +
			"and what differs from nginx. With NAME it tells all about one, also about those without effect or refused.",
		Example: "  holdfast directives\n  holdfast directives proxy_pass\n  holdfast directives --json",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			switch {
			case asJSON:
				return encodeDirectives(io, args)
			case len(args) == 0:
				return listDirectives(io)
			}
			return describeDirective(io, args[0])
		},
	}
	command.Flags().BoolVar(&asJSON, "json", false, "print them as JSON, with those without effect and those refused")
	return command
}

// listDirectives prints the supported directives, one a line; the others are only
// counted, since their names are nginx's and their number is large.
func listDirectives(io streams) error {
	table := tabwriter.NewWriter(io.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "NAME\tCONTEXT\tDEFAULT\tDIFFERS FROM NGINX")
	others := 0
	for _, d := range config.Directives() {
		if d.Support != config.Supported {
			others++
			continue
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", d.Name, d.Contexts, cmp.Or(d.Default, "-"), cmp.Or(d.Deviation, "-"))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(io.out,
		"\n%d more are known and have no effect, or are refused: holdfast directives NAME says which.\n", others)
	return err
}

// directive is one row as --json prints it.
type directive struct {
	Name      string   `json:"name"`
	Syntax    string   `json:"syntax"`
	Contexts  []string `json:"contexts"`
	Default   string   `json:"default,omitempty"`
	Support   string   `json:"support"`
	What      string   `json:"what"`
	Deviation string   `json:"deviation,omitempty"`
}

// encodeDirectives prints all rows, or those of one name.
func encodeDirectives(io streams, names []string) error {
	rows := []directive{}
	for _, d := range config.Directives() {
		if len(names) == 0 || d.Name == names[0] {
			rows = append(rows, directive{
				d.Name, strings.TrimSpace(d.Name + " " + d.Args), strings.Split(d.Contexts.String(), ", "), d.Default,
				d.Support.String(), d.Doc, d.Deviation,
			})
		}
	}
	if len(rows) == 0 {
		return noDirective(names[0])
	}
	encoder := json.NewEncoder(io.out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(rows)
}

func noDirective(name string) error {
	return fmt.Errorf("there is no directive %q; holdfast directives lists them", name)
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
		return noDirective(name)
	}
	return nil
}
