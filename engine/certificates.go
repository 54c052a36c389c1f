package engine

import (
	"fmt"
	"strings"
	"time"

	"holdfast/certs"
	"holdfast/config"
	"holdfast/observe"
)

// expirySoon is how long before its end a certificate is warned about.
const expirySoon = 30 * 24 * time.Hour

// expiring are warnings about certificates that are not valid any more in a while.
func expiring(store *certs.Store) (warnings []config.Problem) {
	for _, err := range store.Expiring(expirySoon) {
		warnings = append(warnings, fileProblem(err))
	}
	return warnings
}

// watchOver tells the log about certificates, now and whenever their files change.
func (e *engine) watchOver(store *certs.Store) {
	store.SetLog(func(problem bool, text string) {
		level := observe.LevelNotice
		if problem {
			level = observe.LevelError
		}
		e.logger.Log(level, "certificates: %s", text)
	})
	for _, p := range expiring(store) {
		e.logger.Log(observe.LevelWarn, "%s", p)
	}
	for _, err := range store.Unreadable() {
		e.logger.Log(observe.LevelWarn, "%s; it was read at the start, but can't be read again when it changes", err)
	}
}

// rereadFiles reads the files of certificates and users again, also where their lines are the
// same as before. What can't be used stays as it was; text says so, or is empty.
func rereadFiles(built *Built) (text string) {
	_, failed := built.Certs.Reload()
	if failed > 0 {
		text = fmt.Sprintf("%d sets of certificates could not be read again and stay as they were, see the error log", failed)
	}
	if _, failed := built.Users.Reload(); failed > 0 {
		text += fmt.Sprintf("; %d files of users can't be used", failed)
	}
	return strings.TrimPrefix(text, "; ")
}
