package config

import "strings"

// SplitShare is one line of split_clients: a share of all values of the source, and the value
// of the variable for them.
type SplitShare struct {
	// Hundredths is the share in hundredths of a percent; 0 is for all the rest (*).
	Hundredths uint32
	Value      string
}

// wholeSplit is 100 percent.
const wholeSplit = 10_000

func splitDirectives() []Directive {
	return []Directive{{
		Name: "split_clients", Contexts: CtxHTTP | CtxStream, Args: "string $variable { ... }",
		Doc: "Defines a variable that has each of several values for a share of the texts, such as 0.5%, by the " +
			"text's MurmurHash2; * is the rest.",
		min: 2, max: 2, form: block, repeat: true, phase: phaseDefine, read: readSplit,
	}}
}

func readSplit(l *level, n *node) {
	m := &Map{Position: n.Position, Source: n.args[0]}
	if !l.defines(n, m, n.args[1]) {
		return
	}
	l.text(m.Position, n.name, m.Source)
	sum := uint32(0)
	for _, line := range n.block {
		share, ok := l.splitLine(line)
		if !ok {
			continue
		}
		sum += share.Hundredths
		if share.Hundredths == 0 {
			sum = wholeSplit
		}
		if sum > wholeSplit {
			l.add(Error, line.Position, "write shares that add up to 100% at most, and * last",
				"percent total is greater than 100%%")
			return
		}
		m.Split = append(m.Split, share)
	}
	if m.Split == nil {
		m.Split = []SplitShare{}
	}
}

func (l *level) splitLine(line *node) (share SplitShare, ok bool) {
	const write = "write: PERCENT% VALUE; with two decimals at most, or * VALUE; for the rest"
	if line.isBlock || len(line.args) != 1 {
		l.add(Error, line.Position, write, "invalid number of parameters in %q", line.name)
		return share, false
	}
	share.Value = line.args[0]
	if line.name == "*" {
		return share, true
	}
	percent, isPercent := strings.CutSuffix(line.name, "%")
	if share.Hundredths, ok = parseHundredths(percent); !isPercent || !ok || share.Hundredths == 0 {
		l.add(Error, line.Position, write, "invalid percent value %q", line.name)
		return share, false
	}
	return share, true
}

// parseHundredths reads a number with up to two decimals, of which it is the hundredfold.
func parseHundredths(s string) (hundredths uint32, ok bool) {
	whole, decimals, _ := strings.Cut(s, ".")
	if whole == "" && decimals == "" || len(decimals) > 2 {
		return 0, false
	}
	digits := whole + decimals + "00"[len(decimals):]
	n, ok := parseInt(digits, 0)
	return uint32(n), ok
}
