package config

import (
	"strconv"
	"strings"
)

// unclosed says what a text that ended too early left open: a quote, or else the innermost
// block, by the line where it begins. It is "" if all is closed.
func unclosed(text string) string {
	var blocks []int
	line := 1
	for fresh := true; text != ""; { // fresh: a word may begin here
		c, taken := text[0], 1
		switch {
		case fresh && c == '#':
			if taken = strings.IndexByte(text, '\n'); taken < 0 {
				taken = len(text)
			}
		case fresh && (c == '"' || c == '\''):
			if taken = quoted(text); taken < 0 {
				return "the quote that begins in line " + strconv.Itoa(line) + " is not closed"
			}
		case c == '\\' || strings.HasPrefix(text, "${"):
			taken = min(2, len(text))
		case c == '{':
			blocks = append(blocks, line)
		case c == '}' && len(blocks) > 0:
			blocks = blocks[:len(blocks)-1]
		}
		line += strings.Count(text[:taken], "\n")
		fresh = strings.IndexByte(" \t\r\n;{}", text[taken-1]) >= 0
		text = text[taken:]
	}
	if len(blocks) == 0 {
		return ""
	}
	return "the block that begins in line " + strconv.Itoa(blocks[len(blocks)-1]) + ` has no "}"`
}

// quoted is the length of the quoted word that text begins with; -1 if it does not end.
func quoted(text string) int {
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case text[0]:
			return i + 1
		}
	}
	return -1
}
