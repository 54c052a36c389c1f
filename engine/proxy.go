package engine

import (
	"holdfast/config"
	"holdfast/route"
)

// proxyHeads fills in what a location says about the heads it sends and gets.
func proxyHeads(spec *route.ProxySpec, set *config.ProxyHeads) {
	spec.Redirects, spec.RedirectOff = replacements(&set.Redirects), set.Redirects.Off
	spec.CookieDomains = replacements(&set.CookieDomains)
	spec.CookiePaths = replacements(&set.CookiePaths)
	for _, f := range set.CookieFlags.List {
		spec.CookieFlags = append(spec.CookieFlags, route.CookieFlags{Name: f.Name, Regexp: f.Regexp, Flags: f.Flags})
	}
	for from, to := range ignoredFields {
		if set.Ignored&from != 0 {
			spec.Ignored |= to
		}
	}
	spec.Method = set.Method.Text
	if set.Body != nil {
		spec.SetBody = &set.Body.Text
	}
	spec.DropBody, spec.DropFields = set.DropBody, set.DropFields
	spec.Bind, spec.BindTransparent = set.Bind.Addrs, set.Bind.Transparent
}

// ignoredFields are the members of proxy_ignore_headers that change anything here: nothing
// is cached, and no charset is changed.
var ignoredFields = map[config.IgnoredFields]route.IgnoredFields{
	config.IgnoreAccelRedirect:  route.IgnoreAccelRedirect,
	config.IgnoreAccelLimitRate: route.IgnoreAccelLimitRate,
	config.IgnoreAccelBuffering: route.IgnoreAccelBuffering,
}

func replacements(set *config.Replacements) (list []route.Replacement) {
	for _, r := range set.List {
		list = append(list, route.Replacement{Default: r.Default, From: r.From, Regexp: r.Regexp, To: r.To})
	}
	return list
}

// answerForm translates what shapes redirects and codings into r.
func answerForm(r *route.Settings, s *config.Settings) {
	r.Redirects = route.RedirectForm{
		Relative: !s.Redirects.Absolute, NoPort: !s.Redirects.Port, ServerName: s.Redirects.ServerName,
	}
	r.NoChunked = !s.Chunked
	r.IgnoreClientAbort = s.Proxy.Heads.IgnoreClientAbort
}

// handler translates what answers in a location.
func (b *builder) handler(h config.Handler) route.Handler {
	b.sn.StubStatus = b.sn.StubStatus || h == config.HandlerStatus
	return route.Handler(h)
}

// trailers compiles add_trailer.
func (b *builder) trailers(s *config.Settings) *route.Trailers {
	var list []route.AddHeader
	for _, t := range s.AddTrailers {
		list = append(list, route.AddHeader{Name: t.Name, Value: t.Value, Always: t.Always})
		if _, err := b.compiler.NewTrailers(list[len(list)-1:]); err != nil {
			b.fail(t.Position, err)
		}
	}
	done, _ := b.compiler.NewTrailers(list) // what is wrong with it has been said
	return done
}
