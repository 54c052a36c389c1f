package certs

import "testing"

// What is not kept is read anew when it is asked for again, and no number of a client is given
// twice: by it connections that were made with other settings are told apart.
func TestKeep(t *testing.T) {
	f := newFolder(t)
	st := NewStore(Options{})
	one := serverSpec(f.pair("a", issue(t, nil, named("a.test"), false)))
	other := serverSpec(f.pair("b", issue(t, nil, named("b.test"), false)))
	kept, gone := mustServer(t, st, one), mustServer(t, st, other)
	client := func(spec ClientSpec) *Client {
		t.Helper()
		c, errs := st.Client(spec)
		if len(errs) > 0 {
			t.Fatal(errs)
		}
		return c
	}
	first, second := client(ClientSpec{}), client(ClientSpec{SendName: true})
	st.Keep([]*Server{kept}, []*Client{second})
	one.Certificates[0].Certificate.Line += 7 // the line has moved
	if mustServer(t, st, one) != kept || client(ClientSpec{SendName: true}) != second {
		t.Error("what was kept is not there")
	}
	if renewed, failed := st.Reload(); renewed != 2 || failed != 0 {
		t.Errorf("%d are read again, %d failed", renewed, failed)
	}
	if mustServer(t, st, other) == gone || gone.state.Load() == nil {
		t.Error("what was not kept is there, or does not go on for who has it")
	}
	if again := client(ClientSpec{}); again == first || again.ID == first.ID || again.ID == second.ID {
		t.Errorf("client number %d, before %d and %d", again.ID, first.ID, second.ID)
	}
}
