package config

// Update says whether golden files are to be written (-update), for the tests outside of the
// package.
func Update() bool { return *update }
