package tls_test

import (
	"encoding/binary"
	"io"
)

// The types of records (RFC 8446 section 5.1).
const (
	typeChangeCipherSpec = 20
	typeAlert            = 21
	typeHandshake        = 22
	typeApplication      = 23
	typeHeartbeat        = 24
)

// readRecord reads one whole record, its header included.
func readRecord(r io.Reader) ([]byte, error) {
	record := make([]byte, 5)
	if _, err := io.ReadFull(r, record); err != nil {
		return nil, err
	}
	record = append(record, make([]byte, binary.BigEndian.Uint16(record[3:]))...)
	_, err := io.ReadFull(r, record[5:])
	return record, err
}
