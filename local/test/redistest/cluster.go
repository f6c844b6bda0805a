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
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// A cluster has three primaries, each with a share of the slots, and a replica of each.
const (
	primaries = 3
	slots     = 16384
)

// NodeTimeout is how long, in milliseconds, a node of ClusterWith may be silent before the others count it as failed, which
// takes the whole cluster down: longer than a busy machine keeps one from answering. And not much longer: primaries vote for
// replicas of one of them only once in twice that time, and who was refused asks again after four times as long.
const NodeTimeout = "5000"

// OwnCluster is a cluster of redis-servers that belongs to one test.
type OwnCluster struct {
	Redis
	// Nodes are the servers: at first three primaries, then their replicas in the same order.
	Nodes []*Own
	t     testing.TB
}

// Cluster gives this test a prefix on the cluster of the test binary, which the first caller starts. Where no server is
// installed the test is skipped; with CI=true it fails instead. In the end the test fails where a script or a command met
// keys of several slots, or one that it had not declared.
func Cluster(t testing.TB) Redis {
	t.Helper()
	nodes := sharedCluster(t)
	r := Redis{Name: "cluster", Addr: nodes[0], Nodes: nodes, Prefix: newPrefix()}
	before := r.crossings(t)
	r.open(t)
	t.Cleanup(func() {
		if after := r.crossings(t); after != before {
			t.Errorf("%d commands met keys of several slots, or undeclared ones", after-before)
		}
	})
	return r
}

var (
	clusterOnce  sync.Once
	clusterProcs []*process // held as long as this binary runs, see sharedProc
	errCluster   error
)

func sharedCluster(t testing.TB) []string {
	t.Helper()
	path := find(t)
	clusterOnce.Do(func() {
		// Nobody fails over here, however long a busy machine keeps a node from answering.
		args := slices.Concat(inspector, []string{"--cluster-node-timeout", "60000", "--cluster-replica-no-failover", "yes"})
		clusterProcs, errCluster = startNodes(path, os.TempDir(), args)
		if errCluster == nil {
			errCluster = form(addresses(clusterProcs))
		}
	})
	if errCluster != nil {
		t.Fatal(errCluster)
	}
	return addresses(clusterProcs)
}

// ClusterWith starts a cluster for this test alone, with further arguments for each of its nodes. By itself no replica
// takes over, since a busy machine would make it do so at any time: a test says when, with FailOver; or lets it happen, with
// "--cluster-replica-no-failover", "no". The product's user is on every node.
func ClusterWith(t testing.TB, args ...string) *OwnCluster {
	t.Helper()
	c := &OwnCluster{t: t, Redis: Redis{Name: "cluster", Prefix: newPrefix()}}
	c.newUser()
	args = slices.Concat([]string{"--cluster-node-timeout", NodeTimeout, "--cluster-replica-no-failover", "yes"}, inspector, args,
		[]string{"--user", c.Username}, c.userRules(t))
	procs, err := startNodes(find(t), t.TempDir(), args)
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
	if err != nil {
		t.Fatal(err)
	}
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

// startNodes starts servers that are in no cluster yet. Their configuration, which they write themselves, is in dir.
func startNodes(path, dir string, args []string) ([]*process, error) {
	var procs []*process
	for range 2 * primaries {
		p, err := start(path, slices.Concat(args, []string{
			"--cluster-enabled", "yes", "--cluster-config-file", filepath.Join(dir, "node-"+rand.Text()+".conf"),
			"--cluster-port", "{bus}", "--repl-diskless-sync-delay", "0", "--cluster-migration-barrier", "100",
		}))
		if err != nil {
			return procs, err
		}
		procs = append(procs, p)
	}
	return procs, nil
}

// form makes a cluster of the nodes: the first ones share the slots, the others follow them.
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

// join gives node number i its slots and has it meet the ones before it.
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
		if err := nodes[i].Do(ctx, "cluster", "meet", host, port, bus["cluster-port"]).Err(); err != nil {
			return err
		}
	}
	return nil
}

// awaitCluster returns when every node that runs knows all the others and has its slots covered, and every replica
// follows its primary.
func awaitCluster(ctx context.Context, nodes []*redis.Client) error {
	for _, node := range nodes {
		err := await(ctx, "the cluster to come up", func() bool {
			info := node.ClusterInfo(ctx).Val()
			replication := node.InfoMap(ctx, "replication").Val()["Replication"]
			return strings.Contains(info, "cluster_state:ok") && strings.Contains(info, "cluster_slots_ok:16384") &&
				strings.Contains(info, fmt.Sprintf("cluster_known_nodes:%d", 2*primaries)) &&
				(replication["role"] == "master" || replication["master_link_status"] == "up")
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// startTimeout is how long a cluster, or a change of it, may take on a busy machine.
const startTimeout = time.Minute

// await asks until it is so.
func await(ctx context.Context, what string, so func() bool) error {
	for ; !so(); time.Sleep(10 * time.Millisecond) {
		if ctx.Err() != nil {
			return fmt.Errorf("waiting for %s: %w", what, ctx.Err())
		}
	}
	return nil
}

// Await returns when the nodes that run agree that all is well again, or ends the test.
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

// PrimaryOf returns the node that serves a slot now, as the running nodes see it.
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

// Slot is the hash slot of a key.
func (c *OwnCluster) Slot(key string) int {
	c.t.Helper()
	for _, node := range c.Nodes {
		if slot, err := node.Client().ClusterKeySlot(context.Background(), key).Result(); err == nil {
			return int(slot)
		}
	}
	c.t.Fatal("no node of the cluster answers")
	return 0
}

// Replica returns the node that follows a primary.
func (c *OwnCluster) Replica(primary *Own) *Own {
	c.t.Helper()
	_, port, _ := net.SplitHostPort(primary.Addr)
	for _, node := range c.Nodes {
		if !node.Stopped() && node.replication()["master_port"] == port {
			return node
		}
	}
	c.t.Fatalf("nobody follows %s", primary.Addr)
	return nil
}

// FailOver makes a replica the primary, and returns when it is and the running nodes know. With its primary running
// ("") nothing acknowledged is lost; where it is gone, or in spite of it, "TAKEOVER" takes what the replica has.
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
		// A primary has five seconds to give way. To ask before they are over would begin anew, for good on a busy machine.
		if replica.role() != "master" && time.Since(asked) > 6*time.Second && replica.Client().Do(ctx, args...).Err() == nil {
			asked = time.Now()
		}
		return replica.role() == "master"
	}))
	c.awaitOwner(ctx, replica)
}

// awaitOwner returns when all running nodes know that a node is a primary with slots.
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

// ID is a node's name in its cluster.
func (o *Own) ID() string {
	o.t.Helper()
	id, err := o.Client().Do(context.Background(), "cluster", "myid").Text()
	must(o.t, err)
	return id
}

// IsPrimary tells whether the node of a cluster runs and is a primary now.
func (o *Own) IsPrimary() bool { return !o.Stopped() && o.role() == "master" }

func (o *Own) role() string { return o.replication()["role"] }

func (o *Own) replication() map[string]string {
	return o.Client().InfoMap(context.Background(), "replication").Val()["Replication"]
}

// owns tells whether a node serves a slot, as it sees it itself.
func (o *Own) owns(slot int) bool {
	return serves(o.lineOf(context.Background(), o.ID()), slot)
}

// lineOf is what a node knows of another, as CLUSTER NODES tells it: id, address, flags, primary, ping, pong, epoch, link,
// and slots.
func (o *Own) lineOf(ctx context.Context, id string) []string {
	for line := range strings.Lines(o.Client().ClusterNodes(ctx).Val()) {
		if fields := strings.Fields(line); len(fields) > 0 && fields[0] == id {
			return fields
		}
	}
	return nil
}

// serves tells whether a slot is among those of such a line.
func serves(line []string, slot int) bool {
	return len(line) > 8 && slices.ContainsFunc(line[8:], func(r string) bool { return within(r, slot) })
}

// within reads a slot, or a range of them, as CLUSTER NODES tells it. Those under way between nodes stand in brackets.
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
