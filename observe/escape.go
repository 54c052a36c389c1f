package observe

const hexDigits = "0123456789ABCDEF"

// valueBytesMax bounds one value from a client in a log line.
const valueBytesMax = 1024

// appendValue appends a value for a place between quotes. Bytes that could end the
// value, the line, or reach a terminal as control become \xXX, as nginx writes them in
// its access log: quotes, backslashes, and everything outside printable ASCII.
func appendValue[T string | []byte](dst []byte, value T) []byte {
	return appendEscaped(dst, value, true)
}

// appendText appends a message: as appendValue, but quotes and backslashes stay.
func appendText[T string | []byte](dst []byte, text T) []byte {
	return appendEscaped(dst, text, false)
}

func appendEscaped[T string | []byte](dst []byte, value T, quoted bool) []byte {
	cut := len(value) > valueBytesMax
	if cut {
		value = value[:valueBytesMax]
	}
	for i := range len(value) {
		c := value[i]
		if c < 0x20 || c > 0x7e || quoted && (c == '"' || c == '\\') {
			dst = append(dst, '\\', 'x', hexDigits[c>>4], hexDigits[c&15])
			continue
		}
		dst = append(dst, c)
	}
	if cut {
		dst = append(dst, "..."...)
	}
	return dst
}
