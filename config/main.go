package config

import (
	"net/netip"
	"os/user"
	"slices"
	"strconv"
	"strings"
)

// workersMax keeps a slip from asking for more threads than a machine has cores.
const workersMax = 1024

func readWorkerProcesses(l *level, n *node) {
	if n.args[0] == "auto" {
		l.cfg.Main.WorkerProcesses = 0
		return
	}
	count, ok := parseInt(n.args[0], 1)
	if !ok || count > workersMax {
		l.invalid(n, n.args[0], `write a number from 1 to 1024, or "auto"`)
		return
	}
	l.cfg.Main.WorkerProcesses = count
}

func readRlimit(l *level, n *node) {
	limit, ok := parseNumber(n.args[0])
	if !ok || limit == 0 {
		l.invalid(n, n.args[0], hintNumber)
		return
	}
	l.cfg.Main.WorkerRlimitNofile = limit
}

func readPID(l *level, n *node) {
	if n.args[0] == "" || strings.ContainsRune(n.args[0], 0) {
		l.invalid(n, n.args[0], "write a path")
		return
	}
	l.cfg.Main.PID = l.path(n.args[0])
}

func readUser(l *level, n *node) {
	if l.opt.Geteuid() != 0 {
		l.add(Warning, n.Position, "start it as root, or remove the line",
			`"user" has no effect: the process is not root and keeps its user`)
		return
	}
	name := n.args[0]
	group := name
	if len(n.args) > 1 {
		group = n.args[1]
	}
	u, err := user.Lookup(name)
	if err != nil {
		l.add(Error, n.Position, "create the user, or name another", "user %q: %v", name, err)
		return
	}
	g, err := user.LookupGroup(group)
	if err != nil {
		l.add(Error, n.Position, "write: user USER GROUP;", "group %q: %v", group, err)
		return
	}
	uid, errU := strconv.Atoi(u.Uid)
	gid, errG := strconv.Atoi(g.Gid)
	if errU != nil || errG != nil {
		l.errorf(n.Position, "user %q has the ids %q and %q, which are no numbers", name, u.Uid, g.Gid)
		return
	}
	groups := []int{gid}
	also, _ := u.GroupIds() // unknown means none
	for _, text := range also {
		if id, err := strconv.Atoi(text); err == nil && text != u.Gid && !slices.Contains(groups, id) {
			groups = append(groups, id)
		}
	}
	l.cfg.Main.User = &User{Position: n.Position, Name: name, Group: group, UID: uid, GID: gid, Groups: groups}
}

func readNoDaemon(l *level, n *node) {
	if isOn(n.args[0]) {
		l.warnNoEffect(n, "holdfast stays in the foreground; let the service manager put it in the background")
	}
}

func readNoMaster(l *level, n *node) {
	if isOn(n.args[0]) {
		l.warnNoEffect(n, "holdfast is one process")
	}
}

func readTunnelsMin(l *level, n *node) {
	count, ok := parseInt(n.args[0], 0)
	if !ok {
		l.invalid(n, n.args[0], hintNumber)
		return
	}
	l.cfg.Main.TunnelsMin = count
}

func readShutdownTimeout(l *level, n *node) {
	var ok bool
	if l.cfg.Main.ShutdownTimeout, ok = parseTime(n.args[0]); !ok {
		l.invalid(n, n.args[0], hintTime)
	}
}

func readAdmin(l *level, n *node) {
	arg := n.args[0]
	if arg == "off" {
		return
	}
	hint := "write an address and a port such as 127.0.0.1:9180, unix:PATH, or off"
	if path, ok := strings.CutPrefix(arg, "unix:"); ok {
		if text := unixPathFault(path); text != "" {
			l.add(Error, n.Position, hint, "%s in %q of the \"admin\" directive", text, arg)
			return
		}
		l.cfg.Main.Admin = &Addr{Unix: path}
		return
	}
	if port, ok := parsePort(arg); ok {
		l.cfg.Main.Admin = &Addr{IP: netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port)}
		return
	}
	ip, err := netip.ParseAddrPort(arg)
	if err != nil || ip.Port() == 0 {
		l.invalid(n, arg, hint)
		return
	}
	l.cfg.Main.Admin = &Addr{IP: ip}
}

func readEvents(l *level, n *node) {
	l.inner(CtxEvents).walk(n.block)
}

func readWorkerConnections(l *level, n *node) {
	count, ok := parseInt(n.args[0], 1)
	if !ok {
		l.invalid(n, n.args[0], "write a number from 1 on")
		return
	}
	l.cfg.Events.WorkerConnections = count
}

func readHTTP(l *level, n *node) {
	inner := l.inner(CtxHTTP)
	inner.walk(n.block)
	l.cfg.HTTP.Settings = *inner.set
}
