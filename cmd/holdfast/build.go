package main

import (
	"fmt"
	"runtime/debug"
	"strings"
)

// buildText lists how the binary was built, one setting a line.
func buildText() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "built without build information\n"
	}
	var b strings.Builder
	for _, s := range info.Settings {
		fmt.Fprintf(&b, "%s=%s\n", s.Key, s.Value)
	}
	for _, dep := range info.Deps {
		fmt.Fprintf(&b, "%s %s\n", dep.Path, dep.Version)
	}
	return b.String()
}
