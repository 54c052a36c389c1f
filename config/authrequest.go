package config

import (
	"slices"
	"strings"
)

// AuthRequestSettings have another location say whether a request may come in.
type AuthRequestSettings struct {
	// URI is the path that is asked, with variables; empty asks nobody (auth_request).
	URI Text
	// Sets give variables a value from the answer (auth_request_set); a level with any inherits none.
	Sets []SetVariable
}

// authRequestDirectives are the rows about asking another location.
func authRequestDirectives() []Directive {
	return []Directive{
		{
			Name: "auth_request", Contexts: ctxAll, Args: "uri | off", Default: "off",
			Doc: "Asks a path of the same server, with a GET without a body, whether the request may come in: a 2xx admits " +
				"it, a 401 or a 403 is its answer, and anything else is a 500.",
			Deviation: "The path may have variables and arguments. error_page does not apply to its answers.",
			min:       1, max: 1, read: readAuthRequest,
		},
		{
			Name: "auth_request_set", Contexts: ctxAll, Args: "$variable value",
			Doc: "Gives a variable a value once auth_request has an answer, whose fields are $upstream_http_… then. A level " +
				"with any inherits none from outside.",
			min: 2, max: 2, repeat: true, read: readAuthRequestSet,
		},
	}
}

func readAuthRequest(l *level, n *node) {
	uri := n.args[0]
	if uri == "off" {
		l.set.AuthRequest.URI = Text{}
		return
	}
	if !strings.HasPrefix(uri, "/") && !strings.HasPrefix(uri, "$") {
		l.invalid(n, uri, "write a path that begins with /, or off")
		return
	}
	l.text(n.Position, n.name, uri)
	l.set.AuthRequest.URI = Text{Position: n.Position, Text: uri}
}

func readAuthRequestSet(l *level, n *node) {
	if l.first(n) {
		l.set.AuthRequest.Sets = nil
	}
	if !variableName.MatchString(n.args[0]) {
		l.add(Error, n.Position, "write: auth_request_set $NAME VALUE;", "invalid variable name %q", n.args[0])
		return
	}
	v := SetVariable{Position: n.Position, Name: n.args[0][1:], Value: n.args[1]}
	l.text(n.Position, n.name, v.Value)
	if !slices.Contains(settable, strings.ToLower(v.Name)) {
		l.sets[v.Name] = true
	}
	l.set.AuthRequest.Sets = append(l.set.AuthRequest.Sets, v)
}
