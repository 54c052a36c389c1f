package sidebyside_test

import (
	"regexp"
	"strings"
)

// ownPage is what nginx and holdfast answer where nobody wrote a page. A body of nginx's
// may end with a comment for browsers that are gone.
var ownPage = regexp.MustCompile(`^(?:<!DOCTYPE html>\n)?<html>\r?\n<head><title>([0-9]{3})[^<]*</title></head>[\s\S]*` +
	`<hr>(?:<center>)?(?:nginx|holdfast)[\s\S]*</html>\r?\n`)

// phrases are nginx's reason phrases that RFC 9110 section 15 has otherwise.
var phrases = strings.NewReplacer(
	" 302 Moved Temporarily", " 302 Found",
	" 405 Not Allowed", " 405 Method Not Allowed",
	" 408 Request Time-out", " 408 Request Timeout",
	" 413 Request Entity Too Large", " 413 Content Too Large",
	" 414 Request-URI Too Large", " 414 URI Too Long",
	" 416 Requested Range Not Satisfiable", " 416 Range Not Satisfiable",
	" 503 Service Temporarily Unavailable", " 503 Service Unavailable",
	" 504 Gateway Time-out", " 504 Gateway Timeout",
)

// inOneVoice makes equal what nginx and holdfast say in their own words: the pages of
// answers without a body, reason phrases, and the Retry-After of holdfast's own 503.
// The cases that show them as they are say "raw".
func inOneVoice(start string, fields []string, body string) (string, []string, string) {
	own := ownPage.FindStringSubmatch(body)
	if own != nil {
		body = "page " + own[1]
		fields = lengthHidden(fields)
	}
	var kept []string
	for _, field := range fields {
		if own == nil || field != "  Retry-After: 1" {
			kept = append(kept, field)
		}
	}
	return phrases.Replace(start), kept, body
}

// lengthHidden is fields without the value of Content-Length.
func lengthHidden(fields []string) []string {
	for i, field := range fields {
		if strings.HasPrefix(field, "  Content-Length:") {
			fields[i] = "  Content-Length: N"
		}
	}
	return fields
}
