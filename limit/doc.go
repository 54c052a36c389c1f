// Package limit counts what keys have in use, over all shards: the connections of an
// address, for example (limit_conn). A Zone is a table of bounded size; what is counted is
// held by a Ref, one word without a pointer, that gives it back. Acquire and Release are
// for shards: they take a lock of one in 64 parts of the table for some tens of
// nanoseconds, when something opens or ends, and allocate nothing.
package limit
