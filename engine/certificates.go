package engine

import (
	"fmt"
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

// reloadCertificates reads the files of all certificates again (HUP).
func (e *engine) reloadCertificates() {
	renewed, failed := e.built.Certs.Reload()
	text := fmt.Sprintf("certificates, keys and lists were read again: %d in use anew", renewed)
	level := observe.LevelWarn // whoever sends it may expect more
	if failed > 0 {
		text += fmt.Sprintf(", %d kept as they were", failed)
		level = observe.LevelError
	}
	users, unusable := reloadUsers(e.built.Users)
	if text += users; unusable {
		level = observe.LevelError
	}
	e.logger.Log(level, "signal hangup: %s; the configuration itself is not read again in this version", text)
}
