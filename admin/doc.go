// Package admin is what operators look at: the access and error log files, and the
// HTTP endpoint with metrics and status. Its goroutines never run on a shard's thread
// and never make one wait: a shard gives away a filled buffer (Sink.Swap) and appends
// its error lines to its own memory (observe.ErrorLog).
package admin
