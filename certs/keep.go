package certs

import (
	"maps"
	"slices"
)

// Keep forgets all but these: their files are not looked at any more. What is forgotten goes on
// for who uses it.
func (st *Store) Keep(servers []*Server, clients []*Client) {
	used := map[any]bool{}
	for _, s := range servers {
		used[s] = true
	}
	for _, c := range clients {
		used[c] = true
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	maps.DeleteFunc(st.servers, func(_ string, s *Server) bool { return !used[s] })
	maps.DeleteFunc(st.clients, func(_ string, c *Client) bool { return !used[c] })
	st.items = slices.DeleteFunc(st.items, func(it *item) bool { return !used[it.owner] })
	files, keys := map[string]bool{}, map[*ticketKeys]bool{}
	for _, it := range st.items {
		for _, f := range it.files {
			files[f.Path] = true
		}
	}
	for _, s := range st.servers {
		keys[s.keys] = true
	}
	maps.DeleteFunc(st.stamps, func(path string, _ stamp) bool { return !files[path] })
	maps.DeleteFunc(st.byFiles, func(_ string, k *ticketKeys) bool { return !keys[k] })
}
