package observe

// Level is the severity of an error log line (nginx: error_log).
type Level uint8

// The levels, from the least severe.
const (
	LevelDebug Level = iota
	LevelInfo
	LevelNotice
	LevelWarn
	LevelError
	LevelCrit
	LevelAlert
	LevelEmerg
)

var levelNames = [...]string{"debug", "info", "notice", "warn", "error", "crit", "alert", "emerg"}

// String is the name in brackets in a log line, and the word in error_log.
func (l Level) String() string {
	if int(l) < len(levelNames) {
		return levelNames[l]
	}
	return "invalid"
}

// ParseLevel is the level that a word of the error_log directive names.
func ParseLevel(word string) (Level, bool) {
	for l, name := range levelNames {
		if name == word {
			return Level(l), true
		}
	}
	return 0, false
}
