// Package limit counts what keys do, over all shards: how many connections an address has
// (limit_conn), and how fast it sends requests (limit_req).
//
// A Zone is a table of bounded size that counts connections; what is counted is held by a
// Ref, one word without a pointer, that gives it back. A RateZone is a table of leaky
// buckets; a Trial judges one request by several of them. All of it is for shards: a call
// takes a lock of one of up to 64 parts of a table for some tens of nanoseconds, when
// something opens, ends or begins, and allocates nothing once a table has come to its size.
package limit
