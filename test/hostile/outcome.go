package hostile

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// End is how an exchange came to its end, as the client sees it.
type End string

// The ends.
const (
	EndDone     End = ""         // every answer that was due is here
	EndRefused  End = "refused"  // the last answer is the proxy's own, 4xx or 5xx
	EndClosed   End = "closed"   // the connection ended where an answer was due
	EndWaits    End = "waits"    // no answer, the connection is open: more of the request is due
	EndCut      End = "cut"      // the last answer is incomplete, and the client can tell
	EndSwitched End = "switched" // the last answer is a 101
	EndHeadless End = "headless" // the answer does not begin with a status line
)

// Outcome is what a proxy made of a case.
type Outcome struct {
	// Forwarded is how many whole requests reached the backend.
	Forwarded int
	// Statuses are the final statuses the client got, in order. In an allowed outcome
	// that is refused they are the alternatives for the last one.
	Statuses []int
	End      End
	// anyForwarded is set where an allowed outcome does not say how many.
	anyForwarded bool
}

// parseOutcomes reads "A | B": each is "forwarded N", "refused S/S", "forwarded N refused
// S/S", "answered S", "closed", "waits", "cut" or "switched", or forwarded with one of the
// latter.
func parseOutcomes(text string) ([]Outcome, error) {
	var all []Outcome
	for _, part := range strings.Split(text, " | ") {
		o := Outcome{anyForwarded: true}
		words := strings.Fields(part)
		for i := 0; i < len(words); i++ {
			argument := func() (string, error) {
				if i++; i == len(words) {
					return "", fmt.Errorf("%q lacks a number", part)
				}
				return words[i], nil
			}
			switch word := words[i]; word {
			case "forwarded":
				n, err := argument()
				if err != nil {
					return nil, err
				}
				if o.Forwarded, err = strconv.Atoi(n); err != nil {
					return nil, err
				}
				o.anyForwarded = false
			case "refused", "answered":
				list, err := argument()
				if err != nil {
					return nil, err
				}
				for _, s := range strings.Split(list, "/") {
					status, err := strconv.Atoi(s)
					if err != nil {
						return nil, err
					}
					o.Statuses = append(o.Statuses, status)
				}
				if word == "refused" {
					o.End = EndRefused
				}
			case "closed", "waits", "cut", "switched":
				o.End = End(word)
			default:
				return nil, fmt.Errorf("no outcome %q", word)
			}
		}
		all = append(all, o)
	}
	return all, nil
}

// matches tells whether seen is the allowed outcome o. scripted: by the backend's script.
func (o Outcome) matches(seen Outcome, scripted bool) bool {
	if o.End != seen.End {
		return false
	}
	wanted := o.Forwarded
	if !o.anyForwarded && seen.Forwarded != wanted || o.anyForwarded && !scripted && o.End != EndSwitched && seen.Forwarded != 0 {
		return false
	}
	switch {
	case o.End == EndRefused:
		last := len(seen.Statuses) - 1
		return slices.Contains(o.Statuses, seen.Statuses[last]) && (scripted || last == wanted)
	case len(o.Statuses) > 0:
		return slices.Equal(o.Statuses, seen.Statuses)
	case scripted || o.End != EndDone:
		return true
	}
	return len(seen.Statuses) == wanted
}

// String writes an outcome as the corpus does.
func (o Outcome) String() string {
	var words []string
	if o.Forwarded > 0 {
		words = append(words, "forwarded "+strconv.Itoa(o.Forwarded))
	}
	last := len(o.Statuses) - 1
	for i, status := range o.Statuses {
		if i == last && o.End == EndRefused {
			break
		}
		if status != 200 {
			words = append(words, "answered "+strconv.Itoa(status))
		}
	}
	switch {
	case o.End == EndRefused:
		words = append(words, "refused "+strconv.Itoa(o.Statuses[last]))
	case o.End != EndDone:
		words = append(words, string(o.End))
	case len(words) == 0:
		words = append(words, "answered 200")
	}
	return strings.Join(words, " ")
}
