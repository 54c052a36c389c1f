// Package shard is one event loop on one locked OS thread and everything that
// loop owns: sessions, timers, buffers, pipes, idle upstream connections and
// counters. Nothing in here is locked, shared or sent through a channel; the one
// way in from other threads is the mailbox.
//
// A session is one client connection and, while it has one, its upstream
// connection. It never leaves the shard that accepted it. Its record (session.go)
// is 128 bytes without pointers; what a request needs beside it (request.go) is
// lent at its first byte and returned when its response ends or its tunnel opens.
//
// There is one file for each state, in the order a connection meets them:
//
//	accept  readhead  connect  sendhead  readresp  body  switch  tunnel
//	idle    reply     linger   close
//
// Each file has the function that is called when its state might get on: on an
// event, a timer or a turn of the run queue. It believes errno, not events, does
// what it can and says whether to go on at once. state.go has the states, the
// legal edges, and setState, the only function that writes one. Beside the states:
// nexttry.go decides what follows a failed try with a peer, pooled.go keeps idle
// upstream connections, adhoc.go makes groups for addresses that proxy_pass renders,
// timeout.go says what each timer bounds, house.go gives memory back, and
// invariant.go, in binaries built with the tag "verify", checks the books after each
// turn.
package shard
