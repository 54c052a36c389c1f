package config

// fileDirectives are the rows about answering with files.
func fileDirectives() []Directive {
	return []Directive{
		{
			Name: "root", Contexts: ctxAll, Args: "path", Default: "html",
			Doc:       "The folder of the files: the request's path is looked up below it.",
			Deviation: "A relative path is joined to the prefix of holdfast.",
			min:       1, max: 1, read: readRoot,
		},
		{
			Name: "alias", Contexts: CtxLocation, Args: "path",
			Doc: "The folder that takes the place of the location's prefix; in a location with a regular expression, " +
				"the file.",
			Deviation: "A relative path is joined to the prefix of holdfast.",
			min:       1, max: 1, read: readRoot,
		},
		{
			Name: "index", Contexts: ctxAll, Args: "file ...", Default: "index.html",
			Doc:       "The file for a request that ends in a slash: the first that is there.",
			Deviation: "Folders are never listed: without such a file the answer is 403.",
			min:       1, max: -1, repeat: true, read: readIndex,
		},
		{
			Name: "try_files", Contexts: CtxServer | CtxLocation, Args: "file ... uri | file ... @name | file ... =code",
			Doc: "Answers with the first of the files that is there, or else goes on to the last argument.",
			Deviation: "A @name that the server does not have is an error when the configuration is read. " +
				"=code takes 200 to 599.",
			min: 2, max: -1, read: readTryFiles,
		},
		{
			Name: "types", Contexts: ctxAll, Args: "{ ... }", Default: "text/html html; image/gif gif; image/jpeg jpg;",
			Doc:  "The media types by the ending of a file's name.",
			form: block, repeat: true, read: readTypes,
		},
		{
			Name: "default_type", Contexts: ctxAll, Args: "mime-type", Default: "text/plain",
			Doc: "The Content-Type of a return with a text, and of files with an ending that types does not have.",
			min: 1, max: 1, read: readDefaultType,
		},
		{
			Name: "etag", Contexts: ctxAll, Args: "on | off", Default: "on",
			Doc: "The ETag field of files.",
			min: 1, max: 1, form: onOffOnly, read: onOff(func(s *Settings) *bool { return &s.Files.ETag }),
		},
		{
			Name: "if_modified_since", Contexts: ctxAll, Args: "off | exact | before", Default: "exact",
			Doc: "How the time in If-Modified-Since is compared with a file's.",
			min: 1, max: 1, read: readIfModifiedSince,
		},
		{
			Name: "max_ranges", Contexts: ctxAll, Args: "number", Default: "16",
			Doc:       "How many ranges of a file one answer may have; with more the whole file is sent. 0 turns ranges off.",
			Deviation: "Never more than 16.",
			min:       1, max: 1, read: readMaxRanges,
		},
		{
			Name: "sendfile", Contexts: ctxAll, Args: "on | off", Default: "on",
			Doc:       "Whether the kernel copies files to the client.",
			Deviation: "The default is on.",
			min:       1, max: 1, form: onOffOnly, read: onOff(func(s *Settings) *bool { return &s.Files.Sendfile }),
		},
		{
			Name: "log_not_found", Contexts: ctxAll, Args: "on | off", Default: "on",
			Doc: "Whether a file that is not there is a line in the error log.",
			min: 1, max: 1, form: onOffOnly, read: onOff(func(s *Settings) *bool { return &s.Files.LogNotFound }),
		},
		offDirective("autoindex", "Accepted; folders are never listed.", "remove it: folders are not listed"),
		offDirective("disable_symlinks", "Accepted; symbolic links are followed.",
			"remove it and keep links out of the folder: holdfast follows them, so it would not protect what it should"),
	}
}

// answerDirectives are the rows about our own answers and the fields of all.
func answerDirectives() []Directive {
	return []Directive{
		{
			Name: "error_page", Contexts: ctxAll, Args: "code ... [=[response]] uri | @name | URL",
			Doc: "What is answered in the place of an error. A level with any inherits none from outside.",
			Deviation: "A @name that a server does not have is an error when the configuration is read. " +
				"=response takes 200 to 599. A target may begin with a variable only if it is a URL with :// in it.",
			min: 2, max: -1, repeat: true, read: readErrorPage,
		},
		{
			Name: "recursive_error_pages", Contexts: ctxAll, Args: "on | off", Default: "off",
			Doc: "Whether an error of an error page may lead to another.",
			min: 1, max: 1, form: onOffOnly, read: onOff(func(s *Settings) *bool { return &s.RecursiveErrorPages }),
		},
		{
			Name: "internal", Contexts: CtxLocation,
			Doc:  "Answers 404 to clients: the location is for error_page, try_files and index.",
			read: readInternal,
		},
		{
			Name: "add_header", Contexts: ctxAll, Args: "name value [always]",
			Doc: "Adds a field to answers with status 200, 201, 204, 206, 301 to 304, 307 and 308, or to all. " +
				"A level with any inherits none from outside.",
			Deviation: "Refused for fields that end a message or a connection, such as Content-Length and Connection.",
			min:       2, max: 3, repeat: true, read: readAddHeader,
		},
		{
			Name: "expires", Contexts: ctxAll, Args: "[modified] time | epoch | max | off", Default: "off",
			Doc: "Sets Expires and Cache-Control.",
			min: 1, max: 2, read: readExpires,
		},
		{
			Name: "server_tokens", Contexts: ctxAll, Args: "on | off | build | string", Default: "off",
			Doc: "What the Server field and error pages tell: holdfast, with on its version, with build its commit, " +
				"or a text of one's own.",
			Deviation: "The default is off. The text is for all and has no variables.",
			min:       1, max: 1, read: readServerTokens,
		},
		{
			Name: "early_hints", Contexts: ctxAll, Args: "string ...",
			Doc: "Passes 103 answers of the upstream if one of the texts is neither empty nor 0.",
			min: 1, max: -1, repeat: true, read: readEarlyHints,
		},
	}
}
