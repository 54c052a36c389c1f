package config

import "strings"

// inIf are the directives that nginx also allows in an if block of a location, with
// tunnel_log, which goes with access_log.
const inIf = `access_log add_header error_page expires gzip limit_rate limit_rate_after proxy_pass root sendfile
	tunnel_log`

// ctxRewrite is where the directives of the rewrite module go.
const ctxRewrite = CtxServer | CtxLocation | CtxIf | CtxServerIf

// widenToIf adds the context of if blocks to the rows that may stand there.
func widenToIf(all []Directive) {
	names := map[string]bool{}
	for _, name := range strings.Fields(inIf) {
		names[name] = true
	}
	for i := range all {
		if d := &all[i]; d.Contexts&CtxLocation != 0 && names[d.Name] {
			d.Contexts |= CtxIf
		}
	}
}

// rewriteDirectives are the rows of the rewrite module, whose order within a block counts.
func rewriteDirectives() []Directive {
	const regexes = "Regular expressions are those of RE2: no lookaround, no backreferences."
	all := []Directive{
		{
			Name: "rewrite", Contexts: ctxRewrite, Args: "regex replacement [last | break | redirect | permanent]",
			Doc: "Changes the path of requests that match, or redirects them. The arguments of the request are kept " +
				"unless the replacement ends in a question mark.",
			Deviation: regexes + ` A path that does not begin with "/" gets one. A path and arguments longer than 64k ` +
				"are answered with 500.",
			min: 2, max: 3, repeat: true, read: readRewrite,
		},
		{
			Name: "set", Contexts: ctxRewrite, Args: "$variable value",
			Doc: "Gives a variable a value when the directive is reached: one of your own, that of a map, $args or " +
				"$limit_rate.",
			min: 2, max: 2, repeat: true, read: readSetVariable,
		},
		{
			Name: "if", Contexts: CtxServer | CtxLocation, Args: "(condition) { ... }",
			Doc: "Runs the rewrite directives of the block if the condition is true. In a location, the rest of the block " +
				"then takes the place of the location's settings, which it inherits; of several such blocks that of the last.",
			Deviation: regexes,
			min:       1, max: -1, form: block, repeat: true, phase: phaseDescend, read: readIf,
		},
		{
			Name: "break", Contexts: ctxRewrite, Doc: "Ends the rewrite directives of the block and of those around it.",
			repeat: true, read: readBreak,
		},
		{
			Name: "return", Contexts: ctxRewrite, Args: "code [text] | code URL | URL",
			Doc: "Answers at once; code 444 closes the connection without an answer.",
			min: 1, max: 2, repeat: true, read: readReturn,
		},
		{
			Name: "rewrite_log", Contexts: ctxAll | CtxIf | CtxServerIf, Args: "on | off", Default: "off",
			Doc: "Writes what rewrite directives do to the error log, at level notice.",
			min: 1, max: 1, form: onOffOnly, read: onOff(func(s *Settings) *bool { return &s.RewriteLog }),
		},
	}
	return append(all, rows(NoEffect, []group{
		{ctxAll | CtxIf | CtxServerIf, "a variable without a value is empty, and nothing is logged about it",
			`uninitialized_variable_warn`},
	})...)
}
