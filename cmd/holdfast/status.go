package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sort"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

const (
	statusTimeout  = 5 * time.Second
	statusBytesMax = 16 << 20
)

func newStatus(src *source, io streams) *cobra.Command {
	var asJSON bool
	var admin string
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show the running holdfast's tunnels, upgrades and closes",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if admin == "" {
				cfg, err := src.loaded(io)
				if err != nil {
					return err
				}
				if cfg.Main.Admin == nil {
					return fmt.Errorf(`%s has no admin listener; add "admin 127.0.0.1:9180;" to its main context`,
						src.path())
				}
				admin = cfg.Main.Admin.String()
			}
			body, err := fetchStatus(cmd.Context(), admin)
			if err != nil {
				return err
			}
			if asJSON {
				_, err := io.out.Write(body)
				return err
			}
			return printStatus(io.out, body)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the listener's JSON as it is")
	cmd.Flags().StringVar(&admin, "admin", "", "admin listener, HOST:PORT or unix:PATH (default: the configuration's)")
	return cmd
}

// fetchStatus gets /status from an admin listener, HOST:PORT or unix:PATH.
func fetchStatus(ctx context.Context, admin string) ([]byte, error) {
	// The listener takes no other name than these for its own, against DNS rebinding.
	network, address, host := "tcp", admin, admin
	if path, found := strings.CutPrefix(admin, "unix:"); found {
		network, address, host = "unix", path, "localhost"
	}
	client := &http.Client{Timeout: statusTimeout, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, address)
		},
	}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+host+"/status", nil)
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("no answer from the admin listener %s: %w", admin, errors.Unwrap(err))
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the admin listener %s answered %s", admin, resp.Status)
	}
	return io.ReadAll(io.LimitReader(resp.Body, statusBytesMax))
}

// statusReport is what the text form shows of /status.
type statusReport struct {
	Version string  `json:"version"`
	PID     int     `json:"pid"`
	Uptime  float64 `json:"uptime_seconds"`
	FDs     uint64  `json:"fds"`
	Totals  shardReport
	Shards  []shardReport
}

// shardReport is one shard's numbers, or the sum of all.
type shardReport struct {
	Tunnels      uint64            `json:"tunnels"`
	Sessions     map[string]uint64 `json:"sessions"`
	Accepted     uint64            `json:"accepted"`
	Requests     uint64            `json:"requests"`
	Upgrades     map[string]uint64 `json:"upgrades"`
	TunnelCloses []closeReport     `json:"tunnel_closes"`
	BytesUp      uint64            `json:"tunnel_bytes_up"`
	BytesDown    uint64            `json:"tunnel_bytes_down"`
	UpstreamIdle uint64            `json:"upstream_idle"`
}

type closeReport struct {
	Reason string `json:"reason"`
	Side   string `json:"side"`
	Count  uint64 `json:"count"`
}

func printStatus(out io.Writer, body []byte) error {
	var s statusReport
	if err := json.Unmarshal(body, &s); err != nil {
		return fmt.Errorf("the admin listener's answer: %w", err)
	}
	up := time.Duration(s.Uptime * float64(time.Second)).Round(time.Second)
	fmt.Fprintf(out, "holdfast %s, process %d, up %v, %d file descriptors\n\n", s.Version, s.PID, up, s.FDs)
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	t := s.Totals
	fmt.Fprintf(table, "tunnels\t%s\n", grouped(t.Tunnels))
	fmt.Fprintf(table, "sessions\t%s\n", counted(t.Sessions))
	fmt.Fprintf(table, "accepted\t%s\n", grouped(t.Accepted))
	fmt.Fprintf(table, "requests\t%s\n", grouped(t.Requests))
	fmt.Fprintf(table, "upgrades\t%s\n", counted(t.Upgrades))
	fmt.Fprintf(table, "tunnel bytes\t%s up, %s down\n", grouped(t.BytesUp), grouped(t.BytesDown))
	fmt.Fprintf(table, "tunnels closed\t%s\n", closed(t.TunnelCloses))
	fmt.Fprintf(table, "idle upstream\t%s\n", grouped(t.UpstreamIdle))
	if fullest := balance(s.Shards); fullest > 0 {
		fmt.Fprintf(table, "shard balance\tthe fullest has %.2f times the mean of tunnels\n", fullest)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(out)
	table = tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "shard\ttunnels\taccepted\trequests\t")
	for i, shard := range s.Shards {
		fmt.Fprintf(table, "%d\t%s\t%s\t%s\t\n", i,
			grouped(shard.Tunnels), grouped(shard.Accepted), grouped(shard.Requests))
	}
	return table.Flush()
}

// balance is how many times the mean of tunnels the fullest shard has; 0 where there are
// no tunnels, or no two shards.
func balance(shards []shardReport) float64 {
	var sum, fullest uint64
	for _, s := range shards {
		sum += s.Tunnels
		fullest = max(fullest, s.Tunnels)
	}
	if sum == 0 || len(shards) < 2 {
		return 0
	}
	return float64(fullest) * float64(len(shards)) / float64(sum)
}

// counted lists the counts that are not zero, largest first.
func counted(counts map[string]uint64) string {
	var names []string
	for name, n := range counts {
		if n > 0 {
			names = append(names, name)
		}
	}
	sort.Slice(names, func(i, j int) bool {
		a, b := names[i], names[j]
		if counts[a] != counts[b] {
			return counts[a] > counts[b]
		}
		return a < b
	})
	for i, name := range names {
		names[i] = name + " " + grouped(counts[name])
	}
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

func closed(closes []closeReport) string {
	counts := map[string]uint64{}
	for _, c := range closes {
		counts[c.Reason+" by "+c.Side] += c.Count
	}
	return counted(counts)
}

// grouped writes 1234567 as 1,234,567.
func grouped(n uint64) string {
	digits := strconv.FormatUint(n, 10)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}
