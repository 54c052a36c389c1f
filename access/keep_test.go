package access

import (
	"path/filepath"
	"testing"
)

func TestKeep(t *testing.T) {
	dir := t.TempDir()
	st := NewStore()
	a, _ := st.Users(write(t, filepath.Join(dir, "a"), "u:{PLAIN}x\n"))
	b, _ := st.Users(write(t, filepath.Join(dir, "b"), "u:{PLAIN}x\n"))
	st.Keep([]*Users{b})
	if files, failed := st.Reload(); files != 1 || failed != 0 {
		t.Errorf("%d files are read again, %d can't be used", files, failed)
	}
	if again, _ := st.Users(b.path); again != b {
		t.Error("a file that was kept is another one")
	}
	if again, _ := st.Users(a.path); again == a {
		t.Error("a file that was not kept is there")
	}
}
