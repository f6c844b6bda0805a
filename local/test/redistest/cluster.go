package redistest

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// A cluster has three primaries, each with a part of the slots, and a replica
// of each.
const (
	primaries = 3
	slots     = 16384
)

// NodeTimeout is how long, in milliseconds, a node of [Engine.ClusterWith] may be
// silent before the others consider it failed, which takes the whole cluster
// down. It must be longer than a busy machine delays an answer. It must not be
// much longer: primaries vote for replicas of a given primary only once in
// twice that time, and a replica that was refused asks again after four times
// as long.
const NodeTimeout = "5000"

// OwnCluster is a cluster that belongs to one test.
type OwnCluster struct {
	Redis
	// Nodes has the servers: at first the three primaries, and then their
	// replicas in the same order.
	Nodes []*Own
	t     testing.TB
}

// Cluster is [Engine.Cluster] of any engine.
func Cluster(t testing.TB) Redis {
	t.Helper()
	return installed(t).Cluster(t)
}

// Cluster gives this test a prefix on the cluster of the test binary, which the
// first caller starts. If the engine is not installed, the test is skipped; with
// CI=true it fails instead. At its end the test fails if a script or a command
// used keys of several slots, or a key that it had not declared.
func (e Engine) Cluster(t testing.TB) Redis {
	t.Helper()
	e.find(t)
	procs, err := shared[e].cluster()
	must(t, err)
	nodes := addresses(procs)
	r := Redis{
		Name: e.cluster(), Engine: e, Addr: nodes[0], Nodes: nodes, Prefix: newPrefix(),
	}
	before := r.crossings(t)
	r.open(t)
	t.Cleanup(func() {
		if after := r.crossings(t); after != before {
			t.Errorf("%d commands used keys of several slots, or undeclared ones", after-before)
		}
	})
	return r
}

// startCluster starts the cluster that all tests of this binary share.
func startCluster(e Engine) ([]*process, error) {
	// No replica takes over here, however long a busy machine delays the answer
	// of a node.
	args := slices.Concat(inspector, []string{
		"--cluster-node-timeout", "60000", "--cluster-replica-no-failover", "yes",
	})
	procs, err := startNodes(e, os.TempDir(), args)
	if err != nil {
		return procs, err
	}
	return procs, form(addresses(procs))
}

// ClusterWith starts a cluster for this test alone, with further arguments for
// each of its nodes. No replica takes over by itself, because on a busy machine
// that could happen at any time. A test either calls [OwnCluster.FailOver], or
// allows it with the arguments "--cluster-replica-no-failover", "no". The
// product's user is on every node.
func (e Engine) ClusterWith(t testing.TB, args ...string) *OwnCluster {
	t.Helper()
	e.find(t)
	c := &OwnCluster{t: t, Redis: Redis{Name: e.cluster(), Engine: e, Prefix: newPrefix()}}
	c.newUser()
	args = slices.Concat(
		[]string{"--cluster-node-timeout", NodeTimeout, "--cluster-replica-no-failover", "yes"},
		inspector, args, []string{"--user", c.Username}, c.userRules(t))
	procs, err := startNodes(e, t.TempDir(), args)
	for _, p := range procs {
		node := &Own{t: t, args: p.args, proc: p, Redis: c.Redis}
		node.Name, node.Addr = "node", address(p.port)
		t.Cleanup(node.Stop)
		node.connect(t)
		c.Nodes = append(c.Nodes, node)
	}
	if err == nil {
		err = form(addresses(procs))
	}
	must(t, err)
	c.Redis.Addr, c.Redis.Nodes = c.Nodes[0].Addr, addresses(procs)
	c.connect(t)
	return c
}

func addresses(procs []*process) []string {
	var all []string
	for _, p := range procs {
		all = append(all, address(p.port))
	}
	return all
}

// startNodes starts servers that are not in a cluster yet. They write their
// cluster configuration to dir.
func startNodes(e Engine, dir string, args []string) ([]*process, error) {
	var procs []*process
	for range 2 * primaries {
		p, err := start(e, slices.Concat(args, []string{
			"--cluster-enabled", "yes",
			"--cluster-config-file", filepath.Join(dir, "node-"+rand.Text()+".conf"),
			"--cluster-port", "{bus}", "--repl-diskless-sync-delay", "0",
			"--cluster-migration-barrier", "100",
		}))
		if err != nil {
			return procs, err
		}
		procs = append(procs, p)
	}
	return procs, nil
}

// form makes the nodes a cluster: the first ones share the slots, and the
// others are their replicas.
func form(addrs []string) error {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	nodes := make([]*redis.Client, len(addrs))
	ids := make([]string, len(addrs))
	for i, addr := range addrs {
		nodes[i] = redis.NewClient(options(addr))
		defer nodes[i].Close()
		id, err := nodes[i].Do(ctx, "cluster", "myid").Text()
		if err != nil {
			return fmt.Errorf("forming a cluster: %w", err)
		}
		ids[i] = id
		if err := join(ctx, nodes, addrs, i); err != nil {
			return fmt.Errorf("forming a cluster: %w", err)
		}
	}
	for i, replica := range nodes[primaries:] {
		err := await(ctx, "a replica to know its primary", func() bool {
			return replica.Do(ctx, "cluster", "replicate", ids[i]).Err() == nil
		})
		if err != nil {
			return err
		}
	}
	return awaitCluster(ctx, nodes)
}

// join gives node number i its slots and introduces it to the nodes before it.
func join(ctx context.Context, nodes []*redis.Client, addrs []string, i int) error {
	if err := nodes[i].Do(ctx, "cluster", "set-config-epoch", i+1).Err(); err != nil {
		return err
	}
	if i < primaries {
		first, last := i*slots/primaries, (i+1)*slots/primaries-1
		if err := nodes[i].Do(ctx, "cluster", "addslotsrange", first, last).Err(); err != nil {
			return err
		}
	}
	for k, other := range nodes[:i] {
		host, port, _ := net.SplitHostPort(addrs[k])
		bus, err := other.ConfigGet(ctx, "cluster-port").Result()
		if err != nil {
			return err
		}
		meet := nodes[i].Do(ctx, "cluster", "meet", host, port, bus["cluster-port"])
		if err := meet.Err(); err != nil {
			return err
		}
	}
	return nil
}

// awaitCluster waits until every running node knows all the others and has its
// slots covered, and every replica is connected to its primary.
func awaitCluster(ctx context.Context, nodes []*redis.Client) error {
	for _, node := range nodes {
		err := await(ctx, "the cluster to come up", func() bool {
			info := node.ClusterInfo(ctx).Val()
			replication := node.InfoMap(ctx, "replication").Val()["Replication"]
			return strings.Contains(info, "cluster_state:ok") &&
				strings.Contains(info, "cluster_slots_ok:16384") &&
				strings.Contains(info, fmt.Sprintf("cluster_known_nodes:%d", 2*primaries)) &&
				(replication["role"] == "master" || replication["master_link_status"] == "up")
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// startTimeout is how long starting or changing a cluster may take on a busy
// machine.
const startTimeout = time.Minute

// await calls so until it returns true or the context ends.
func await(ctx context.Context, what string, so func() bool) error {
	for ; !so(); time.Sleep(10 * time.Millisecond) {
		if ctx.Err() != nil {
			return fmt.Errorf("waiting for %s: %w", what, ctx.Err())
		}
	}
	return nil
}

// Await waits until the running nodes agree that the cluster is up, or ends the
// test.
func (c *OwnCluster) Await() {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	var running []*redis.Client
	for _, node := range c.Nodes {
		if !node.Stopped() {
			running = append(running, node.Client())
		}
	}
	must(c.t, awaitCluster(ctx, running))
}

// Primary returns the node that serves a key now, as the running nodes see it.
func (c *OwnCluster) Primary(key string) *Own {
	c.t.Helper()
	return c.PrimaryOf(c.Slot(key))
}

// PrimaryOf returns the node that serves a slot now, as the running nodes see
// it.
func (c *OwnCluster) PrimaryOf(slot int) *Own {
	c.t.Helper()
	for _, node := range c.Nodes {
		if !node.Stopped() && node.role() == "master" && node.owns(slot) {
			return node
		}
	}
	c.t.Fatalf("no node serves slot %d", slot)
	return nil
}

// Slot returns the hash slot of a key.
func (c *OwnCluster) Slot(key string) int {
	c.t.Helper()
	for _, node := range c.Nodes {
		slot, err := node.Client().ClusterKeySlot(context.Background(), key).Result()
		if err == nil {
			return int(slot)
		}
	}
	c.t.Fatal("no node of the cluster answers")
	return 0
}

// Replica returns the replica of a primary.
func (c *OwnCluster) Replica(primary *Own) *Own {
	c.t.Helper()
	_, port, _ := net.SplitHostPort(primary.Addr)
	for _, node := range c.Nodes {
		if !node.Stopped() && node.replication()["master_port"] == port {
			return node
		}
	}
	c.t.Fatalf("%s has no replica", primary.Addr)
	return nil
}

// FailOver makes a replica the primary. It waits until it is and the running
// nodes know. If how is "", the primary must be running, and no acknowledged
// write is lost. With "TAKEOVER" the replica takes over with the writes that it
// has, whether or not its primary is running.
func (c *OwnCluster) FailOver(replica *Own, how string) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	args := []any{"cluster", "failover"}
	if how != "" {
		args = append(args, how)
	}
	var asked time.Time
	must(c.t, await(ctx, "the failover", func() bool {
		// A primary has five seconds to hand over. Asking again before they
		// have passed would start the failover again, forever on a busy
		// machine.
		if replica.role() != "master" && time.Since(asked) > 6*time.Second &&
			replica.Client().Do(ctx, args...).Err() == nil {
			asked = time.Now()
		}
		return replica.role() == "master"
	}))
	c.awaitOwner(ctx, replica)
}

// awaitOwner waits until all running nodes know that a node is a primary with
// slots.
func (c *OwnCluster) awaitOwner(ctx context.Context, owner *Own) {
	c.t.Helper()
	id := owner.ID()
	for _, node := range c.Nodes {
		if !node.Stopped() {
			must(c.t, await(ctx, "the nodes to agree", func() bool {
				line := node.lineOf(ctx, id)
				return len(line) > 8 && strings.Contains(line[2], "master")
			}))
		}
	}
}

// ID returns a node's name in its cluster.
func (o *Own) ID() string {
	o.t.Helper()
	id, err := o.Client().Do(context.Background(), "cluster", "myid").Text()
	must(o.t, err)
	return id
}

// IsPrimary reports whether the node of a cluster is running and is a primary
// now.
func (o *Own) IsPrimary() bool { return !o.Stopped() && o.role() == "master" }

func (o *Own) role() string { return o.replication()["role"] }

func (o *Own) replication() map[string]string {
	return o.Client().InfoMap(context.Background(), "replication").Val()["Replication"]
}

// owns reports whether a node serves a slot, according to itself.
func (o *Own) owns(slot int) bool {
	return serves(o.lineOf(context.Background(), o.ID()), slot)
}

// lineOf returns what a node knows about another one, as the fields of a line
// of CLUSTER NODES: id, address, flags, primary, ping, pong, epoch, link, and
// slots.
func (o *Own) lineOf(ctx context.Context, id string) []string {
	for line := range strings.Lines(o.Client().ClusterNodes(ctx).Val()) {
		if fields := strings.Fields(line); len(fields) > 0 && fields[0] == id {
			return fields
		}
	}
	return nil
}

// serves reports whether a slot is among those of such a line.
func serves(line []string, slot int) bool {
	has := func(r string) bool { return within(r, slot) }
	return len(line) > 8 && slices.ContainsFunc(line[8:], has)
}

// within reports whether a slot is in a range of CLUSTER NODES, which may be a
// single slot. Slots that are moving are in brackets and do not count.
func within(text string, slot int) bool {
	first, last, isRange := strings.Cut(text, "-")
	from, err := strconv.Atoi(first)
	if err != nil {
		return false
	}
	to := from
	if isRange {
		if to, err = strconv.Atoi(last); err != nil {
			return false
		}
	}
	return from <= slot && slot <= to
}
