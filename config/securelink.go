package config

import "strings"

// SecureLink is how links are verified: by Secret alone, or by Link and MD5.
type SecureLink struct {
	// Secret is hashed behind the rest of a link /prefix/hash/link (secure_link_secret).
	Secret Text
	// Link renders the hash that came with a request and, behind a comma, its end (secure_link);
	// MD5 the text that was hashed (secure_link_md5).
	Link, MD5 Text
}

func secureLinkDirectives() []Directive {
	return []Directive{
		{
			Name: "secure_link", Contexts: ctxAll, Args: "expression",
			Doc: "The checksum of a link and, behind a comma, the second since 1970 at which it ends, as the request has " +
				"them, for $secure_link and $secure_link_expires.",
			min: 1, max: 1, read: linkText(func(s *SecureLink) *Text { return &s.Link }),
		},
		{
			Name: "secure_link_md5", Contexts: ctxAll, Args: "expression",
			Doc: "The text whose MD5 in base64url the checksum of secure_link has to be.",
			min: 1, max: 1, read: linkText(func(s *SecureLink) *Text { return &s.MD5 }),
		},
		{
			Name: "secure_link_secret", Contexts: ctxAll, Args: "word",
			Doc: "A secret for links of the form /prefix/hash/link: $secure_link is the link if the hash is the MD5 of link " +
				"and secret.",
			min: 1, max: 1, read: linkText(func(s *SecureLink) *Text { return &s.Secret }),
		},
	}
}

// linkText reads a text of SecureLink. The two ways of verifying can't be mixed, and a level with
// one of them does not inherit the other.
func linkText(field func(*SecureLink) *Text) func(*level, *node) {
	return func(l *level, n *node) {
		link := &l.set.SecureLink
		*field(link) = Text{Position: n.Position, Text: n.args[0]}
		if n.name != "secure_link_secret" {
			l.text(n.Position, n.name, n.args[0])
		}
		for _, word := range []string{"secure_link", "secure_link_md5", "secure_link_secret"} {
			if _, mixed := l.seen[word]; mixed && strings.HasSuffix(word, "secret") != strings.HasSuffix(n.name, "secret") {
				l.add(Error, n.Position, "remove one of the two",
					`"secure_link_secret" cannot be mixed with "secure_link" and "secure_link_md5"`)
				return
			}
		}
		if n.name == "secure_link_secret" {
			link.Link, link.MD5 = Text{}, Text{}
		} else {
			link.Secret = Text{}
		}
	}
}
