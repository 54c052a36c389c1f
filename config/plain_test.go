package config

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A plain file is read as the lexer reads it; what is not plain is left to that.
func TestPlainAsLexed(t *testing.T) {
	pieces := []string{
		"10.0.0.0/8 a;\n", "# a comment; {\n", "  x\ty ;", "\n\n", "a b c d;\r\n", "e\nf\n;\n", "g;#h\n", "i j; k l;", "default  m;",
	}
	odd := []string{
		"\"q r\" s;", "t 'u';", "v {\nw x;\n}\n", "y\\ z;", "$a b;", "c#d e;", "é f;", "# é\n", "include nothing;", ";", "g", "a\vb c;", "#",
	}
	rng := rand.New(rand.NewPCG(1, 2))
	plainFiles := 0
	for i := range 300 {
		var b strings.Builder
		for b.Len() < plainMin/64 {
			b.WriteString(pieces[rng.IntN(len(pieces))])
			if i%2 == 1 && rng.IntN(100) == 0 {
				b.WriteString(odd[rng.IntN(len(odd))])
			}
		}
		text := b.String()
		text = text[:rng.IntN(len(text))]
		if i%4 == 0 {
			text = b.String()
		}
		lexed := &parser{loader: newLoader(Options{})}
		want := lexed.text("f", text)
		read := &parser{loader: newLoader(Options{})}
		got, ok := read.plainText("f", text)
		if !ok {
			continue
		}
		plainFiles++
		if len(lexed.problems) > 0 {
			t.Fatalf("plain, and wrong: %v\n%s", lexed.problems, text)
		}
		if diff := cmp.Diff(shown(want), shown(got)); diff != "" || read.statements != lexed.statements {
			t.Fatalf("%d and %d statements (-lexed +plain):\n%s\n%s", lexed.statements, read.statements, diff, text)
		}
	}
	if plainFiles < 75 {
		t.Errorf("%d files were plain", plainFiles)
	}
}

func shown(nodes []*node) (list []string) {
	for _, n := range nodes {
		list = append(list, fmt.Sprintf("%s %q %q %v", n.Position, n.name, n.args, n.isBlock))
	}
	return list
}
