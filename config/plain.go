package config

import "strings"

// plainMin is the size in bytes from which a file is worth a look at whether it is plain.
const plainMin = 64 << 10

// plainSpecial are the characters that a plain file does not have outside of comments. The
// last one stands for all that is not ASCII.
const plainSpecial = "{}\"'\\$\x80"

// plain reads a file that has only statements without blocks, quotes and escapes, such as a
// long list of networks. It takes a tenth of the memory that tokens take: names and arguments
// alias the text. ok is false for any other file, of which nothing was read then.
func (p *parser) plain(file, text string) (nodes []*node, ok bool) {
	if len(text) < plainMin {
		return nil, false
	}
	return p.plainText(file, text)
}

func (p *parser) plainText(file, text string) (nodes []*node, ok bool) {
	if !isPlain(text) {
		return nil, false
	}
	count := strings.Count(text, ";")
	if p.statements+count > statementsMax {
		return nil, false
	}
	all, args := make([]node, 0, count), make([]string, 0, count)
	nodes = make([]*node, 0, count)
	begun := false // inside a statement
	for line := 1; text != ""; line++ {
		var rest string
		rest, text, _ = strings.Cut(text, "\n")
		for {
			word, end, left := plainWord(rest)
			rest = left
			if word != "" {
				switch {
				case !begun && len(all) == cap(all):
					return nil, false // a last statement without an end
				case !begun:
					all = append(all, node{Position: Position{file, line}, name: word})
					begun = true
				default:
					n := &all[len(all)-1]
					if len(n.args) > 0 {
						n.args = append(n.args, word)
						break
					}
					if len(args) == cap(args) {
						args = make([]string, 0, count)
					}
					args = append(args, word)
					n.args = args[len(args)-1 : len(args) : len(args)]
				}
			}
			if end {
				if !begun || all[len(all)-1].name == "include" {
					return nil, false
				}
				nodes = append(nodes, &all[len(all)-1])
				begun = false
			}
			if word == "" && !end {
				break
			}
		}
	}
	p.statements += len(nodes)
	return nodes, !begun
}

// isPlain looks for what a plain file does not have. A comment may have anything but what is no
// ASCII, since the file could be no UTF-8.
func isPlain(text string) bool {
	for text != "" {
		var line string
		line, text, _ = strings.Cut(text, "\n")
		if comment := strings.IndexByte(line, '#'); comment >= 0 {
			if strings.ContainsFunc(line[comment:], func(c rune) bool { return c >= 0x80 }) {
				return false
			}
			line = line[:comment]
			if line != "" && !strings.HasSuffix(line, ";") && strings.TrimRight(line, " \t;") == line {
				return false // a # inside a word
			}
		}
		for i := range len(line) {
			if c := line[i]; c >= 0x80 || c < ' ' && c != '\t' && c != '\r' || strings.IndexByte(plainSpecial, c) >= 0 {
				return false
			}
		}
	}
	return true
}

// plainWord takes the next word off a line, and the ";" behind it: end is set for that. At the end
// of the line there is neither.
func plainWord(line string) (word string, end bool, rest string) {
	line = strings.TrimLeft(line, " \t\r")
	if line == "" || line[0] == '#' {
		return "", false, ""
	}
	at := strings.IndexAny(line, "; \t\r")
	if at < 0 {
		return line, false, ""
	}
	if line[at] == ';' {
		return line[:at], true, line[at+1:]
	}
	return line[:at], false, line[at:]
}
