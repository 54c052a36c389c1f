package config

import "time"

// Where TLS with clients is set, and TLS with upstreams; widenToStream adds stream.
const (
	sslPlaces      = CtxHTTP | CtxServer
	proxySSLPlaces = ctxAll
)

// sslDirectives are the rows about TLS with clients.
func sslDirectives() []Directive {
	rows := append(sslCertificateDirectives(), sslSessionDirectives()...)
	rows = append(rows, sslClientDirectives()...)
	for i := range rows {
		rows[i].Contexts = sslPlaces
	}
	return append(rows, Directive{
		Name: "ssl_handshakes", Contexts: CtxMain | CtxEvents, Args: "[active=number] [queue=number] [computing=number]",
		Default: "active=1024 queue=16384",
		Doc: "How many TLS handshakes of the process are under way, and how many wait for one to end; past that " +
			"new ones are refused. computing is how many use a processor at the same time: one for every two.",
		Deviation: "Not in nginx.",
		min:       1, max: 3, read: readHandshakes,
	}, Directive{
		Name: "ssl_ktls", Contexts: CtxMain | CtxEvents, Args: "on | off", Default: "off",
		Doc: "Has the kernel seal and open the records of TLS connections, with clients and with upstreams, where it can. " +
			"What it can't take stays in the program; where it has no TLS at all, that is logged at the start.",
		Deviation: "Not in nginx, where it is \"ssl_conf_command Options KTLS\". See docs/tls.md for what it is good for.",
		min:       1, max: 1, form: onOffOnly,
		read: func(l *level, n *node) { l.cfg.Events.KernelTLS = isOn(n.args[0]) },
	})
}

func sslCertificateDirectives() []Directive {
	return []Directive{
		{
			Name: "ssl_certificate", Args: "file",
			Doc: "A file with the server's certificate and the authorities between it and the root, as PEM. " +
				"Several, such as one with ECDSA and one with RSA, each belong to the ssl_certificate_key of the same number.",
			Deviation: "The file is read again when it changes, and on HUP. Variables are refused.",
			min:       1, max: 1, repeat: true, read: readCertificate,
		},
		{
			Name: "ssl_certificate_key", Args: "file",
			Doc:       "The secret key of the certificate of the same number, as PEM.",
			Deviation: "Must stay readable for the user that the process becomes. engine: and store: are refused.",
			min:       1, max: 1, repeat: true, read: readCertificateKey,
		},
		{
			Name: "ssl_password_file", Args: "file", Doc: "Passwords of encrypted keys, one a line, tried in turn.",
			min: 1, max: 1, read: namedFile(func(s *Settings) *File { return &s.SSL.PasswordFile }),
		},
		{
			Name: "ssl_protocols", Args: "[TLSv1.2] [TLSv1.3]", Default: "TLSv1.2 TLSv1.3",
			Doc: "The versions of TLS that are spoken.",
			Deviation: "SSLv2 to TLSv1.1 are not spoken: naming one of them is an error where it counts, and a " +
				"warning where nothing listens with it.",
			min: 1, max: -1, read: readProtocols(func(s *Settings) *SSLProtocols { return &s.SSL.Protocols }),
		},
		{
			Name: "ssl_ciphers", Args: "ciphers", Default: "HIGH:!aNULL:!MD5",
			Doc: "The suites of TLS 1.2, as a list of OpenSSL.",
			Deviation: "There are suites with AES-GCM and ChaCha20-Poly1305 only; what else is listed is a warning. Those " +
				"without forward secrecy must be named, or asked for by RSA or kRSA. Their order is that of the " +
				"program, by what the hardware of both sides does well. TLS 1.3 has all its three.",
			min: 1, max: 1, read: readCiphers(func(s *Settings) *[]uint16 { return &s.SSL.Ciphers }),
		},
		{
			Name: "ssl_ecdh_curve", Args: "curve[:curve...] | auto", Default: "auto",
			Doc: "The key exchanges: X25519MLKEM768, SecP256r1MLKEM768, SecP384r1MLKEM1024, X25519, prime256v1, " +
				"secp384r1, secp521r1.",
			Deviation: "auto has the hybrid ones, which quantum computers don't break, first. Their order is that of the " +
				"program.",
			min: 1, max: 1, read: readCurves,
		},
		{
			Name: "ssl_prefer_server_ciphers", Args: "on | off", Default: "off", Doc: "Accepted.",
			Deviation: "The server always chooses, by what the hardware of both sides does well.",
			min:       1, max: 1, form: onOffOnly, read: readNothing,
		},
		{
			Name: "ssl_dhparam", Args: "file", Doc: "Accepted; the file is not read.",
			Deviation: "There are no suites with finite-field Diffie-Hellman.",
			min:       1, max: 1, read: readNothing,
		},
		{
			Name: "ssl_buffer_size", Args: "size", Default: "16k", Doc: "Accepted.",
			Deviation: "A record has at most 16k of what is ready to be sent, and never waits for more.",
			min:       1, max: 1, read: readIgnoredSize,
		},
		{
			Name: "ssl_early_data", Args: "on | off", Default: "off", Doc: "Accepted.",
			Deviation: "Early data is never taken, so none can be replayed; on is a warning. Clients send it again.",
			min:       1, max: 1, form: onOffOnly, read: readEarlyData,
		},
		{
			Name: "ssl_reject_handshake", Args: "on | off", Default: "off",
			Doc: "Refuses the handshakes of clients that ask for a name of this server.",
			min: 1, max: 1, form: onOffOnly, read: onOff(func(s *Settings) *bool { return &s.SSL.RejectHandshake }),
		},
		{
			Name: "ssl_handshake_timeout", Args: "time", Default: "60s", Doc: "How long a TLS handshake may take.",
			Deviation: "Also in http, where nginx has client_header_timeout for it. That of the address's default server " +
				"counts.",
			min: 1, max: 1, read: duration(func(s *Settings) *time.Duration { return &s.SSL.HandshakeTimeout }),
		},
	}
}

func sslSessionDirectives() []Directive {
	return []Directive{
		{
			Name: "ssl_session_timeout", Args: "time", Default: "5m",
			Doc: "How long a session can be resumed.",
			min: 1, max: 1, read: duration(func(s *Settings) *time.Duration { return &s.SSL.SessionTimeout }),
		},
		{
			Name: "ssl_session_cache", Args: "off | none | [builtin[:size]] [shared:name:size]", Default: "none",
			Doc:       "Accepted.",
			Deviation: "Sessions are in tickets that clients keep, so there is no cache; ssl_session_tickets turns them off.",
			min:       1, max: 2, read: readSessionCache,
		},
		{
			Name: "ssl_session_tickets", Args: "on | off", Default: "on", Doc: "Lets clients resume sessions with tickets.",
			min: 1, max: 1, form: onOffOnly, read: onOff(func(s *Settings) *bool { return &s.SSL.SessionTickets }),
		},
		{
			Name: "ssl_session_ticket_key", Args: "file",
			Doc: "A file with a key for tickets, 48 or 80 random bytes. The first one encrypts, all decrypt. All " +
				"processes with the same file resume each other's sessions.",
			Deviation: "The form of the tickets is not nginx's: the two can't share sessions. Without a file the process " +
				"makes keys, and new ones each hour; nginx keeps those of the start.",
			min: 1, max: 1, repeat: true, read: readTicketKey,
		},
		{
			Name: "ssl_stapling", Args: "on | off", Default: "off",
			Doc:       "Sends the OCSP response of ssl_stapling_file along.",
			Deviation: "Responses are not fetched: without a file, on is a warning.",
			min:       1, max: 1, form: onOffOnly, read: onOff(func(s *Settings) *bool { return &s.SSL.Stapling }),
		},
		{
			Name: "ssl_stapling_file", Args: "file", Doc: "The OCSP response that ssl_stapling sends, as DER.",
			Deviation: "Is sent with the certificate it is about only.",
			min:       1, max: 1, read: namedFile(func(s *Settings) *File { return &s.SSL.StaplingFile }),
		},
	}
}

func sslClientDirectives() []Directive {
	return []Directive{
		{
			Name: "ssl_verify_client", Args: "on | off | optional | optional_no_ca", Default: "off",
			Doc: "Asks clients for a certificate. What it is worth is in $ssl_client_verify.",
			min: 1, max: 1, read: readVerifyClient,
		},
		{
			Name: "ssl_verify_depth", Args: "number", Default: "1",
			Doc: "How many certificates may stand between the client's and one that is trusted.",
			min: 1, max: 1, read: number(func(s *Settings) *int { return &s.SSL.VerifyDepth }),
		},
		{
			Name: "ssl_client_certificate", Args: "file",
			Doc: "The authorities that certificates of clients are verified by, as PEM. Clients are told their names.",
			Deviation: "Whatever is in the file is trusted, also an authority in the middle of a chain. Certificates are " +
				"verified anew when a session is resumed.",
			min: 1, max: 1, read: namedFile(func(s *Settings) *File { return &s.SSL.ClientCertificate }),
		},
		{
			Name: "ssl_trusted_certificate", Args: "file",
			Doc: "More authorities that certificates of clients are verified by, of which clients are not told.",
			min: 1, max: 1, read: namedFile(func(s *Settings) *File { return &s.SSL.TrustedCertificate }),
		},
		{
			Name: "ssl_crl", Args: "file", Doc: "Lists of revoked certificates, as PEM, of every authority of a chain.",
			min: 1, max: 1, read: namedFile(func(s *Settings) *File { return &s.SSL.CRL }),
		},
		{
			Name: "ssl_ocsp", Args: "off", Default: "off", Doc: "Accepted.",
			Deviation: "Asking an authority about each client is not supported: anything but off is refused.",
			min:       1, max: 1, read: readOffOnly,
		},
		confCommand("ssl_conf_command"),
	}
}

// proxySSLDirectives are the rows about TLS with upstreams.
func proxySSLDirectives() []Directive {
	rows := []Directive{
		{
			Name: "proxy_ssl_certificate", Args: "file",
			Doc:       "The certificate to show an upstream that asks for one, as PEM.",
			Deviation: "Variables are refused. The file is read again when it changes, and on HUP.",
			min:       1, max: 1, read: certificateFile(func(s *Settings) *File { return &s.Proxy.SSL.Certificate }),
		},
		{
			Name: "proxy_ssl_certificate_key", Args: "file", Doc: "The secret key of proxy_ssl_certificate, as PEM.",
			min: 1, max: 1, read: certificateFile(func(s *Settings) *File { return &s.Proxy.SSL.Key }),
		},
		{
			Name: "proxy_ssl_password_file", Args: "file", Doc: "Passwords of an encrypted key, one a line, tried in turn.",
			min: 1, max: 1, read: namedFile(func(s *Settings) *File { return &s.Proxy.SSL.PasswordFile }),
		},
		{
			Name: "proxy_ssl_protocols", Args: "[TLSv1.2] [TLSv1.3]", Default: "TLSv1.2 TLSv1.3",
			Doc: "The versions of TLS that are spoken to upstreams.", Deviation: "As of ssl_protocols.",
			min: 1, max: -1, read: readProtocols(func(s *Settings) *SSLProtocols { return &s.Proxy.SSL.Protocols }),
		},
		{
			Name: "proxy_ssl_ciphers", Args: "ciphers", Default: "DEFAULT",
			Doc: "The suites of TLS 1.2 that upstreams are offered.", Deviation: "As of ssl_ciphers.",
			min: 1, max: 1, read: readCiphers(func(s *Settings) *[]uint16 { return &s.Proxy.SSL.Ciphers }),
		},
		{
			Name: "proxy_ssl_verify", Args: "on | off", Default: "off",
			Doc:       "Verifies the certificate of the upstream.",
			Deviation: "An address as the name may also be among the addresses of the certificate.",
			min:       1, max: 1, form: onOffOnly, read: onOff(func(s *Settings) *bool { return &s.Proxy.SSL.Verify }),
		},
		{
			Name: "proxy_ssl_verify_depth", Args: "number", Default: "1",
			Doc: "How many certificates may stand between the upstream's and one that is trusted.",
			min: 1, max: 1, read: number(func(s *Settings) *int { return &s.Proxy.SSL.Depth }),
		},
		{
			Name: "proxy_ssl_trusted_certificate", Args: "file",
			Doc:       "The authorities that the certificate of the upstream is verified by, as PEM.",
			Deviation: "Whatever is in the file is trusted, also an authority in the middle of a chain.",
			min:       1, max: 1, read: namedFile(func(s *Settings) *File { return &s.Proxy.SSL.Trusted }),
		},
		{
			Name: "proxy_ssl_crl", Args: "file", Doc: "Lists of revoked certificates, as PEM, of every authority of a chain.",
			min: 1, max: 1, read: namedFile(func(s *Settings) *File { return &s.Proxy.SSL.CRL }),
		},
		{
			Name: "proxy_ssl_name", Args: "name", Default: "$proxy_host",
			Doc: "The name that the certificate of the upstream must have, and that it is asked for.",
			min: 1, max: 1, read: readProxySSLName,
		},
		{
			Name: "proxy_ssl_server_name", Args: "on | off", Default: "off",
			Doc: "Tells the upstream the name at the start of the handshake (SNI).",
			min: 1, max: 1, form: onOffOnly, read: onOff(func(s *Settings) *bool { return &s.Proxy.SSL.SendName }),
		},
		{
			Name: "proxy_ssl_session_reuse", Args: "on | off", Default: "on",
			Doc:       "Resumes sessions with upstreams.",
			Deviation: "The certificate is verified anew when a session is resumed.",
			min:       1, max: 1, form: onOffOnly, read: onOff(func(s *Settings) *bool { return &s.Proxy.SSL.SessionReuse }),
		},
		confCommand("proxy_ssl_conf_command"),
	}
	for i := range rows {
		rows[i].Contexts = proxySSLPlaces
	}
	return rows
}

func confCommand(name string) Directive {
	return Directive{
		Name: name, Args: "Ciphersuites value | Options value", Doc: "Accepted with a warning.",
		Deviation: "OpenSSL is not used. Commands that would change what is offered are refused, but for Ciphersuites: " +
			"TLS 1.3 always has its three suites.",
		min: 2, max: 2, repeat: true, read: readConfCommand,
	}
}
