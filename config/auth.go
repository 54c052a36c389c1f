package config

import "strings"

// AuthSettings ask clients for a name and a password.
type AuthSettings struct {
	// Realm is a text with variables; empty where auth_basic is not written, and off asks
	// nobody (auth_basic).
	Realm Text
	// Written says that there is a realm: it may be the empty text.
	Written bool
	// File has the users (auth_basic_user_file); its path is empty for none.
	File File
}

// authDirectives are the rows about passwords of clients.
func authDirectives() []Directive {
	return []Directive{
		{
			Name: "auth_basic", Contexts: ctxAll, Args: "text | off", Default: "off",
			Doc: "Asks clients for a user and a password, with this text as the realm: a 401, for a CONNECT a 407, " +
				"unless they are in auth_basic_user_file. The text may have variables.",
			Deviation: "Two Authorization fields are a 400. A user and password longer than 1,024 bytes are not taken.",
			min:       1, max: 1, read: readAuthBasic,
		},
		{
			Name: "auth_basic_user_file", Contexts: ctxAll, Args: "file",
			Doc: "The users, one a line: user:hash or user:hash:comment. Hashes are those of bcrypt, $5$, $6$, $apr1$, " +
				"$1$, {SSHA}, {SHA}, and {PLAIN} before a password. Without the file the answer is 403.",
			Deviation: "No variables. Hashes of crypt(3) in its other forms are not supported. The file is looked at every " +
				"five seconds, and when a password is verified that was not before.",
			min: 1, max: 1, read: readAuthFile,
		},
	}
}

func readAuthBasic(l *level, n *node) {
	realm := n.args[0]
	if strings.ContainsFunc(realm, func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }) {
		l.invalid(n, realm, "write a text without control characters")
		return
	}
	l.text(n.Position, n.name, realm)
	l.set.Auth.Realm, l.set.Auth.Written = Text{Position: n.Position, Text: realm}, true
}

func readAuthFile(l *level, n *node) {
	if strings.Contains(n.args[0], "$") {
		l.refused = true
		l.add(Error, n.Position, "write one file, or a location for each", "variables in %q are not supported", n.name)
		return
	}
	f, ok := l.file(n)
	if ok && f.Path == "" {
		l.invalid(n, n.args[0], "write the name of a file")
		return
	}
	l.set.Auth.File = f
}
