package shard

// subrequest is a request that the proxy asks on its own before it goes on with the client's
// (auth_request).
type subrequest struct{}
