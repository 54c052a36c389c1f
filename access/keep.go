package access

import (
	"maps"
	"slices"
)

// Keep forgets all files but these, which are not looked at any more. What is forgotten goes on
// for who uses it.
func (st *Store) Keep(used []*Users) {
	st.mu.Lock()
	defer st.mu.Unlock()
	maps.DeleteFunc(st.files, func(_ string, u *Users) bool { return !slices.Contains(used, u) })
}
