package tidy

import (
	"path"
	"regexp"
	"strings"
)

// FileNames refuses names that say nothing about what a file holds.
func FileNames(files []File, refused []string) []Finding {
	var found []Finding
	for _, f := range files {
		stem := strings.TrimSuffix(strings.SplitN(path.Base(f.Path), ".", 2)[0], "_test")
		for _, word := range refused {
			if stem == word || stem == word+"s" || path.Base(f.dir()) == word {
				found = append(found, Finding{Path: f.Path,
					Text: "the name \"" + word + "\" says nothing; name the file after what it knows"})
			}
		}
	}
	return found
}

// Word is text that must not stand in the tree.
type Word struct {
	Pattern *regexp.Regexp
	Instead string // what to do about it
}

// Words reports every line that a pattern matches.
func Words(files []File, words []Word) []Finding {
	var found []Finding
	for _, f := range files {
		for _, word := range words {
			if !word.Pattern.MatchString(f.Text) {
				continue
			}
			for i, line := range strings.Split(f.Text, "\n") {
				if hit := word.Pattern.FindString(line); hit != "" {
					found = append(found, Finding{Path: f.Path, Line: i + 1, Text: "\"" + hit + "\": " + word.Instead})
				}
			}
		}
	}
	return found
}
