package config

import "strings"

// MirrorSettings have copies of requests sent to other locations too.
type MirrorSettings struct {
	// URIs are the paths of the copies, in file order; a level with any mirror inherits none
	// (mirror). None means that nothing is copied.
	URIs []string
	// Body copies the body with the request (mirror_request_body).
	Body bool
}

// mirrorDirectives are the rows about copies of requests.
func mirrorDirectives() []Directive {
	return []Directive{
		{
			Name: "mirror", Contexts: ctxAll, Args: "uri | off", Default: "off",
			Doc: "Sends a copy of each request to what a path of the same server passes it to, and takes no notice of the " +
				"answer. Several make several copies; a level with any inherits none from outside.",
			Deviation: "Copies are sent apart from the requests, over connections of their own, at most 256 at a time; 1024 " +
				"more wait, and beyond that none are made. A server whose name must be resolved for the request gets none. " +
				"The head of the answer has the time of proxy_read_timeout as a whole. A CONNECT is not copied.",
			min: 1, max: 1, repeat: true, read: readMirror,
		},
		{
			Name: "mirror_request_body", Contexts: ctxAll, Args: "on | off", Default: "on",
			Doc: "Whether a copy has the request's body, which is read before the request goes on then.",
			Deviation: "A body that client_body_buffer_size has no room for is not held: the request goes on, and there is " +
				"no copy of it. Without the body a copy says nothing of its length either.",
			min: 1, max: 1, form: onOffOnly, read: onOff(func(s *Settings) *bool { return &s.Mirror.Body }),
		},
	}
}

func readMirror(l *level, n *node) {
	m, uri := &l.set.Mirror, n.args[0]
	switch first := l.first(n); {
	case first:
		m.URIs = nil
	case uri == "off" || len(m.URIs) == 0:
		l.add(Error, n.Position, "write mirror off, or the paths", `"mirror" directive is duplicate`)
		return
	}
	if uri == "off" {
		return
	}
	if !strings.HasPrefix(uri, "/") {
		l.invalid(n, uri, "write a path that begins with /, or off")
		return
	}
	m.URIs = append(m.URIs[:len(m.URIs):len(m.URIs)], uri)
}
