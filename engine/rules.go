package engine

import (
	"holdfast/config"
	"holdfast/route"
)

// rules compiles what a level says about which requests are let in.
func (b *builder) rules(r *route.Settings, s *config.Settings) {
	r.Access, r.SatisfyAny = route.NewAccess(accessRules(s.Access)), s.SatisfyAny
	r.Referers = b.referers(s.Referers)
	r.AuthRequest, r.Mirror = b.authRequest(&s.AuthRequest), b.mirror(&s.Mirror)
	link := &s.SecureLink
	var err error
	r.SecureLink, err = b.compiler.NewSecureLink(&route.SecureLinkSpec{
		Secret: link.Secret.Text, Link: link.Link.Text, MD5: link.MD5.Text,
	})
	if err != nil {
		at := link.MD5.Position
		if _, bad := b.compiler.Compile(link.Link.Text); bad != nil {
			at = link.Link.Position
		}
		b.fail(at, err)
	}
}

// referers compiles a valid_referers, once for all levels that inherit it.
func (b *builder) referers(s *config.Referers) *route.Referers {
	if s == nil {
		return nil
	}
	if done := b.shared.referers[s]; done != nil {
		return done
	}
	spec := route.ReferersSpec{None: s.None, Blocked: s.Blocked}
	for _, n := range s.Names {
		spec.Names = append(spec.Names, route.RefererName{Host: n.Host, URI: n.URI})
	}
	if s.Server != nil {
		for _, n := range s.Server.Names {
			spec.ServerNames = append(spec.ServerNames, route.ServerName{Text: n.Text, Regexp: n.Regexp})
		}
	}
	for _, re := range s.Regexps {
		spec.Regexps = append(spec.Regexps, re.Text)
	}
	compiled, err := b.compiler.NewReferers(&spec)
	if err != nil {
		b.fail(s.Position, err)
		return nil
	}
	b.shared.referers[s] = compiled
	return compiled
}

// except compiles a limit_except: a location inside the location, without what that says of rewriting.
func (b *builder) except(s *config.Except) *route.Except {
	if s == nil {
		return nil
	}
	return route.NewExcept(s.Methods, b.locations([]*config.Location{s.Location})[0].Location)
}

func geoSpec(g *config.Geo) *route.GeoSpec {
	if g == nil {
		return nil
	}
	return &route.GeoSpec{
		Starts4: g.Starts4, Index4: g.Index4, Starts6: g.Starts6, Index6: g.Index6, Values: g.Values,
		Proxies: g.Proxies, Recursive: g.Recursive,
	}
}

func splitShares(list []config.SplitShare) (shares []route.SplitShare) {
	if list != nil {
		shares = []route.SplitShare{}
	}
	for _, share := range list {
		shares = append(shares, route.SplitShare{Hundredths: share.Hundredths, Value: share.Value})
	}
	return shares
}

// authRequest compiles an auth_request; nil where nobody is asked.
func (b *builder) authRequest(s *config.AuthRequestSettings) *route.AuthRequest {
	if s.URI.Text == "" {
		return nil
	}
	var sets []route.SetSpec
	for _, set := range s.Sets {
		sets = append(sets, route.SetSpec{Name: set.Name, Value: set.Value})
	}
	compiled, bad, err := b.compiler.NewAuthRequest(s.URI.Text, sets)
	switch {
	case err != nil && bad >= 0:
		b.fail(s.Sets[bad].Position, err)
	case err != nil:
		b.fail(s.URI.Position, err)
	}
	return compiled
}
