// Package certs turns files with certificates, keys and lists of revoked certificates into
// what crypto/tls needs, and replaces it while handshakes go on when the files change.
//
// A Store owns all of it. Server is what a virtual server offers its clients, Client how a
// location speaks to its upstream; both stay the same while what they hand out changes with
// the files. Choose picks the server of a client by its hello.
//
// A file that can't be used never takes the place of one that could: the old one stays, and
// the log says why. Secrets are kept in memory only, and never appear in a message.
package certs
