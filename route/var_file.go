package route

// files is what says where the files of this request are; nil if nothing does.
func (e *Env) files() *Static {
	switch {
	case e.Location != nil:
		return e.Location.Static
	case e.Server != nil && e.Server.Content != nil:
		return e.Server.Content.Static
	}
	return nil
}

// varDocumentRoot is root, or alias, as it renders.
func varDocumentRoot(dst []byte, e *Env, _ *varArg) ([]byte, bool) {
	s := e.files()
	if s == nil {
		return dst, false
	}
	return s.appendRoot(dst, e), true
}

// varRequestFilename is the file that URI stands for.
func varRequestFilename(dst []byte, e *Env, _ *varArg) ([]byte, bool) {
	s := e.files()
	if s == nil {
		return dst, false
	}
	return s.AppendPath(dst, e), true
}
