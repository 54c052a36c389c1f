// Package access verifies the names and passwords of clients (auth_basic) against files of
// users. A file is read off the loop and re-read when it changes. Hashes are computed by a
// bounded pool, since one may take a tenth of a second; credentials that it has found right
// are remembered, and a shard can ask about those at no cost.
package access
