package observe

const hexDigits = "0123456789ABCDEF"

const (
	// valueBytesMax bounds one value from a client in a log line.
	valueBytesMax = 1024
	// textBytesMax bounds a message that has one such value in it, escaped.
	textBytesMax = 4*valueBytesMax + 512
)

// AppendQuoted appends a value from a client between quotes, for the Text of an Entry: what could
// end it is escaped as in the values behind the message.
func AppendQuoted[T string | []byte](dst []byte, value T) []byte {
	return append(appendValue(append(dst, '"'), value), '"')
}

// appendValue appends a value for a place between quotes. Bytes that could end the
// value, the line, or reach a terminal as control become \xXX, as nginx writes them in
// its access log: quotes, backslashes, and everything outside printable ASCII.
func appendValue[T string | []byte](dst []byte, value T) []byte {
	return appendEscaped(dst, value, valueBytesMax, true)
}

// appendText appends a message: as appendValue, but quotes and backslashes stay.
func appendText[T string | []byte](dst []byte, text T) []byte {
	return appendBounded(dst, text, valueBytesMax)
}

// appendBounded is appendText for up to most bytes of the text.
func appendBounded[T string | []byte](dst []byte, text T, most int) []byte {
	return appendEscaped(dst, text, most, false)
}

func appendEscaped[T string | []byte](dst []byte, value T, most int, quoted bool) []byte {
	cut := len(value) > most
	if cut {
		value = value[:most]
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
